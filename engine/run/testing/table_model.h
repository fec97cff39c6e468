// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "engine/run/token_model.h"

namespace engine::testing {

/// A model whose logits depend on the last token alone, by a table; it writes down what it was
/// asked.
class TableModel final : public TokenModel {
 public:
  explicit TableModel(std::vector<std::vector<float>> logits_after)
      : rows_(std::move(logits_after)) {}

  hwdb::Status decode(std::span<const BatchToken> tokens) override {
    if (fail_at_call == n_calls++) return hwdb::Error{failure, "", "", ""};
    wanted_.clear();
    for (const BatchToken& token : tokens) {
      sequences[token.sequence].push_back(token.token);
      if (token.wants_logits) wanted_.push_back(token.token);
    }
    calls.emplace_back(tokens.begin(), tokens.end());
    counts_.weight_bytes_read += 1000;
    counts_.flops += static_cast<double>(tokens.size());
    return hwdb::Ok{};
  }
  std::span<const float> logits(std::size_t i) const override {
    return rows_.at(static_cast<std::size_t>(wanted_.at(i)));
  }
  hwdb::Status truncate(std::uint32_t sequence, std::uint32_t from) override {
    if (from > 0 && !keeps_past) return hwdb::Error{"run.window", "", "", ""};
    ++n_truncates;
    sequences[sequence].resize(from);
    return hwdb::Ok{};
  }
  const OpCounts& counts() const override { return counts_; }
  void reset_counts() override { counts_ = {}; }
  std::size_t n_vocab() const override { return rows_.size(); }

  std::map<std::uint32_t, std::vector<TokenId>> sequences;  // what each holds
  std::vector<std::vector<BatchToken>> calls;
  int n_calls = 0, n_truncates = 0, fail_at_call = -1;
  std::string failure = "run.interrupted";
  bool keeps_past = true;

 private:
  std::vector<std::vector<float>> rows_;
  std::vector<TokenId> wanted_;
  OpCounts counts_;
};

}  // namespace engine::testing
