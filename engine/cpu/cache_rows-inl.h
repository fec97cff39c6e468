// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/attention_kernels.h"

/// Rows of the cache in their types: written, and read as vectors.
namespace engine::cpu {
namespace {

inline constexpr std::uint32_t kBlock = 32;  // weights of a Q8_0 or Q4_0 block
inline constexpr std::uint32_t kQ8Bytes = 34, kQ4Bytes = 18;

constexpr std::size_t bytes_of(CacheType type, std::size_t n) {
  switch (type) {
    case CacheType::f32:
      return 4 * n;
    case CacheType::f16:
    case CacheType::bf16:
      return 2 * n;
    case CacheType::q8_0:
      return n / kBlock * kQ8Bytes;
    case CacheType::q4_0:
      return n / kBlock * kQ4Bytes;
  }
  return 0;
}

constexpr bool is_int8(CacheType type) {
  return type == CacheType::q8_0 || type == CacheType::q4_0;
}

inline std::uint16_t load_u16(const std::byte* p) {
  return static_cast<std::uint16_t>(static_cast<unsigned>(p[0]) | static_cast<unsigned>(p[1]) << 8);
}

inline void store_u16(std::uint16_t x, std::byte* p) {
  p[0] = static_cast<std::byte>(x & 0xff);
  p[1] = static_cast<std::byte>(x >> 8);
}

inline const float* as_floats(const std::byte* p) {
  return reinterpret_cast<const float*>(p);
}

/// Asks for `bytes` from p on, to be there when they are read. Never fails, wherever p points.
inline void prefetch(const std::byte* p, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += 64) __builtin_prefetch(p + at, 0, 1);
}

/// The scale of the block that begins at p.
template <class S>
float block_scale(const std::byte* p) {
  return S::half_to_float(load_u16(p));
}

/// kWidth values of a row of type T, from element i (a multiple of kWidth) on, which is whole in
/// the row; blocks without their scale.
template <class S, CacheType T>
typename S::F load_cells(const std::byte* row, std::uint32_t i) {
  if constexpr (T == CacheType::f32) {
    return S::load(as_floats(row) + i);
  } else if constexpr (T == CacheType::f16) {
    return S::load_half(row + 2 * i);
  } else if constexpr (T == CacheType::bf16) {
    return S::load_bfloat(row + 2 * i);
  } else if constexpr (T == CacheType::q8_0) {
    return S::load_int8(row + i / kBlock * kQ8Bytes + 2 + i % kBlock);
  } else {
    const std::byte* quants = row + i / kBlock * kQ4Bytes + 2 + i % (kBlock / 2);
    const int shift = i % kBlock < kBlock / 2 ? 0 : 4;
    return S::sub(S::load_nibbles(quants, shift), S::set(8.0f));
  }
}

/// One value of a row of floats (for what is left of a row after whole vectors).
template <class S, CacheType T>
float load_cell(const std::byte* row, std::uint32_t i) {
  if constexpr (T == CacheType::f32) {
    return as_floats(row)[i];
  } else if constexpr (T == CacheType::f16) {
    return S::half_to_float(load_u16(row + 2 * i));
  } else {
    return __builtin_bit_cast(float, std::uint32_t{load_u16(row + 2 * i)} << 16);
  }
}

/// Decodes the first n values of a row.
template <class S, CacheType T>
void decode_row(const std::byte* row, std::uint32_t n, float* to) {
  constexpr std::uint32_t kWidth = S::kWidth;
  if constexpr (is_int8(T)) {
    for (std::uint32_t block = 0; block < n / kBlock; ++block) {
      const auto scale = S::set(block_scale<S>(row + bytes_of(T, block * kBlock)));
      for (std::uint32_t i = block * kBlock; i < (block + 1) * kBlock; i += kWidth) {
        S::store(to + i, S::mul(load_cells<S, T>(row, i), scale));
      }
    }
  } else {
    std::uint32_t i = 0;
    for (; i + kWidth <= n; i += kWidth) S::store(to + i, load_cells<S, T>(row, i));
    for (; i < n; ++i) to[i] = load_cell<S, T>(row, i);
  }
}

/// The greatest magnitude of a block.
template <class S>
float greatest_magnitude(const float* x) {
  auto greatest = S::zero();
  for (std::uint32_t i = 0; i < kBlock; i += S::kWidth) {
    greatest = S::max(greatest, S::abs(S::load(x + i)));
  }
  return S::greatest(greatest);
}

/// Quantizes a block to whole numbers of -127...127 and returns the scale.
template <class S>
float quantize_block(const float* x, std::byte* to) {
  const float scale = greatest_magnitude<S>(x) / 127.0f;
  // The reciprocal of a subnormal scale is infinite.
  const auto factor = S::set(scale > 1e-37f ? 1.0f / scale : 0.0f);
  for (std::uint32_t i = 0; i < kBlock; i += S::kWidth) {
    S::store_int8(to + i, S::round(S::mul(S::load(x + i), factor)));
  }
  return scale;
}

/// The block's extreme value becomes -8, as in GGUF files.
template <class S>
void store_q4_block(const float* x, std::byte* to) {
  const float greatest = greatest_magnitude<S>(x);
  float extreme = greatest;
  for (std::uint32_t i = 0; i < kBlock; ++i) {
    if (x[i] == greatest) break;
    if (x[i] == -greatest) {
      extreme = -greatest;
      break;
    }
  }
  const float scale = extreme / -8.0f;
  const float factor = greatest > 1e-36f ? 1.0f / scale : 0.0f;
  store_u16(S::float_to_half(scale), to);
  auto level = [&](float value) {
    const float moved = value * factor + 8.5f;
    return moved < 15.0f ? static_cast<unsigned>(moved) : 15u;
  };
  for (std::uint32_t i = 0; i < kBlock / 2; ++i) {
    to[2 + i] = static_cast<std::byte>(level(x[i]) | level(x[i + kBlock / 2]) << 4);
  }
}

template <class S>
void store_row(CacheType type, const float* from, std::size_t n, std::byte* to) {
  constexpr std::size_t kWidth = S::kWidth;
  std::size_t i = 0;
  switch (type) {
    case CacheType::f32:
      for (; i + kWidth <= n; i += kWidth) {
        S::store(reinterpret_cast<float*>(to) + i, S::load(from + i));
      }
      for (; i < n; ++i) reinterpret_cast<float*>(to)[i] = from[i];
      break;
    case CacheType::f16:
      for (; i + kWidth <= n; i += kWidth) S::store_half(to + 2 * i, S::load(from + i));
      for (; i < n; ++i) store_u16(S::float_to_half(from[i]), to + 2 * i);
      break;
    case CacheType::bf16:
      for (; i + kWidth <= n; i += kWidth) S::store_bfloat(to + 2 * i, S::load(from + i));
      for (; i < n; ++i) {
        const auto bits = __builtin_bit_cast(std::uint32_t, from[i]);
        store_u16(static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16),
                  to + 2 * i);
      }
      break;
    case CacheType::q8_0:
      for (; i < n; i += kBlock, to += kQ8Bytes) {
        store_u16(S::float_to_half(quantize_block<S>(from + i, to + 2)), to);
      }
      break;
    case CacheType::q4_0:
      for (; i < n; i += kBlock, to += kQ4Bytes) store_q4_block<S>(from + i, to);
      break;
  }
}

}  // namespace
}  // namespace engine::cpu
