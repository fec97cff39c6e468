// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "hwdb/machine.h"
#include "probes/measure/gpu_measure.h"

namespace probes {

struct MeasureOptions {
  double budget_seconds = 15;     // all readings of one GPU together, the opening not counted
  double sustained_seconds = 0;   // also hold the load this long; 20 shows most throttling; 0: no
  std::vector<std::string> only;  // ids; empty: all
  std::string as_of;              // the day that readings carry; "": today, in UTC

  std::string child_program;  // run as `PROGRAM --probe-child measure-gpu`; "": the running program
  std::vector<std::string> vulkan_drivers;  // manifests to use instead of those installed
  double opening_seconds = 15;              // for the driver to start; also the longest silence
  bool allow_software = false;  // tests only: a software renderer's figures are no GPU's
  bool validate = false;        // tests only: with the validation layers; what they say
                                // makes every reading an error
  std::uint64_t max_buffer_bytes = GpuMeasureOptions().max_buffer_bytes;
};

/// Measures one GPU through Vulkan in a child process. Answers with one reading for each id that
/// the options ask for, in order, and never fails as a whole: a driver that crashes, hangs or talks
/// nonsense costs the reading at hand, which is tried once more with shorter runs; those after it
/// are taken by a new child. `progress` comes a few times a second; `cancel` ends the child within
/// a moment, and what is missing is skipped. Both may be null.
std::vector<Reading> measure_gpu(const hwdb::GpuInfo& gpu, const MeasureOptions& options,
                                 const std::function<void(const MeasureProgress&)>& progress,
                                 const std::atomic<bool>* cancel);

/// What a reading's `device` says for this GPU: its PCI address, else UUID, else name.
std::string device_key(const hwdb::GpuInfo& gpu);

/// Puts readings into the machine: into its list, where they replace older ones of the same id and
/// device unless they failed and the older did not, and into the GPUs' values. Bandwidth and host
/// link are always replaced. Rates replace a lower or missing value, or any where the plan's
/// backend is Vulkan: on others Vulkan is only a lower bound for what the vendor's own compiler
/// reaches. Readings of the processor replace the memory's bandwidth (the sustained one, if there
/// is one) and the processor's peaks in FP32 and INT8 (the faster of vector units and tiles).
void apply_readings(const std::vector<Reading>& readings, hwdb::Machine* machine);

}  // namespace probes
