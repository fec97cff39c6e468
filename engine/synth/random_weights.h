// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/runtime/thread_pool.h"
#include "engine/synth/weight_rule.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace engine {

/// The seed of one tensor.
std::uint64_t tensor_seed(std::uint64_t seed, std::string_view name);

/// Writes elements first, first + 1, ... of an endless random sequence; each depends on the seed
/// and its number alone. Bell-shaped: a sum of four even numbers, made of integers, so that it is
/// the same on every machine.
void fill_random(std::uint64_t seed, std::uint64_t first, float mean, float spread,
                 std::span<float> to);

/// Encoded random weights. Small tensors are made weight by weight; large quantized ones are put
/// together from a stock of encoded pieces, because encoding is slow.
class RandomWeights {
 public:
  RandomWeights(std::uint64_t seed, ThreadPool& pool) : seed_(seed), pool_(pool) {}

  /// The pieces that a tensor's bytes consist of. Error: quant.unsupported (a type that the engine
  /// has no encoder or decoder for).
  struct Source {
    hwdb::TensorType type{};
    WeightRule rule;
    std::uint64_t seed = 0;
    std::uint32_t piece_weights = 0, piece_bytes = 0;
    std::uint64_t n_pieces = 0;
    const std::vector<std::byte>* stock = nullptr;  // null: pieces are made one by one
  };
  hwdb::Result<Source> open(const hwdb::TensorInfo& tensor, WeightRule rule);

  /// Writes pieces first, first + 1, ... into `to`, which is a whole number of pieces; in parallel.
  void make(const Source& source, std::uint64_t first, std::span<std::byte> to) const;

 private:
  hwdb::Result<const std::vector<std::byte>*> stock(const Source& like);
  std::uint64_t seed_;
  ThreadPool& pool_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::vector<std::byte>> stocks_;
};

}  // namespace engine
