// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

/// The kernels of shaders/*.comp as SPIR-V. Specialization constant 0 is the workgroup's size, 1
/// the steps of a thread where the kernel has them.
namespace probes::gpu_shaders {

std::span<const std::uint32_t> fill();   // buffers: out; push: words, seed
std::span<const std::uint32_t> read();   // in, sums; push: n of 16 bytes, chunks
std::span<const std::uint32_t> write();  // out; push: n of 16 bytes, seed
std::span<const std::uint32_t> copy();   // in, out; push: n of 16 bytes

// Arithmetic, named by kind, source of the factors and chains a thread. Buffers: in, sums; push:
// turns, mask of in, mask of sums, a factor (float).
std::span<const std::uint32_t> fma_fp32_own_16();
std::span<const std::uint32_t> fma_fp32_shared_16();
std::span<const std::uint32_t> fma_fp32_shared_32();
std::span<const std::uint32_t> fma_fp32_constant_32();
std::span<const std::uint32_t> fma_fp16_16();
std::span<const std::uint32_t> fma_fp16_32();
std::span<const std::uint32_t> dot_int8_16();
std::span<const std::uint32_t> dot_int8_32();

}  // namespace probes::gpu_shaders
