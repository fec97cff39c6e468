// SPDX-License-Identifier: MIT
#include "probes/runtime/endpoint_reply.h"

#include <cmath>

namespace probes {
namespace {

using hwdb::Json;

constexpr double kMaxSeconds = 1e7;
constexpr std::uint64_t kMaxTokens = 1ull << 31;

std::optional<std::uint32_t> tokens_at(const Json& json, std::string_view key) {
  const Json* value = json.find(key);
  const auto count = value != nullptr ? value->as_uint64() : std::nullopt;
  if (!count || *count >= kMaxTokens) return std::nullopt;
  return static_cast<std::uint32_t>(*count);
}

/// A time above zero in seconds; absent for nonsense, so that nothing is divided by it.
std::optional<double> seconds_at(const Json& json, std::string_view key, double per_second) {
  const Json* value = json.find(key);
  const auto number = value != nullptr ? value->as_double() : std::nullopt;
  if (!number || !std::isfinite(*number) || *number <= 0) return std::nullopt;
  const double seconds = *number / per_second;
  return seconds < kMaxSeconds ? std::optional(seconds) : std::nullopt;
}

bool is_text_at(const Json& json, std::string_view key) {
  const Json* value = json.find(key);
  return value != nullptr && value->as_string() != nullptr && !value->as_string()->empty();
}

bool is_true_at(const Json& json, std::string_view key) {
  const Json* value = json.find(key);
  return value != nullptr && value->as_bool().value_or(false);
}

/// llama-server and Ollama start the answer's clock when the first token is there, and count it all
/// the same.
std::optional<std::uint32_t> steps_after_first(std::optional<std::uint32_t> tokens) {
  if (!tokens || *tokens < 2) return std::nullopt;
  return *tokens - 1;
}

/// Text of an OpenAI choice: of a completion, of a chat, or thought.
bool has_text(const Json& choice) {
  if (is_text_at(choice, "text")) return true;
  const Json* delta = choice.find("delta");
  return delta != nullptr &&
         (is_text_at(*delta, "content") || is_text_at(*delta, "reasoning_content") ||
          is_text_at(*delta, "reasoning"));
}

}  // namespace

void EndpointReply::add_piece(double at_s) {
  if (pieces_ == 0) first_s_ = at_s;
  last_s_ = at_s;
  ++pieces_;
}

void EndpointReply::add_event(std::string_view data, double at_s) {
  if (data == "[DONE]") {
    ended_ = true;
    return;
  }
  const auto event = hwdb::parse_json(data, "event");
  if (!event || !event->is_object()) {
    error_ = "an event is no JSON object";
    return;
  }
  if (const Json* error = event->find("error"); error != nullptr && !error->is_null()) {
    const Json* message = error->find("message");
    const std::string* text = message != nullptr ? message->as_string() : error->as_string();
    error_ = text != nullptr ? text->substr(0, 400) : std::string("the server reports an error");
    return;
  }
  if (const Json* timings = event->find("timings")) read_timings(*timings);
  if (const Json* usage = event->find("usage")) read_usage(*usage);
  if (const Json* stats = event->find("stats")) read_lmstudio(*stats);
  const Json* choices = event->find("choices");
  if (const Json::Array* list = choices != nullptr ? choices->as_array() : nullptr) {
    if (!list->empty() && has_text(list->front())) add_piece(at_s);
    // A whole answer in one object ends by itself.
    if (!list->empty() && (list->front().find("message") != nullptr || event->find("stats"))) {
      ended_ = true;
    }
    return;
  }
  // Ollama says `response` and `done`, llama-server `content` and `stop`.
  if (is_text_at(*event, "response") || is_text_at(*event, "thinking") ||
      is_text_at(*event, "content")) {
    add_piece(at_s);
  }
  if (is_true_at(*event, "done")) {
    ended_ = true;
    read_ollama(*event);
  } else if (is_true_at(*event, "stop")) {
    ended_ = true;
    prompt_tokens_ = tokens_at(*event, "tokens_evaluated");
    answer_tokens_ = tokens_at(*event, "tokens_predicted");
  }
}

void EndpointReply::read_timings(const Json& timings) {
  own_.prompt_tokens = tokens_at(timings, "prompt_n");
  own_.cached_tokens = tokens_at(timings, "cache_n");
  own_.prefill_s = seconds_at(timings, "prompt_ms", 1000);
  own_.decode_s = seconds_at(timings, "predicted_ms", 1000);
  own_.steps = steps_after_first(tokens_at(timings, "predicted_n"));
  own_.speculative = tokens_at(timings, "draft_n").value_or(0) > 0;
}

void EndpointReply::read_usage(const Json& usage) {
  if (const auto tokens = tokens_at(usage, "prompt_tokens"); tokens && *tokens > 0) {
    prompt_tokens_ = tokens;
  }
  if (const auto tokens = tokens_at(usage, "completion_tokens"); tokens && *tokens > 0) {
    answer_tokens_ = tokens;
  }
  if (const Json* details = usage.find("prompt_tokens_details"); !own_.cached_tokens && details) {
    own_.cached_tokens = tokens_at(*details, "cached_tokens");
  }
}

void EndpointReply::read_ollama(const Json& event) {
  prompt_tokens_ = own_.prompt_tokens = tokens_at(event, "prompt_eval_count");
  answer_tokens_ = tokens_at(event, "eval_count");
  own_.steps = steps_after_first(answer_tokens_);
  own_.prefill_s = seconds_at(event, "prompt_eval_duration", 1e9);
  own_.decode_s = seconds_at(event, "eval_duration", 1e9);
}

/// Seconds to the first token, and tokens a second after it; how many, `usage` says.
void EndpointReply::read_lmstudio(const Json& stats) {
  own_.prefill_s = seconds_at(stats, "time_to_first_token", 1);
  own_.prompt_tokens = prompt_tokens_;
  own_.steps = answer_tokens_;
  // Its rate goes before its time: the two do not always agree.
  const Json* rate = stats.find("tokens_per_second");
  const double per_second = rate != nullptr ? rate->as_double().value_or(0) : 0;
  if (answer_tokens_ && std::isfinite(per_second) && per_second > 1e-6) {
    own_.decode_s = *answer_tokens_ / per_second;
  }
  const Json* drafted = stats.find("total_draft_tokens_count");
  own_.speculative = drafted != nullptr && drafted->as_double().value_or(0) > 0;
}

}  // namespace probes
