// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>

#include "engine/runtime/thread_pool.h"
#include "engine/synth/synthesize.h"
#include "hwdb/catalog.h"

/// Models so small that they run in a test: few and narrow layers, the traits of their architecture
/// (windows, experts, latents, norms) as they are.
namespace engine::testing {

inline constexpr std::uint32_t kTinyWidth = 256, kTinyHeads = 4, kTinyHeadDim = 64, kTinyFfn = 512,
                               kTinyWindow = 24;

inline void narrow(hwdb::AttentionVariant* variant) {
  if (variant->n_heads > 0) variant->n_heads = kTinyHeads;
  if (variant->n_kv_heads > 0) variant->n_kv_heads = 1;
  if (variant->head_dim_k > 0) variant->head_dim_k = kTinyHeadDim;
  if (variant->head_dim_v > 0) variant->head_dim_v = kTinyHeadDim;
}

/// Makes a shape tiny: four layers, eight experts.
inline hwdb::ModelShape tiny_shape(const hwdb::ModelShape& full, std::uint64_t n_vocab) {
  SynthCuts cuts;
  cuts.n_layers = std::min(4u, full.n_layers);
  cuts.n_vocab = n_vocab;
  if (full.n_experts > 0) cuts.n_experts = std::max(8u, full.n_experts_used);
  hwdb::ModelShape shape = cut_shape(full, cuts);
  const bool grouped = shape.n_kv_heads.at(0) != shape.n_heads.at(0);
  shape.n_embd = kTinyWidth;
  shape.n_heads = kTinyHeads;
  shape.n_kv_heads = grouped ? 2 : kTinyHeads;
  shape.n_ff = kTinyFfn;
  if (shape.head_dim_k > 0) shape.head_dim_k = kTinyHeadDim;
  if (shape.head_dim_v > 0) shape.head_dim_v = kTinyHeadDim;
  // Some architectures have one key for both widths.
  if (shape.n_ff_expert > 0) shape.n_ff_expert = kTinyFfn;
  if (shape.n_ff_shared > 0) shape.n_ff_shared = kTinyFfn;
  if (shape.sliding_window > 0) shape.sliding_window = kTinyWindow;
  if (shape.global_variant) narrow(&*shape.global_variant);
  if (shape.sliding_variant) narrow(&*shape.sliding_variant);
  if (shape.mla) {
    shape.n_kv_heads = kTinyHeads;
    shape.mla->kv_lora_rank = kTinyWidth;
    if (shape.mla->q_lora_rank > 0) shape.mla->q_lora_rank = kTinyWidth;
    shape.mla->qk_nope_dim = shape.mla->qk_rope_dim = shape.mla->v_head_dim = kTinyHeadDim;
    shape.head_dim_k = 2 * kTinyHeadDim;
    shape.head_dim_v = kTinyHeadDim;
  }
  return shape;
}

/// Writes a model of the catalogue so, with random weights whose types follow the preset's rules.
/// Throws std::runtime_error with what went wrong.
inline void write_tiny_model(const std::string& catalog_model, const std::string& preset,
                             const std::string& path, std::uint64_t n_vocab = 512) {
  const auto check = [](const auto& result) {
    if (!result) throw std::runtime_error(result.error().code + ": " + result.error().what);
  };
  const auto row = hwdb::Catalog::builtin().find_model(catalog_model);
  check(row);
  SynthRequest request;
  request.preset = preset;
  const auto file = plan_synth(tiny_shape((*row)->shape, n_vocab), request);
  check(file);
  ThreadPool pool(2);
  SynthWriting writing;
  writing.overwrite = true;
  check(write_synth(*file, path, pool, writing));
}

}  // namespace engine::testing
