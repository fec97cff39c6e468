// SPDX-License-Identifier: MIT
#include "engine/run/context.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/model/model_weights.h"
#include "engine/run/forward_pass.h"
#include "engine/run/kv_cache.h"

namespace engine {
namespace {

using hwdb::Error;
using hwdb::Ok;
using hwdb::Result;
using hwdb::Status;

constexpr std::uint32_t kDefaultContext = 4096;

}  // namespace

struct Context::Data {
  Data(const Model& used_model, ContextOptions used, KvCache used_cache,
       std::unique_ptr<ForwardPass> used_pass)
      : model(used_model),
        options(used),
        cache(std::move(used_cache)),
        pass(std::move(used_pass)),
        lengths(used.n_seq) {}

  const Model& model;
  ContextOptions options;
  KvCache cache;
  std::unique_ptr<ForwardPass> pass;
  std::vector<std::uint32_t> lengths;  // of the sequences
  std::vector<float> logits;
  OpCounts counts;

  // Of the pass at hand.
  std::vector<TokenId> tokens;
  std::vector<cpu::TokenPlace> places;
  std::vector<std::uint32_t> wanted;

  Status check(std::span<const BatchToken> batch) const;
};

Context::Context(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Context::~Context() = default;

Result<std::unique_ptr<Context>> Context::make(const Model& model, ThreadPool& pool,
                                               const ContextOptions& asked) {
  ContextOptions options = asked;
  if (options.n_ctx == 0) {
    options.n_ctx = static_cast<std::uint32_t>(std::min<std::uint64_t>(
        model.shape().n_ctx_train.value_or(kDefaultContext), kDefaultContext));
  }
  if (options.n_seq == 0 || options.n_ubatch == 0) {
    return Error{
        "model.range", "there must be at least one sequence and one token in a pass", {}, {}};
  }
  const std::uint64_t all = std::uint64_t{options.n_ctx} * options.n_seq;
  const hwdb::CacheRequest request{.n_ctx = all,
                                   .n_seq = options.n_seq,
                                   .n_ubatch = options.n_ubatch,
                                   .type_k = options.type_k,
                                   .type_v = options.type_v,
                                   .runtime = hwdb::Runtime::tokwatt};
  auto cache = KvCache::make(model.shape(), model.params().layers, request);
  if (!cache) return cache.error();
  auto pass = ForwardPass::make(model, pool, options.n_ubatch, options.n_ctx);
  if (!pass) return pass.error();
  return std::unique_ptr<Context>(
      new Context(std::make_unique<Data>(model, options, std::move(*cache), std::move(*pass))));
}

Status Context::Data::check(std::span<const BatchToken> batch) const {
  std::vector<std::uint64_t> after(lengths.begin(), lengths.end());
  const std::uint64_t n_vocab = model.weights().token_embedding->n_rows;
  for (const BatchToken& token : batch) {
    if (token.sequence >= options.n_seq) {
      return Error{
          "run.token", fmt::format("sequence {} of {}", token.sequence, options.n_seq), {}, {}};
    }
    if (token.token < 0 || static_cast<std::uint64_t>(token.token) >= n_vocab) {
      return Error{"run.token",
                   fmt::format("token {} is outside the vocabulary of {}", token.token, n_vocab),
                   {},
                   {}};
    }
    ++after[token.sequence];
  }
  std::uint64_t limit = options.n_ctx;
  const std::uint64_t learned = model.shape().learned_positions;
  if (learned > 0) limit = std::min(limit, learned);
  for (const std::uint64_t length : after) {
    if (length <= limit) continue;
    return Error{"run.context_full",
                 fmt::format("{} tokens do not fit a context of {}", length, limit),
                 {},
                 "give a larger -c; the context is never shifted"};
  }
  return Ok{};
}

Status Context::decode(std::span<const BatchToken> batch) {
  Data& d = *data_;
  if (Status s = d.check(batch); !s) return s;
  const std::size_t n_vocab = d.model.weights().output.weights.n_rows;
  const auto n_wanted =
      static_cast<std::size_t>(std::ranges::count_if(batch, &BatchToken::wants_logits));
  d.logits.resize(n_wanted * n_vocab);
  std::size_t done_rows = 0;
  for (std::size_t first = 0; first < batch.size(); first += d.options.n_ubatch) {
    const std::size_t n = std::min<std::size_t>(d.options.n_ubatch, batch.size() - first);
    d.tokens.clear();
    d.places.clear();
    d.wanted.clear();
    std::vector<std::uint32_t> lengths = d.lengths;
    for (std::size_t i = 0; i < n; ++i) {
      const BatchToken& token = batch[first + i];
      d.tokens.push_back(token.token);
      d.places.push_back({token.sequence, lengths[token.sequence]++});
      if (token.wants_logits) d.wanted.push_back(static_cast<std::uint32_t>(i));
    }
    if (Status s = d.pass->run(d.cache, d.tokens, d.places, d.wanted, d.options.cancel,
                               d.logits.data() + done_rows * n_vocab, &d.counts);
        !s) {
      return s;
    }
    d.lengths = std::move(lengths);
    done_rows += d.wanted.size();
  }
  return Ok{};
}

std::span<const float> Context::logits(std::size_t i) const {
  const std::size_t n_vocab = data_->model.weights().output.weights.n_rows;
  return std::span<const float>(data_->logits).subspan(i * n_vocab, n_vocab);
}

std::uint32_t Context::length(std::uint32_t sequence) const {
  return data_->lengths[sequence];
}

Status Context::truncate(std::uint32_t sequence, std::uint32_t from) {
  std::uint32_t& length = data_->lengths[sequence];
  const std::uint32_t window = data_->cache.shortest_window();
  // Ring cells behind the window may hold newer tokens by now.
  if (from > 0 && from < length && window > 0 && length > window) {
    return Error{
        "run.window",
        fmt::format("layers with a window of {} no longer hold what {} tokens need", window, from),
        {},
        "begin the sequence again"};
  }
  length = std::min(length, from);
  return Ok{};
}

std::uint32_t Context::n_ctx() const {
  return data_->options.n_ctx;
}
const ContextOptions& Context::options() const {
  return data_->options;
}
std::uint64_t Context::cache_bytes() const {
  return data_->cache.bytes();
}
std::uint64_t Context::scratch_bytes() const {
  return data_->pass->scratch_bytes() + data_->logits.capacity() * sizeof(float);
}
const OpCounts& Context::counts() const {
  return data_->counts;
}
void Context::reset_counts() {
  data_->counts = {};
}

}  // namespace engine
