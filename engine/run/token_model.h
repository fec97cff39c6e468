// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/run/context.h"
#include "hwdb/result.h"

namespace engine {

/// What measuring needs of a context: tests put a model in its place whose answers are known.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  /// As Context's.
  virtual hwdb::Status decode(std::span<const BatchToken> tokens) = 0;
  virtual std::span<const float> logits(std::size_t i) const = 0;
  virtual hwdb::Status truncate(std::uint32_t sequence, std::uint32_t from) = 0;
  virtual const OpCounts& counts() const = 0;
  virtual void reset_counts() = 0;
  virtual std::size_t n_vocab() const = 0;
};

/// A context as such a model. It must outlive this.
class ContextModel final : public TokenModel {
 public:
  ContextModel(const Model& model, Context& context)
      : context_(context), n_vocab_(static_cast<std::size_t>(model.shape().n_vocab)) {}
  hwdb::Status decode(std::span<const BatchToken> tokens) override {
    return context_.decode(tokens);
  }
  std::span<const float> logits(std::size_t i) const override { return context_.logits(i); }
  hwdb::Status truncate(std::uint32_t sequence, std::uint32_t from) override {
    return context_.truncate(sequence, from);
  }
  const OpCounts& counts() const override { return context_.counts(); }
  void reset_counts() override { context_.reset_counts(); }
  std::size_t n_vocab() const override { return n_vocab_; }

 private:
  Context& context_;
  std::size_t n_vocab_;
};

}  // namespace engine
