// SPDX-License-Identifier: MIT
// The matrix units, through cooperative matrices.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "probes/measure/gpu_bench.h"
#include "probes/measure/gpu_reference.h"
#include "probes/measure/matrix_shader.h"

namespace probes {
namespace {

using engine::BufferKind;
using engine::DispatchStep;
using engine::MatrixShape;
using engine::NumberType;

std::uint32_t bytes_of(NumberType type) {
  switch (type) {
    case NumberType::sint8:
    case NumberType::uint8:
      return 1;
    case NumberType::float16:
    case NumberType::bfloat16:
      return 2;
    default:
      return 4;
  }
}

/// Random factors, none zero: small ones, so that no sum overflows. fp16: ±[0.5, 1), bf16 likewise,
/// int8: -127...127.
std::vector<std::byte> random_factors(NumberType type, std::size_t n) {
  std::mt19937 random(42);
  std::vector<std::byte> out;
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    std::uint32_t value = bits & 0xFF;
    if (type == NumberType::float16) value = (bits & 0x83FF) | 0x3800;
    if (type == NumberType::bfloat16) value = (bits & 0x807F) | 0x3F00;
    if (bytes_of(type) == 1 && (value & 0x7F) == 0) value = 1;
    for (std::uint32_t b = 0; b < bytes_of(type); ++b)
      out.push_back(static_cast<std::byte>((value >> (8 * b)) & 0xFF));
  }
  return out;
}

/// Every accumulator of a column sums all rows' products in each turn, so all tiles of the column
/// hold the same.
hwdb::Status check_matrix(const MatrixKernel& kernel, std::uint32_t turns,
                          std::span<const std::byte> a, std::span<const std::byte> b,
                          std::span<const std::byte> out) {
  using gpu_reference::element;
  const MatrixShape& s = kernel.shape;
  for (std::uint32_t tile = 0; tile < kernel.rows * kernel.columns; ++tile) {
    const std::uint32_t j = tile % kernel.columns;
    for (std::uint32_t at = 0; at < s.m * s.n; ++at) {
      const std::uint32_t row = at / s.n, column = at % s.n;
      double sum = 0, size = 0;
      for (std::uint32_t r = 0; r < kernel.rows; ++r) {
        for (std::uint32_t k = 0; k < s.k; ++k) {
          const double product = element(s.a, a, r * s.m * s.k + row * s.k + k) *
                                 element(s.b, b, j * s.k * s.n + k * s.n + column);
          sum += product * turns;
          size += std::abs(product) * turns;
        }
      }
      // Integers are exact; matrix units add floats with a few bits less than fp32 has.
      const double tolerance = s.result == NumberType::sint32 ? 0 : 1e-4 * size;
      if (!(std::abs(element(s.result, out, tile * s.m * s.n + at) - sum) <= tolerance))
        return hwdb::Error{"probe.gpu_wrong", "the products differ from the processor's", "Vulkan",
                           ""};
    }
  }
  return hwdb::Ok{};
}

}  // namespace

