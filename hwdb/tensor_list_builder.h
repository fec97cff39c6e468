// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/tensor_traits.h"
#include "hwdb/weight_plan.h"

/// Shared by the files that write the tensor list; not for use outside.
namespace hwdb {

/// Collects the tensors of one model; remembers an overflow instead of failing at each call.
class ListBuilder {
 public:
  ListBuilder(const ModelShape& shape, const TensorTraits& traits)
      : shape_(shape), traits_(traits), layers_(layers_of(shape)) {
    tensors_.reserve(layers_.size() * 20 + 8);
  }

  Result<std::vector<PlannedTensor>> build();

 private:
  using Dims = std::array<std::uint64_t, 4>;
  static constexpr std::int32_t kNoLayer = -1;

  void add(std::string name, Dims dims, TensorRole role, std::int32_t layer);
  void global(std::string_view name, Dims dims, TensorRole role) {
    add(std::string(name), dims, role, kNoLayer);
  }
  void block(std::string_view name, Dims dims, TensorRole role) {
    add(prefix_ + std::string(name), dims, is_mtp_ ? TensorRole::mtp : role,
        static_cast<std::int32_t>(layer_));
  }
  void norm(std::string_view name, std::uint64_t width, TensorRole role);
  void head_and_tail_before_blocks();
  void after_blocks();
  void add_block(const LayerShape& layer);
  void add_norms(const LayerShape& layer);
  void add_qkv(const LayerShape& layer);
  void add_attention(const LayerShape& layer);
  void add_latent_attention(const LayerShape& layer);
  void add_indexer();
  void add_recurrent(const SsmShape& ssm);
  void add_mamba1(const SsmShape& ssm);
  void add_mamba2(const SsmShape& ssm);
  void add_gated_deltanet(const SsmShape& ssm);
  void add_kda(const SsmShape& ssm);
  void add_lightning(const SsmShape& ssm);
  void add_short_conv(const SsmShape& ssm);
  void add_rwkv7(const SsmShape& ssm);
  void add_ffn(const LayerShape& layer);
  void add_experts(const LayerShape& layer);
  void add_per_layer_inputs();
  void add_altup();
  void add_mtp_block(std::uint32_t index);

  const ModelShape& shape_;
  const TensorTraits& traits_;
  std::vector<LayerShape> layers_;
  std::vector<PlannedTensor> tensors_;
  std::string prefix_;
  std::uint32_t layer_ = 0;
  bool is_mtp_ = false;
  bool overflow_ = false;
  std::string missing_;  // the first size that the shape lacks
};

}  // namespace hwdb
