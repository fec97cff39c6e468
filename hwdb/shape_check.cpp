// SPDX-License-Identifier: MIT
#include "hwdb/shape_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "hwdb/limits.h"

namespace hwdb {
namespace {

// Widths beyond this are no model's; products of three such still fit 64 bits.
constexpr std::uint64_t kWidth = 1u << 24;

class ShapeCheck {
 public:
  ShapeCheck(const ModelShape& shape, const std::string& where) : shape_(shape), where_(where) {}

  Status run() {
    within("the number of layers", shape_.n_layers, 1, limits::kLayers);
    within("the embedding length", shape_.n_embd, 1, kWidth);
    within("the vocabulary", shape_.n_vocab, 0, limits::kVocabulary);
    if (shape_.n_ctx_train) within("the context length", *shape_.n_ctx_train, 1, limits::kContext);
    if (error_) return *error_;
    lists();
    heads();
    experts();
    rest();
    if (error_) return *error_;
    return Ok{};
  }

 private:
  void fail(std::string_view code, std::string what) {
    if (!error_) error_ = Error{std::string(code), std::move(what), where_, {}};
  }
  void within(std::string_view what, std::uint64_t value, std::uint64_t low, std::uint64_t high) {
    if (value < low || value > high)
      fail("model.range", fmt::format("{} is {}, expected {} to {}", what, value, low, high));
  }
  void lists() {
    for (const auto& [what, list] :
         {std::pair{"heads", &shape_.n_heads}, std::pair{"key/value heads", &shape_.n_kv_heads},
          std::pair{"feed-forward lengths", &shape_.n_ff}}) {
      if (list->varies() && list->values.size() != shape_.n_layers) {
        fail("model.array_length", fmt::format("the list of {} has {} entries for {} layers", what,
                                               list->values.size(), shape_.n_layers));
      }
      for (const std::uint32_t value : list->values) within(what, value, 0, kWidth);
    }
  }
  void heads() {
    if (error_) return;
    for (std::uint32_t i = 0; i < shape_.n_layers; ++i) {
      const std::uint32_t q = shape_.n_heads.at(i), kv = shape_.n_kv_heads.at(i);
      if (kv > 0 && (kv > q || q % kv != 0)) {
        return fail("model.range",
                    fmt::format("layer {} has {} heads and {} key/value heads, expected a divisor",
                                i, q, kv));
      }
    }
    within("the key length of a head", shape_.head_dim_k, 0, kWidth);
    within("the value length of a head", shape_.head_dim_v, 0, kWidth);
  }
  void experts() {
    within("the number of experts", shape_.n_experts, 0, limits::kExperts);
    if (shape_.n_experts > 0) {
      within("the number of experts used", shape_.n_experts_used, 1, shape_.n_experts);
    } else if (shape_.n_experts_used > 0) {
      fail("model.range", fmt::format("{} experts are used of none", shape_.n_experts_used));
    }
    within("the number of shared experts", shape_.n_shared_experts, 0, limits::kExperts);
    within("the width of an expert", shape_.n_ff_expert, 0, kWidth);
    within("the width of the shared experts", shape_.n_ff_shared, 0, kWidth);
  }
  void rest() {
    const RopeShape& rope = shape_.rope;
    for (const double base : {rope.freq_base, rope.freq_base_swa}) {
      if (!std::isfinite(base) || base < 0)
        fail("model.range", fmt::format("the rotary base is {}", base));
    }
    if (!std::isfinite(rope.factor) || rope.factor < 0)
      fail("model.range", fmt::format("the rotary scaling factor is {}", rope.factor));
    within("the sliding window", shape_.sliding_window, 0, limits::kContext);
  }

  const ModelShape& shape_;
  const std::string& where_;
  std::optional<Error> error_;
};

}  // namespace

Status check_shape(const ModelShape& shape, const std::string& where) {
  return ShapeCheck(shape, where).run();
}

PerLayer collapse(std::vector<std::uint32_t> values) {
  PerLayer out;
  const bool same = std::ranges::adjacent_find(values, std::ranges::not_equal_to{}) == values.end();
  if (same && values.size() > 1) values.erase(values.begin() + 1, values.end());
  out.values = std::move(values);
  return out;
}

bool describe_moe_layers(const std::vector<std::uint32_t>& layers, ModelShape* shape) {
  if (layers.empty()) return false;
  const std::uint32_t step = layers.size() > 1 ? layers[1] - layers[0] : 1;
  shape->moe_layer_step = step;
  shape->moe_layer_offset = layers[0] % step;
  shape->first_dense_layers = layers[0] < step ? 0 : layers[0];
  std::vector<std::uint32_t> ruled;
  for (std::uint32_t i = shape->first_dense_layers; i < shape->n_layers; ++i) {
    if (i % step == shape->moe_layer_offset) ruled.push_back(i);
  }
  return ruled == layers;
}

}  // namespace hwdb
