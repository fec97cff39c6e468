// SPDX-License-Identifier: MIT
#include "probes/measure/gpu_shaders.h"

namespace probes::gpu_shaders {
namespace {
// Written by the build from shaders/NAME.comp.
#include "probes/measure/shaders/copy.spv.h"
#include "probes/measure/shaders/dot_int8.spv.h"
#include "probes/measure/shaders/fill.spv.h"
#include "probes/measure/shaders/fma_fp16.spv.h"
#include "probes/measure/shaders/fma_fp32.spv.h"
#include "probes/measure/shaders/read.spv.h"
#include "probes/measure/shaders/write.spv.h"
}  // namespace

std::span<const std::uint32_t> fill() {
  return kSpirv_fill;
}
std::span<const std::uint32_t> read() {
  return kSpirv_read;
}
std::span<const std::uint32_t> write() {
  return kSpirv_write;
}
std::span<const std::uint32_t> copy() {
  return kSpirv_copy;
}
std::span<const std::uint32_t> fma_fp32() {
  return kSpirv_fma_fp32;
}
std::span<const std::uint32_t> fma_fp16() {
  return kSpirv_fma_fp16;
}
std::span<const std::uint32_t> dot_int8() {
  return kSpirv_dot_int8;
}

}  // namespace probes::gpu_shaders
