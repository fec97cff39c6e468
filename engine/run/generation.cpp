// SPDX-License-Identifier: MIT
#include "engine/run/generation.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace engine {
namespace {

using Clock = std::chrono::steady_clock;

/// One answer while it is made.
class Answer {
 public:
  Answer(TokenModel& model, const Tokenizer& tokenizer, const GenerationOptions& options)
      : model_(model), options_(options), tokenizer_(tokenizer), text_(tokenizer) {}

  hwdb::Result<Generation> make(std::span<const TokenId> prompt) {
    Sampler sampler(options_.sampler);
    for (const TokenId token : prompt) sampler.accept(token);
    if (auto status = run_prompt(prompt); !status) {
      if (status.error().code != "run.interrupted") return status.error();
      out_.stop = StopReason::interrupted;
      return std::move(out_);
    }
    const OpCounts before = model_.counts();
    const Clock::time_point begin = Clock::now();
    const hwdb::Status status = run_answer(&sampler);
    out_.decode_ns = nanoseconds_since(begin);
    out_.decode = difference(model_.counts(), before);
    if (!status) return status.error();
    take(text_.finish());
    return std::move(out_);
  }

 private:
  static std::uint64_t nanoseconds_since(Clock::time_point begin) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count());
  }
  static OpCounts difference(OpCounts after, const OpCounts& before) {
    after.weight_bytes_read -= before.weight_bytes_read;
    after.cache_bytes_read -= before.cache_bytes_read;
    after.cache_bytes_written -= before.cache_bytes_written;
    after.flops -= before.flops;
    return after;
  }

  hwdb::Status run_prompt(std::span<const TokenId> prompt) {
    const OpCounts before = model_.counts();
    const Clock::time_point begin = Clock::now();
    hwdb::Status status = hwdb::Ok{};
    std::vector<BatchToken> batch;
    const std::size_t n_batch = std::max<std::size_t>(options_.n_batch, 1);
    for (std::size_t at = 0; at < prompt.size() && status; at += batch.size()) {
      batch.clear();
      for (const TokenId token : prompt.subspan(at, std::min(n_batch, prompt.size() - at))) {
        batch.push_back({token, 0, false});
      }
      batch.back().wants_logits = at + batch.size() == prompt.size();
      status = model_.decode(batch);
      if (!status) break;
      out_.n_prefill += batch.size();
      if (options_.on_prompt) options_.on_prompt(static_cast<std::size_t>(out_.n_prefill));
    }
    out_.prefill_ns = nanoseconds_since(begin);
    out_.prefill = difference(model_.counts(), before);
    return status;
  }

  hwdb::Status run_answer(Sampler* sampler) {
    while (true) {
      if (options_.n_tokens && out_.tokens.size() >= *options_.n_tokens) {
        out_.stop = StopReason::token_limit;
        return hwdb::Ok{};
      }
      const TokenId token = sampler->sample(model_.logits(0));
      if (tokenizer_.ends_answer(token)) {
        out_.stop = StopReason::answer_ended;
        return hwdb::Ok{};
      }
      sampler->accept(token);
      out_.tokens.push_back(token);
      take(text_.push(token));
      // The last one need not be run.
      if (options_.n_tokens && out_.tokens.size() >= *options_.n_tokens) continue;
      const BatchToken next{token, 0, true};
      if (auto status = model_.decode({&next, 1}); !status) {
        if (status.error().code == "run.interrupted") {
          out_.stop = StopReason::interrupted;
        } else if (status.error().code == "run.context_full") {
          out_.stop = StopReason::context_full;
          out_.full = status.error();
        } else {
          return status;
        }
        return hwdb::Ok{};
      }
      ++out_.n_decode;
    }
  }

  void take(std::string_view text) {
    if (text.empty()) return;
    out_.text += text;
    if (options_.on_text) options_.on_text(text);
  }

  TokenModel& model_;
  const GenerationOptions& options_;
  const Tokenizer& tokenizer_;
  Detokenizer text_;
  Generation out_;
};

}  // namespace

std::string_view to_string(StopReason reason) {
  switch (reason) {
    case StopReason::answer_ended:
      return "answer_ended";
    case StopReason::token_limit:
      return "token_limit";
    case StopReason::context_full:
      return "context_full";
    case StopReason::interrupted:
      return "interrupted";
  }
  return "";
}

hwdb::Result<Generation> generate(TokenModel& model, const Tokenizer& tokenizer,
                                  std::span<const TokenId> prompt,
                                  const GenerationOptions& options) {
  if (prompt.empty()) {
    return hwdb::Error{"usage.text", "the prompt has no tokens", "", ""};
  }
  return Answer(model, tokenizer, options).make(prompt);
}

}  // namespace engine
