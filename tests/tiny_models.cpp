// SPDX-License-Identifier: MIT
#include "tests/tiny_models.h"

#include <algorithm>
#include <stdexcept>

#include "engine/runtime/thread_pool.h"
#include "engine/synth/synthesize.h"
#include "hwdb/catalog.h"

namespace tests {
namespace {

constexpr std::uint32_t kLayers = 4, kWidth = 256, kHeads = 4, kHeadDim = 64, kFfn = 512,
                        kVocab = 512, kExperts = 8, kWindow = 24;

std::runtime_error failure(const hwdb::Error& error) {
  return std::runtime_error(error.code + ": " + error.what);
}

void narrow(hwdb::AttentionVariant* variant) {
  if (variant->n_heads > 0) variant->n_heads = kHeads;
  if (variant->n_kv_heads > 0) variant->n_kv_heads = 1;
  if (variant->head_dim_k > 0) variant->head_dim_k = kHeadDim;
  if (variant->head_dim_v > 0) variant->head_dim_v = kHeadDim;
}

}  // namespace

hwdb::ModelShape tiny_shape(const std::string& catalog_model) {
  const auto row = hwdb::Catalog::builtin().find_model(catalog_model);
  if (!row) throw failure(row.error());
  engine::SynthCuts cuts;
  cuts.n_layers = std::min(kLayers, (*row)->shape.n_layers);
  cuts.n_vocab = kVocab;
  if ((*row)->shape.n_experts > 0)
    cuts.n_experts = std::max(kExperts, (*row)->shape.n_experts_used);
  hwdb::ModelShape shape = engine::cut_shape((*row)->shape, cuts);
  const bool grouped = shape.n_kv_heads.at(0) != shape.n_heads.at(0);
  shape.n_embd = kWidth;
  shape.n_heads = kHeads;
  shape.n_kv_heads = grouped ? 2 : kHeads;
  shape.n_ff = kFfn;
  if (shape.head_dim_k > 0) shape.head_dim_k = kHeadDim;
  if (shape.head_dim_v > 0) shape.head_dim_v = kHeadDim;
  // Some architectures have one key for both widths.
  if (shape.n_ff_expert > 0) shape.n_ff_expert = kFfn;
  if (shape.n_ff_shared > 0) shape.n_ff_shared = kFfn;
  if (shape.sliding_window > 0) shape.sliding_window = kWindow;
  if (shape.global_variant) narrow(&*shape.global_variant);
  if (shape.sliding_variant) narrow(&*shape.sliding_variant);
  if (shape.mla) {
    shape.n_kv_heads = kHeads;
    shape.mla->kv_lora_rank = kWidth;
    if (shape.mla->q_lora_rank > 0) shape.mla->q_lora_rank = kWidth;
    shape.mla->qk_nope_dim = kHeadDim;
    shape.mla->qk_rope_dim = kHeadDim;
    shape.mla->v_head_dim = kHeadDim;
    shape.head_dim_k = 2 * kHeadDim;
    shape.head_dim_v = kHeadDim;
  }
  return shape;
}

void write_tiny_model(const std::string& catalog_model, const std::string& preset,
                      const std::string& path) {
  engine::SynthRequest request;
  request.preset = preset;
  const auto file = engine::plan_synth(tiny_shape(catalog_model), request);
  if (!file) throw failure(file.error());
  engine::ThreadPool pool(2);
  engine::SynthWriting writing;
  writing.overwrite = true;
  const auto written = engine::write_synth(*file, path, pool, writing);
  if (!written) throw failure(written.error());
}

}  // namespace tests
