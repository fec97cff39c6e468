// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/runtime/vulkan_compute.h"

/// What the kernels of gpu_shaders and matrix_shader must compute, in plain loops.
namespace probes::gpu_reference {

/// Word i of a filled buffer is hash(i + seed).
std::uint32_t hash(std::uint32_t x);
/// The sum, modulo 2^32, of n words of a filled buffer from word `first` on.
std::uint32_t sum_of_words(std::uint32_t first, std::uint32_t n, std::uint32_t seed);

enum class Factors { own, shared, constant };
/// One arithmetic kernel: `chains` a thread, in vectors of four for fp32, in pairs for fp16.
struct ChainForm {
  engine::NumberType type = engine::NumberType::float32;  // float32, float16 or sint8
  std::uint32_t chains = 16;                              // for fp32 a multiple of 4
  Factors factors = Factors::shared;                      // fp32 only
};
/// What invocation `id` writes after `turns` turns, from the words of the input buffer (a power of
/// two of vec4 or, for sint8, of words). Floats come as their bits.
std::uint32_t chain_result(const ChainForm& form, std::span<const std::uint32_t> words,
                           std::uint32_t id, std::uint32_t turns, float factor);

/// The nearest half, as a double.
double rounded_to_half(double value);
/// One element of a buffer of such numbers.
double element(engine::NumberType type, std::span<const std::byte> bytes, std::size_t index);

}  // namespace probes::gpu_reference
