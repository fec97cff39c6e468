// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/model/model.h"
#include "engine/run/op_counts.h"
#include "engine/runtime/thread_pool.h"
#include "hwdb/kv_cache.h"
#include "hwdb/result.h"

namespace engine {

struct ContextOptions {
  std::uint32_t n_ctx =
      0;  // tokens of each sequence; 0: what the model was trained for, at most 4096
  std::uint32_t n_seq = 1;       // sequences side by side
  std::uint32_t n_ubatch = 512;  // tokens of one pass over the weights
  hwdb::TensorType type_k = hwdb::kDefaultCacheType, type_v = hwdb::kDefaultCacheType;
  const std::atomic<bool>* cancel = nullptr;  // set: decode ends with run.interrupted
};

/// One token to be run.
struct BatchToken {
  TokenId token = 0;
  std::uint32_t sequence = 0;
  bool wants_logits = false;
};

/// A model at work: its cache, its scratch memory and its pool. Not for several threads.
class Context {
 public:
  /// Errors: run.memory (the bytes that were asked for), cache.type, model.range.
  static hwdb::Result<std::unique_ptr<Context>> make(const Model& model, ThreadPool& pool,
                                                     const ContextOptions& options);
  ~Context();

  /// Runs tokens, each at the end of its sequence, in passes of at most n_ubatch. Tokens of one
  /// sequence stand in their order; sequences may be mixed. Errors: run.context_full (nothing was
  /// run: the context is not shifted), run.token (an id outside the vocabulary), run.interrupted
  /// (sequences keep what was run).
  hwdb::Status decode(std::span<const BatchToken> tokens);

  /// Logits of the i-th token of the last decode that wanted them: n_vocab floats, valid until the
  /// next decode.
  std::span<const float> logits(std::size_t i) const;

  /// Tokens that a sequence holds.
  std::uint32_t length(std::uint32_t sequence) const;
  /// Forgets a sequence's tokens from position `from` on. Error: run.window when layers with a
  /// sliding window no longer hold what lies before (0 always works).
  hwdb::Status truncate(std::uint32_t sequence, std::uint32_t from);

  std::uint32_t n_ctx() const;
  const ContextOptions& options() const;
  /// Bytes of the cache as allocated, and of scratch memory.
  std::uint64_t cache_bytes() const;
  std::uint64_t scratch_bytes() const;
  /// Since the context was made or reset_counts.
  const OpCounts& counts() const;
  void reset_counts();

 private:
  struct Data;
  explicit Context(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace engine
