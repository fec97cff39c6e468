// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "hwdb/catalog.h"
#include "hwdb/result.h"
#include "planner/make_plan.h"

namespace planner {

/// A machine part that would hold a model: `count` of the same GPU.
struct Holder {
  const hwdb::GpuRow* gpu = nullptr;
  std::uint32_t count = 1;
  std::uint64_t memory_bytes = 0;  // of one of them, as sold
};

/// What running a model wholly on a GPU would take.
struct Requirement {
  std::string quant;  // the smallest preset of the class
  hwdb::Bytes file_size;
  hwdb::Bytes needed;     // on one GPU, margin included
  hwdb::Bytes available;  // all GPUs of the machine together
  hwdb::Bytes shortfall;  // zero when it is only the split that stands in the way
  std::vector<Holder>
      holders;        // the machine's own GPU several times, then the smallest that hold it
  std::string words;  // the same in one or two sentences
};

/// The presets of the catalogue that store about `bits` bits per weight ("4": Q4_0, Q4_K_S,
/// IQ4_XS...).
std::vector<std::string> presets_of_bits(const hwdb::Catalog& catalog, int bits);

/// What the smallest of `presets` would take on a GPU, by the same estimator as a plan. `inputs`
/// gives machine, settings and workload; its model is not read. Errors: quant.unknown when no
/// preset applies, and make_plan's.
hwdb::Result<Requirement> what_it_would_take(const hwdb::Catalog& catalog,
                                             const hwdb::ModelRow& model,
                                             const std::vector<std::string>& presets,
                                             const PlanInputs& inputs);

}  // namespace planner