hwdb::Result<GpuFigure> GpuLoads::matrix(NumberType factors) {
  constexpr std::uint32_t kGroupsPerPass = 8, kOutGroups = 64;
  const engine::ComputeFeatures& f = gpu_.features();
  const bool integer = factors == NumberType::sint8;
  const NumberType sums = integer ? NumberType::sint32 : NumberType::float32;
  GpuFigure figure;
  figure.id = fmt::format("gpu.matrix_{}_rate", engine::to_string(factors));
  figure.unit = integer ? "OP/s" : "FLOP/s";
  figure.method = fmt::format("cooperative matrices of {} summed in {}, tiles in registers",
                              engine::to_string(factors), engine::to_string(sums));
  const auto unsupported = [](std::string what) {
    return hwdb::Error{"probe.gpu_unsupported", std::move(what), "Vulkan", ""};
  };
  if (f.matrix_shapes.empty()) return unsupported("the driver has no cooperative matrices");
  std::vector<MatrixShape> shapes;
  for (const MatrixShape& s : f.matrix_shapes) {
    if (s.a == factors && s.b == factors && s.c == sums && s.result == sums && !s.saturating)
      shapes.push_back(s);
  }
  const bool storable = bytes_of(factors) == 1 ? f.storage_8bit && f.int8 : f.storage_16bit;
  if (shapes.empty() || !storable || (factors == NumberType::float16 && !f.float16) ||
      (factors == NumberType::bfloat16 && !f.bfloat16_matrix))
    return unsupported(fmt::format("no cooperative matrices of {} summed in {}",
                                   engine::to_string(factors), engine::to_string(sums)));
  // The largest shape is the one the hardware is best at.
  std::ranges::stable_sort(shapes, std::ranges::greater{},
                           [](const MatrixShape& s) { return s.m * s.n * s.k; });
  struct Form {
    std::uint32_t rows, columns, subgroups;
  };
  const std::uint32_t turns = gpu_.is_software() ? 4 : 128;
  for (const Form form :
       {Form{4, 4, 4}, Form{2, 4, 8}, Form{2, 2, 8}, Form{4, 2, 4}, Form{2, 8, 4}}) {
    MatrixKernel kernel{shapes.front(), form.rows, form.columns, form.subgroups * f.subgroup_size};
    if (kernel.workgroup_size > f.max_workgroup_size) continue;
    const auto& s = kernel.shape;
    const auto code = make_matrix_shader(kernel);
    const auto made = new_kernel({.spirv = code,
                                  .n_buffers = 3,
                                  .push_words = 2,
                                  .specialization = {},
                                  .subgroup_size = f.subgroup_size});
    if (!made) return made.error();
    const auto a_data = random_factors(s.a, std::size_t{form.rows} * s.m * s.k);
    const auto b_data = random_factors(s.b, std::size_t{form.columns} * s.k * s.n);
    const auto a = new_buffer(a_data.size(), BufferKind::device);
    const auto b = new_buffer(b_data.size(), BufferKind::device);
    const auto out = new_buffer(std::uint64_t{kOutGroups} * form.subgroups * form.rows *
                                    form.columns * s.m * s.n * bytes_of(s.result),
                                BufferKind::device);
    if (!a) return a.error();
    if (!b) return b.error();
    if (!out) return out.error();
    if (const auto status = gpu_.upload(**a, a_data); !status) return status.error();
    if (const auto status = gpu_.upload(**b, b_data); !status) return status.error();
    GpuTrial trial;
    trial.label = fmt::format("{}x{}x{}, {} x {} tiles, {} subgroups a workgroup", s.m, s.n, s.k,
                              form.rows, form.columns, form.subgroups);
    trial.work_per_pass =
        static_cast<double>(kernel.operations_per_turn()) * turns * form.subgroups * kGroupsPerPass;
    const DispatchStep step{*made, {*a, *b, *out}, kGroupsPerPass, {turns, kOutGroups - 1}};
    trial.run = repeat_dispatch(&gpu_, step, f.max_workgroups / kGroupsPerPass);
    trial.check = [gpu = &gpu_, step, kernel, a_data, b_data]() -> hwdb::Status {
      DispatchStep part = step;
      part.push[0] = 3;
      part.workgroups = 1;
      const auto time = gpu->run({.steps = {part}});
      if (!time) return time.error();
      const MatrixShape& shape = kernel.shape;
      const auto results =
          gpu->download(*step.buffers[2], std::uint64_t{kernel.rows} * kernel.columns * shape.m *
                                              shape.n * bytes_of(shape.result));
      if (!results) return results.error();
      return check_matrix(kernel, 3, a_data, b_data, *results);
    };
    figure.trials.push_back(std::move(trial));
  }
  if (figure.trials.empty()) return unsupported("no workgroup is large enough");
  return figure;
}

}  // namespace probes
