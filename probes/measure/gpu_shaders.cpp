// SPDX-License-Identifier: MIT
#include "probes/measure/gpu_shaders.h"

namespace probes::gpu_shaders {
namespace {
// Written by the build from shaders/*.comp.
#include "probes/measure/shaders/copy.spv.h"
#include "probes/measure/shaders/dot_int8_16.spv.h"
#include "probes/measure/shaders/dot_int8_32.spv.h"
#include "probes/measure/shaders/fill.spv.h"
#include "probes/measure/shaders/fma_fp16_16.spv.h"
#include "probes/measure/shaders/fma_fp16_32.spv.h"
#include "probes/measure/shaders/fma_fp32_constant_32.spv.h"
#include "probes/measure/shaders/fma_fp32_own_16.spv.h"
#include "probes/measure/shaders/fma_fp32_shared_16.spv.h"
#include "probes/measure/shaders/fma_fp32_shared_32.spv.h"
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
std::span<const std::uint32_t> fma_fp32_own_16() {
  return kSpirv_fma_fp32_own_16;
}
std::span<const std::uint32_t> fma_fp32_shared_16() {
  return kSpirv_fma_fp32_shared_16;
}
std::span<const std::uint32_t> fma_fp32_shared_32() {
  return kSpirv_fma_fp32_shared_32;
}
std::span<const std::uint32_t> fma_fp32_constant_32() {
  return kSpirv_fma_fp32_constant_32;
}
std::span<const std::uint32_t> fma_fp16_16() {
  return kSpirv_fma_fp16_16;
}
std::span<const std::uint32_t> fma_fp16_32() {
  return kSpirv_fma_fp16_32;
}
std::span<const std::uint32_t> dot_int8_16() {
  return kSpirv_dot_int8_16;
}
std::span<const std::uint32_t> dot_int8_32() {
  return kSpirv_dot_int8_32;
}

}  // namespace probes::gpu_shaders
