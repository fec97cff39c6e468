// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/run/perplexity.h"
#include "engine/run/token_model.h"
#include "planner/cli/engine_session.h"
#include "planner/report/report.h"

/// What perplexity and quants --measure share: texts, models that score them, and how the figures
/// read.
namespace cli {

/// Reads a text. Errors: file.*; usage.text when it is empty.
hwdb::Result<std::string> read_scoring_text(const std::string& path);

/// A model with a context for chunks of n_chunk tokens.
class ScoringModel {
 public:
  /// Errors: as EngineSession::open and Context::make; vocab.* when the file has no tokenizer.
  static hwdb::Result<std::unique_ptr<ScoringModel>> open(EngineSession& engine,
                                                          const std::string& name,
                                                          std::uint32_t n_chunk);
  const engine::Model& model() const { return *model_; }
  const engine::Tokenizer& tokenizer() const { return *model_->tokenizer(); }
  engine::TokenModel& tokens() { return *tokens_; }

 private:
  std::unique_ptr<engine::Model> model_;
  std::unique_ptr<engine::Context> context_;
  std::optional<engine::ContextModel> tokens_;
};

/// Ok when both vocabularies are the same, token by token; else usage.vocabulary with the first
/// difference.
hwdb::Status check_same_vocabulary(const engine::Tokenizer& a, const engine::Tokenizer& b);

/// "3.9403 ± 0.0512", with digits by the error.
std::string figure_text(const engine::Figure& figure);
/// value and its error under two keys.
std::vector<report::Line> figure_lines(const std::string& key, const std::string& label,
                                       const engine::Figure& figure);
/// The figures of one model on a text.
report::Section perplexity_section(const engine::PerplexityResult& result);
/// Those of two.
report::Section divergence_section(const engine::DivergenceResult& result);

}  // namespace cli
