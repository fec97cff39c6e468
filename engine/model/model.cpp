// SPDX-License-Identifier: MIT
#include "engine/model/model.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "engine/model/model_params.h"
#include "engine/model/model_weights.h"
#include "engine/model/run_traits.h"
#include "engine/model/weight_loader.h"
#include "hwdb/gguf.h"
#include "hwdb/gguf_split.h"
#include "hwdb/model_file.h"
#include "hwdb/text_escape.h"

namespace engine {

using hwdb::Error;
using hwdb::Ok;
using hwdb::Result;
using hwdb::Status;

struct Model::Data {
  hwdb::ModelFile file;
  hwdb::ModelCosts costs;
  ModelParams params;
  ModelWeights weights;
  std::optional<Tokenizer> tokenizer;
  std::optional<Error> tokenizer_error;
  std::string chat_template;
};

namespace {

/// A file's headers, opened anew because hwdb keeps the shape and not the keys.
struct OpenShards {
  std::vector<hwdb::GgufFile> headers;
  std::shared_ptr<const std::vector<Shard>> shards;
};

Result<OpenShards> open_shards(const hwdb::ModelFile& file) {
  OpenShards open;
  std::vector<Shard> shards;
  for (const std::string& path : file.paths) {
    auto header_file = hwdb::FileReader::open(path);
    if (!header_file) return header_file.error();
    auto header = hwdb::GgufFile::open(std::move(*header_file));
    if (!header) return header.error();
    auto data_file = hwdb::FileReader::open(path);
    if (!data_file) return data_file.error();
    shards.push_back({std::move(*data_file), header->header_bytes()});
    open.headers.push_back(std::move(*header));
  }
  open.shards = std::make_shared<const std::vector<Shard>>(std::move(shards));
  return open;
}

/// What a shape may have that no row of run traits stands for.
Status check_shape(const hwdb::ModelFile& file) {
  const hwdb::ModelShape& s = file.shape;
  const char* lacking = nullptr;
  if (s.ssm || s.hybrid) lacking = "recurrent layers";
  if (s.per_layer_dim > 0 || s.altup_inputs > 0) lacking = "per-layer embeddings";
  if (s.indexer) lacking = "a sparse-attention index";
  if (s.attn_output_gate) lacking = "a gate on attention's output";
  if (s.kv_shared_layers > 0) lacking = "layers that share a cache";
  if (s.qk_norm == hwdb::ModelShape::QkNorm::per_head) lacking = "norms of its own for every head";
  if (s.alibi) lacking = "linear position biases";
  if (s.expert_latent_dim > 0) lacking = "experts in a space of their own";
  if (s.dense_ffn_beside_experts) lacking = "a dense FFN beside experts";
  if (lacking == nullptr) return Ok{};
  return Error{"run.architecture", fmt::format("the engine does not run {}", lacking),
               file.paths.empty() ? std::string() : hwdb::escape_text(file.paths.front()),
               "plans and inspect work for it all the same"};
}

}  // namespace

Status check_runnable(const hwdb::ModelFile& file) {
  const std::string where = file.paths.empty() ? "" : hwdb::escape_text(file.paths.front());
  if (file.format != hwdb::ModelFile::Format::gguf) {
    return Error{"run.architecture", "the engine runs GGUF files only", where,
                 "plans work for it all the same"};
  }
  if (Status s = hwdb::check_plannable(file); !s) return s;
  if (find_run_traits(file.shape.architecture) == nullptr) {
    return Error{"run.architecture",
                 fmt::format("the engine does not run architecture '{}'",
                             hwdb::escape_text(file.shape.architecture)),
                 where, "plans and inspect work for it all the same"};
  }
  if (Status s = check_shape(file); !s) return s;
  return check_types(file);
}

Model::Model(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::open(const std::string& path, ThreadPool& pool,
                                           const ModelOptions& options) {
  auto file = hwdb::open_gguf(path);
  if (!file) return file.error();
  if (Status s = check_runnable(*file); !s) return s.error();
  auto open = open_shards(*file);
  if (!open) return open.error();
  auto data = std::make_unique<Data>();
  data->file = std::move(*file);
  const hwdb::GgufFile& keys = open->headers.front();
  auto factors = read_rope_factors(data->file, *open->shards);
  if (!factors) return factors.error();
  auto params = read_model_params(keys, data->file.shape, *factors);
  if (!params) return params.error();
  data->params = std::move(*params);
  auto costs = hwdb::model_costs_of_file(data->file);
  if (!costs) return costs.error();
  data->costs = std::move(*costs);
  auto tokenizer = Tokenizer::open(keys);
  if (tokenizer) {
    data->tokenizer.emplace(std::move(*tokenizer));
  } else {
    data->tokenizer_error = tokenizer.error();
  }
  if (auto text = keys.text("tokenizer.chat_template"); text) {
    data->chat_template = text->value_or("");
  }
  auto weights = load_weights(data->file, data->params, open->shards, pool, options);
  if (!weights) return weights.error();
  data->weights = std::move(*weights);
  return std::unique_ptr<Model>(new Model(std::move(data)));
}

const hwdb::ModelFile& Model::file() const {
  return data_->file;
}
const hwdb::ModelShape& Model::shape() const {
  return data_->file.shape;
}
const hwdb::ModelCosts& Model::costs() const {
  return data_->costs;
}
const ModelParams& Model::params() const {
  return data_->params;
}
const ModelWeights& Model::weights() const {
  return data_->weights;
}
const Tokenizer* Model::tokenizer() const {
  return data_->tokenizer ? &*data_->tokenizer : nullptr;
}
const std::optional<Error>& Model::tokenizer_error() const {
  return data_->tokenizer_error;
}
const std::string& Model::chat_template() const {
  return data_->chat_template;
}
std::uint64_t Model::own_bytes() const {
  return data_->weights.own_bytes;
}

}  // namespace engine
