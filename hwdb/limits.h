// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

/// The hard limits on untrusted input. Each has a test at the limit and one past it.
namespace hwdb::limits {

inline constexpr std::uint64_t kGgufKeyBytes = 65'535;
inline constexpr std::uint64_t kGgufTensorNameBytes = 64;
inline constexpr std::uint64_t kGgufStringBytes = 16ull << 20;
inline constexpr std::uint64_t kGgufArrayElements = 64ull << 20;
// Strings cost a pass each: twice the largest vocabulary, which leaves room for its merges.
inline constexpr std::uint64_t kGgufArrayStrings = 32ull << 20;
inline constexpr std::uint64_t kGgufKeys = 65'536;
inline constexpr std::uint64_t kGgufTensors = 1'048'576;
inline constexpr std::uint64_t kAlignmentMax = 65'536;
inline constexpr std::uint32_t kGgufDims = 4;
inline constexpr std::uint32_t kSafetensorsDims = 16;
inline constexpr std::uint64_t kSafetensorsHeaderBytes = 100'000'000;
inline constexpr std::uint64_t kConfigJsonBytes = 10ull << 20;
inline constexpr std::uint64_t kIndexJsonBytes = 100'000'000;
inline constexpr std::uint32_t kJsonDepth = 64;
inline constexpr std::uint32_t kShards = 4096;
inline constexpr std::uint32_t kLayers = 1024;
inline constexpr std::uint32_t kExperts = 65'536;
inline constexpr std::uint64_t kVocabulary = 1ull << 24;
inline constexpr std::uint64_t kContext = 1ull << 31;

}  // namespace hwdb::limits
