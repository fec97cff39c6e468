// SPDX-License-Identifier: MIT
// Arithmetic without matrix units: chains of multiply-adds in registers.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "probes/measure/gpu_bench.h"
#include "probes/measure/gpu_reference.h"
#include "probes/measure/gpu_shaders.h"

namespace probes {
namespace {

using engine::BufferKind;
using engine::DispatchStep;
using engine::NumberType;
using gpu_reference::ChainForm;
using gpu_reference::Factors;

constexpr std::uint32_t kData = 4096;  // of 16 bytes
constexpr std::uint32_t kOut = 1U << 20, kGroupsPerPass = 64, kStepsPerTurn = 8;
constexpr float kFactor = 0.625F;

hwdb::Error unsupported(std::string what) {
  return {"probe.gpu_unsupported", std::move(what), "Vulkan", ""};
}

struct Variant {
  ChainForm form;
  std::span<const std::uint32_t> code;
  std::string_view label;
};

std::vector<Variant> variants_of(NumberType type) {
  switch (type) {
    case NumberType::float16:
      return {{{type, 16}, gpu_shaders::fma_fp16_16(), "16 chains"},
              {{type, 32}, gpu_shaders::fma_fp16_32(), "32 chains"}};
    case NumberType::sint8:
      return {{{type, 16}, gpu_shaders::dot_int8_16(), "16 chains"},
              {{type, 32}, gpu_shaders::dot_int8_32(), "32 chains"}};
    default:
      // The fewer registers an instruction reads, the more GPUs run it at their full rate.
      return {{{type, 16, Factors::shared},
               gpu_shaders::fma_fp32_shared_16(),
               "16 chains, factors shared"},
              {{type, 32, Factors::shared},
               gpu_shaders::fma_fp32_shared_32(),
               "32 chains, factors shared"},
              {{type, 32, Factors::constant},
               gpu_shaders::fma_fp32_constant_32(),
               "32 chains, one factor constant"},
              {{type, 16, Factors::own},
               gpu_shaders::fma_fp32_own_16(),
               "16 chains, factors of their own"}};
  }
}

/// The input: fp16 and fp32 take values in [0, 1), int8 any bytes.
std::vector<std::uint32_t> input_of(NumberType type) {
  std::vector<std::uint32_t> words(kData * 4);
  for (std::uint32_t i = 0; i < words.size(); ++i) {
    const std::uint32_t random = gpu_reference::hash(i);
    words[i] = type == NumberType::sint8
                   ? random
                   : std::bit_cast<std::uint32_t>(static_cast<float>(random >> 8) /
                                                  static_cast<float>(1U << 24));
  }
  return words;
}

bool agrees(NumberType type, std::uint32_t got, std::uint32_t expected) {
  if (type == NumberType::sint8) return got == expected;
  // Drivers may add up in another order, and round halves between multiplying and adding.
  const double tolerance = type == NumberType::float16 ? 0.01 : 1e-5;
  const double a = std::bit_cast<float>(got), b = std::bit_cast<float>(expected);
  return std::abs(a - b) <= tolerance * std::abs(b);
}

}  // namespace

hwdb::Result<GpuFigure> GpuLoads::chains(NumberType type) {
  const engine::ComputeFeatures& f = gpu_.features();
  GpuFigure figure;
  double operations = 0;  // of a thread in a step of a chain
  switch (type) {
    case NumberType::float16:
      figure = {"gpu.fp16_rate", "FLOP/s", "chains of FMAs on pairs, 4 operations each", {}};
      operations = 4;
      if (!f.float16) return unsupported("the device has no fp16 arithmetic");
      break;
    case NumberType::sint8:
      figure = {"gpu.int8_dot_rate",
                "OP/s",
                fmt::format("chains of 4 x int8 dot products, 8 operations each{}",
                            f.int_dot_accelerated ? "" : ", which the driver does not accelerate"),
                {}};
      operations = 8;
      if (!f.int_dot) return unsupported("the driver has no integer dot products");
      break;
    default:
      figure = {"gpu.fp32_rate", "FLOP/s", "chains of FMAs, 2 operations each", {}};
      operations = 2;
      break;
  }
  const auto words = std::make_shared<std::vector<std::uint32_t>>(input_of(type));
  const auto data = new_buffer(kData * 16, BufferKind::device);
  const auto sums = new_buffer(std::uint64_t{kOut} * 4, BufferKind::device);
  if (!data) return data.error();
  if (!sums) return sums.error();
  if (const auto status = gpu_.upload(**data, std::as_bytes(std::span(*words))); !status)
    return status.error();
  // A thread's turns: long against its start, short against a run, so that many waves fill the
  // device.
  const std::uint32_t turns = gpu_.is_software() ? 16 : 256;
  const std::uint32_t mask = type == NumberType::sint8 ? 4 * kData - 1 : kData - 1;
  // The variants first: they differ more than the widths do.
  for (const std::uint32_t width : {256U, 128U, 512U}) {
    for (const Variant& variant : variants_of(type)) {
      if (width > f.max_workgroup_size) continue;
      const auto kernel = new_kernel(
          {.spirv = variant.code, .n_buffers = 2, .push_words = 4, .specialization = {width}});
      if (!kernel) return kernel.error();
      GpuTrial trial;
      trial.label = fmt::format("{}, workgroups of {}", variant.label, width);
      trial.work_per_pass =
          operations * variant.form.chains * kStepsPerTurn * turns * width * kGroupsPerPass;
      const DispatchStep step{*kernel,
                              {*data, *sums},
                              kGroupsPerPass,
                              {turns, mask, kOut - 1, std::bit_cast<std::uint32_t>(kFactor)}};
      trial.run = repeat_dispatch(&gpu_, step, f.max_workgroups / kGroupsPerPass);
      trial.check = [gpu = &gpu_, step, words, form = variant.form, width]() -> hwdb::Status {
        // Few turns: the chains of floats forget where they began.
        DispatchStep part = step;
        part.push[0] = 2;
        part.workgroups = 2;
        const auto time = gpu->run({.steps = {part}});
        if (!time) return time.error();
        const auto bytes = gpu->download(*step.buffers[1], 8 * width);
        if (!bytes) return bytes.error();
        for (std::uint32_t id = 0; id < 2 * width; ++id) {
          std::uint32_t got = 0;
          std::memcpy(&got, bytes->data() + 4 * id, 4);
          if (!agrees(form.type, got, gpu_reference::chain_result(form, *words, id, 2, kFactor)))
            return hwdb::Error{"probe.gpu_wrong", "the results differ from the processor's",
                               "Vulkan", ""};
        }
        return hwdb::Ok{};
      };
      figure.trials.push_back(std::move(trial));
    }
  }
  return figure;
}

hwdb::Result<GpuFigure> GpuLoads::fp32() {
  return chains(NumberType::float32);
}
hwdb::Result<GpuFigure> GpuLoads::fp16() {
  return chains(NumberType::float16);
}
hwdb::Result<GpuFigure> GpuLoads::int8_dot() {
  return chains(NumberType::sint8);
}

}  // namespace probes
