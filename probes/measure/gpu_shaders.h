// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

/// The kernels of shaders/*.comp as SPIR-V. Specialization constant 0 is the workgroup's size, 1
/// the steps of a thread where the kernel has them.
namespace probes::gpu_shaders {

std::span<const std::uint32_t> fill();      // buffers: out; push: words, seed
std::span<const std::uint32_t> read();      // in, sums; push: n of 16 bytes
std::span<const std::uint32_t> write();     // out; push: n of 16 bytes, seed
std::span<const std::uint32_t> copy();      // in, out; push: n of 16 bytes
std::span<const std::uint32_t> fma_fp32();  // in, sums; push: turns, mask of in, mask of sums
std::span<const std::uint32_t> fma_fp16();  // likewise
std::span<const std::uint32_t> dot_int8();  // likewise

}  // namespace probes::gpu_shaders
