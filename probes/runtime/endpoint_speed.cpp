// SPDX-License-Identifier: MIT
#include "probes/runtime/endpoint_speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "hwdb/json.h"
#include "hwdb/runtime_report.h"
#include "hwdb/text_escape.h"
#include "probes/runtime/endpoint_reply.h"
#include "probes/runtime/endpoint_requests.h"
#include "probes/runtime/event_lines.h"
#include "probes/runtime/live_runtime.h"
#include "probes/runtime/speed_samples.h"

namespace probes {
namespace {

using Clock = std::chrono::steady_clock;
using hwdb::Error;
using hwdb::Json;
using hwdb::Result;
using hwdb::SpeedReading;
using Text = std::string_view;

constexpr std::uint32_t kWarmUpWords = 32, kWarmUpTokens = 8;
// Fewer steps than this are over before a clock tells anything about them.
constexpr std::uint32_t kFewestSteps = 4;
constexpr std::uint32_t kMinRepetitions = 3, kMaxDropped = 3;
constexpr std::size_t kShownText = 200;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// "http://host:8080/v1" asks for the stream that all such servers have.
bool wants_stream(Text url) {
  const std::size_t host = url.find("://");
  const std::size_t path = url.find('/', host == Text::npos ? 0 : host + 3);
  return path != Text::npos && url.substr(path).starts_with("/v1");
}

bool is_loopback(Text base) {
  const std::size_t at = base.find("://");
  const Text host = at == Text::npos ? base : base.substr(at + 3);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

/// One whole answer by both clocks.
struct Sample {
  EndpointReply reply;
  double sent_s = 0;
};

/// What was measured at one length.
struct Length {
  std::uint32_t asked = 0;  // tokens, about
  std::vector<double> prefill_own, prefill_outside, decode_own, decode_outside;
  std::vector<double> prefill_gap, decode_gap;  // outside / own - 1 of one answer
  std::uint32_t n_prompt = 0, cached = 0, depth = 0, steps = 0;
  bool speculative = false;
};

class EndpointBench {
 public:
  EndpointBench(HttpClient ask, HttpClient generate, const EndpointSpeedOptions& options)
      : ask_(std::move(ask)), generate_(std::move(generate)), options_(options) {}

  Result<EndpointSpeed> run(Text url) {
    if (auto status = identify(url); !status) return status.error();
    if (auto status = warm_up(); !status) return status.error();
    measure_round_trip();
    if (auto status = measure(); !status) return status.error();
    return finish();
  }

 private:
  Error error(Text code, std::string what, std::string hint = {}) const {
    return {std::string(code), std::move(what), hwdb::escape_text(ask_.base()), std::move(hint)};
  }
  bool cancelled() const { return options_.cancel != nullptr && *options_.cancel; }

  // Who it is.
  hwdb::Status identify(Text url);
  hwdb::Status identify_stream();
  Result<Json> document(Text path);

  // Asking.
  Result<Sample> ask(std::uint32_t words, std::uint32_t n_gen);
  hwdb::Status warm_up();
  void measure_round_trip();
  hwdb::Status measure();
  bool is_time_left(std::uint32_t repetition) const;
  void take(const Sample& sample, Length* length);

  // Answering.
  EndpointSpeed finish();
  SpeedReading reading(const Length& length, SpeedReading::Test test) const;

  HttpClient ask_, generate_;
  const EndpointSpeedOptions& options_;
  hwdb::RuntimeReport report_;
  EndpointSpeed speed_;
  EndpointForm form_ = EndpointForm::completions_extra;
  PromptMaker prompts_;
  double tokens_per_word_ = 1, fixed_tokens_ = 0, round_trip_s_ = 0;
  std::vector<Length> lengths_;
  bool counts_prompt_ = true, counts_answer_ = true, several_a_piece_ = false;
  Clock::time_point begin_ = Clock::now();
};

hwdb::Status EndpointBench::identify(Text url) {
  using Source = hwdb::RuntimeReport::Source;
  auto report = read_live_runtime(url, options_.ask);
  speed_.model = options_.model;
  if (report) {
    report_ = std::move(*report);
  } else if (report.error().code == "endpoint.protocol") {
    return identify_stream();
  } else if (report.error().code == "endpoint.no_model" && !options_.model.empty()) {
    // The answer loads it.
    auto version = document("/api/version");
    if (!version) return version.error();
    const bool is_ollama = version->find("version") != nullptr;
    report_.source = is_ollama ? Source::ollama : Source::lmstudio;
  } else {
    return report.error();
  }
  speed_.build = report_.build;
  const hwdb::RuntimeLoad* load = report_.main_load();
  if (speed_.model.empty() && load != nullptr) speed_.model = load->name;
  switch (report_.source) {
    case Source::ollama:
      speed_.runtime = speed_.protocol = "ollama";
      form_ = EndpointForm::ollama;
      break;
    case Source::lmstudio:
      speed_.runtime = speed_.protocol = "lmstudio";
      form_ = EndpointForm::lmstudio;
      break;
    default:
      speed_.runtime = "llama.cpp";
      speed_.protocol = "llama-server";
      form_ = EndpointForm::llama_server;
  }
  if (options_.as_stream || wants_stream(url)) {
    speed_.protocol = "stream";
    form_ = EndpointForm::completions_extra;
  }
  return hwdb::Ok{};
}

/// The document at `path`; null where there is none.
Result<Json> EndpointBench::document(Text path) {
  auto answer = ask_.get(path);
  if (!answer) return answer.error();
  if (answer->status != 200) return Json();
  auto json = hwdb::parse_json(answer->body, ask_.base(), answer->body.size() + 1);
  return json ? std::move(*json) : Json();
}

hwdb::Status EndpointBench::identify_stream() {
  auto models = document("/v1/models");
  if (!models) return models.error();
  const Json* data = models->find("data");
  const Json::Array* list = data != nullptr ? data->as_array() : nullptr;
  if (list == nullptr) {
    return error("endpoint.protocol",
                 "neither llama-server, Ollama, LM Studio nor an OpenAI-compatible server answers");
  }
  const auto text_at = [](const Json& json, Text key) {
    const Json* value = json.find(key);
    const std::string* text = value != nullptr ? value->as_string() : nullptr;
    return text != nullptr ? text->substr(0, 4096) : std::string();
  };
  speed_.protocol = "stream";
  speed_.runtime = "unknown";
  if (!list->empty()) {
    const std::string owner = text_at(list->front(), "owned_by");
    if (owner == "vllm" || owner == "sglang") speed_.runtime = owner;
    if (speed_.model.empty()) speed_.model = text_at(list->front(), "id");
  }
  if (speed_.model.empty()) {
    return error("endpoint.no_model", "it lists no model", "load one, or name it with --model");
  }
  return hwdb::Ok{};
}

Result<Sample> EndpointBench::ask(std::uint32_t words, std::uint32_t n_gen) {
  const std::string body = request_body(form_, speed_.model, prompts_.words(words), n_gen);
  Sample sample;
  const Clock::time_point begin = Clock::now();
  // All events of one piece came at the same time.
  double now_s = 0;
  EventLines lines([&](Text data) { sample.reply.add_event(data, now_s); });
  std::string document;
  const auto take_bytes = [&](Text bytes) {
    now_s = since(begin);
    if (form_ != EndpointForm::lmstudio) return lines.feed(bytes);
    document += bytes;
    return true;
  };
  auto answer = generate_.post_stream(
      path_of(form_), body, [&](Text bytes) { return take_bytes(bytes); }, options_.cancel);
  if (!answer) return answer.error();
  sample.sent_s = answer->sent_s;
  if (answer->status == 200 && form_ == EndpointForm::lmstudio) {
    sample.reply.add_event(document, now_s);
  }
  if (answer->status != 200) {
    return error("endpoint.status",
                 fmt::format("{} answers {}: {}", path_of(form_), answer->status,
                             hwdb::escape_text(answer->body, kShownText)),
                 answer->status == 503 ? "wait until the model is loaded" : "");
  }
  if (!sample.reply.whole()) {
    const std::string& why = sample.reply.error();
    return error("endpoint.protocol",
                 why.empty() ? "an answer broke off"
                             : "an answer failed: " + hwdb::escape_text(why, kShownText));
  }
  return sample;
}

/// Finds the form that the server takes, loads what is not loaded yet and learns how many tokens a
/// word is.
hwdb::Status EndpointBench::warm_up() {
  if (options_.on_step) options_.on_step("warming up", 0);
  for (;;) {
    auto sample = ask(kWarmUpWords, kWarmUpTokens);
    if (sample) {
      if (const auto tokens = sample->reply.prompt_tokens(); tokens && *tokens > 0) {
        tokens_per_word_ = static_cast<double>(*tokens) / kWarmUpWords;
      }
      break;
    }
    const Error& refused = sample.error();
    const bool is_stream = form_ >= EndpointForm::completions_extra;
    if (refused.code != "endpoint.status" || !is_stream || form_ == EndpointForm::chat) {
      return refused;
    }
    form_ = static_cast<EndpointForm>(static_cast<int>(form_) + 1);
  }
  // A second length tells what is added to every prompt: a chat's frame, a first token.
  if (cancelled()) return hwdb::Ok{};
  auto longer = ask(4 * kWarmUpWords, kWarmUpTokens);
  if (!longer) return longer.error();
  if (const auto tokens = longer->reply.prompt_tokens(); tokens && *tokens > 0) {
    const double slope =
        (static_cast<double>(*tokens) - tokens_per_word_ * kWarmUpWords) / (3 * kWarmUpWords);
    if (slope > 0) {
      fixed_tokens_ = std::max(0.0, (tokens_per_word_ - slope) * kWarmUpWords);
      tokens_per_word_ = slope;
    }
  }
  return hwdb::Ok{};
}

/// What a request costs without a model: part of the time to the first token on our clock.
void EndpointBench::measure_round_trip() {
  std::vector<double> times;
  for (int i = 0; i < 5 && !cancelled(); ++i) {
    const Clock::time_point begin = Clock::now();
    const auto answer = ask_.get("/health");
    if (answer) times.push_back(std::max(0.0, since(begin) - answer->sent_s));
  }
  round_trip_s_ = median_of(times);
}

bool EndpointBench::is_time_left(std::uint32_t repetition) const {
  if (cancelled()) return false;
  return repetition < kMinRepetitions || since(begin_) < options_.budget_s;
}

hwdb::Status EndpointBench::measure() {
  const std::uint64_t n_ctx = report_.n_ctx_slot.value_or(
      report_.main_load() != nullptr ? report_.main_load()->n_ctx.value_or(0) : 0);
  // Words are not tokens to the letter: keep a twentieth free.
  const double most =
      n_ctx > 0 ? (static_cast<double>(n_ctx) - options_.n_gen) * 0.95 - fixed_tokens_ : 1e9;
  for (const std::uint32_t asked : options_.n_prompt) {
    const auto fits = static_cast<std::uint32_t>(std::clamp(most, 1.0, static_cast<double>(asked)));
    if (fits < asked) {
      speed_.notes.push_back(
          fmt::format("A prompt of {} tokens does not fit {} tokens of context; {} are sent.",
                      asked, n_ctx, fits));
    }
    if (std::ranges::find(lengths_, fits, &Length::asked) == lengths_.end()) {
      lengths_.push_back({.asked = fits});
    }
  }
  std::uint32_t done = 0, failed = 0;
  const auto all = static_cast<double>(lengths_.size()) * options_.repetitions;
  // Length after length in turn: what disturbs the machine for a while disturbs all of them.
  for (std::uint32_t i = 0; i < options_.repetitions && is_time_left(i); ++i) {
    for (Length& length : lengths_) {
      if (cancelled()) break;
      if (options_.on_step) {
        options_.on_step(fmt::format("prompt of {} tokens ({} of {})", length.asked, i + 1,
                                     options_.repetitions),
                         done / all);
      }
      const double words = (length.asked - fixed_tokens_) / tokens_per_word_;
      auto sample =
          ask(static_cast<std::uint32_t>(std::max(1.0, std::round(words))), options_.n_gen);
      if (sample) {
        take(*sample, &length);
        ++done;
        failed = 0;
        continue;
      }
      if (sample.error().code == "run.interrupted") break;
      ++speed_.n_dropped;
      if (++failed < kMaxDropped) continue;
      if (done == 0) return sample.error();
      speed_.notes.push_back("It stopped answering: " + sample.error().what + ".");
      return hwdb::Ok{};
    }
  }
  speed_.interrupted = cancelled();
  if (done == 0) {
    return speed_.interrupted
               ? error("run.interrupted", "interrupted before the first answer was done")
               : error("endpoint.protocol", "none of its answers came whole");
  }
  return hwdb::Ok{};
}

void EndpointBench::take(const Sample& sample, Length* length) {
  const EndpointReply& reply = sample.reply;
  const OwnTimings& own = reply.own();
  const auto prompt = reply.prompt_tokens();
  const std::uint32_t cached = reply.cached_tokens().value_or(0);
  counts_prompt_ = counts_prompt_ && prompt;
  counts_answer_ = counts_answer_ && reply.answer_tokens();
  length->speculative = length->speculative || own.speculative;
  if (prompt) {
    length->depth = *prompt;
    length->n_prompt = own.prompt_tokens.value_or(*prompt > cached ? *prompt - cached : *prompt);
    length->cached = cached;
  }
  std::optional<double> prefill_own, decode_own, prefill_outside, decode_outside;
  if (own.prompt_tokens && own.prefill_s) prefill_own = *own.prompt_tokens / *own.prefill_s;
  if (own.steps && own.decode_s && *own.steps >= kFewestSteps) {
    decode_own = *own.steps / *own.decode_s;
    length->steps = *own.steps;
  }
  // A whole answer in one piece tells our clock nothing.
  if (reply.pieces() >= 2) {
    const double ttft = reply.first_s() - sample.sent_s - round_trip_s_;
    if (prompt && ttft > 0) prefill_outside = length->n_prompt / ttft;
    const std::uint32_t tokens = reply.answer_tokens().value_or(reply.pieces());
    several_a_piece_ = several_a_piece_ || tokens > reply.pieces() + reply.pieces() / 8;
    const double span = reply.last_s() - reply.first_s();
    if (tokens > kFewestSteps && span > 0) {
      decode_outside = (tokens - 1) / span;
      if (!decode_own) length->steps = tokens - 1;
    }
  }
  const auto keep = [](const std::optional<double>& value, std::vector<double>* to) {
    if (value && is_speed(*value)) to->push_back(*value);
  };
  keep(prefill_own, &length->prefill_own);
  keep(decode_own, &length->decode_own);
  keep(prefill_outside, &length->prefill_outside);
  keep(decode_outside, &length->decode_outside);
  if (prefill_own && prefill_outside)
    length->prefill_gap.push_back(*prefill_outside / *prefill_own - 1);
  if (decode_own && decode_outside) length->decode_gap.push_back(*decode_outside / *decode_own - 1);
}

SpeedReading EndpointBench::reading(const Length& length, SpeedReading::Test test) const {
  const bool is_prefill = test == SpeedReading::Test::prefill;
  SpeedReading reading;
  reading.source = SpeedReading::Source::endpoint;
  reading.test = test;
  reading.where = ask_.base();
  reading.runtime = speed_.runtime;
  reading.build = speed_.build;
  reading.model = speed_.model;
  if (const hwdb::RuntimeLoad* load = report_.main_load(); load != nullptr) {
    if (!load->path.empty()) reading.model = load->path;
    reading.quant = hwdb::preset_of_file_type(load->file_type);
    if (reading.quant.empty()) reading.quant = load->file_type;
    if (load->tensor_bytes)
      reading.model_bytes = static_cast<std::uint64_t>(load->tensor_bytes->bytes);
    if (load->n_params) reading.n_params = static_cast<std::uint64_t>(*load->n_params);
    if (load->n_ubatch) reading.n_ubatch = static_cast<std::uint32_t>(*load->n_ubatch);
    reading.flash_attn = load->flash_attn;
    reading.cache_type_k = load->cache_type_k;
    reading.cache_type_v = load->cache_type_v;
  }
  if (!is_loopback(ask_.base())) reading.device = "at " + ask_.base();
  if (report_.source == hwdb::RuntimeReport::Source::ollama && report_.total_bytes &&
      !report_.gpu_bytes) {
    reading.backend = "cpu";
  }
  reading.n_prompt = is_prefill ? length.n_prompt : 0;
  reading.n_gen = is_prefill ? 0 : length.steps;
  reading.depth = is_prefill ? length.cached : length.depth;
  const bool by_own = speed_.protocol != "stream";
  const auto& own = is_prefill ? length.prefill_own : length.decode_own;
  const auto& outside = is_prefill ? length.prefill_outside : length.decode_outside;
  reading.samples = by_own && !own.empty() ? own : outside;
  set_speed(&reading, 0);
  if (length.speculative && !is_prefill) reading.flaw = "speculative";
  return reading;
}

EndpointSpeed EndpointBench::finish() {
  for (const Length& length : lengths_) {
    for (const auto test : {SpeedReading::Test::prefill, SpeedReading::Test::decode}) {
      SpeedReading one = reading(length, test);
      if (!one.samples.empty()) speed_.readings.push_back(std::move(one));
    }
    if (length.prefill_gap.empty() && length.decode_gap.empty()) continue;
    speed_.agreements.push_back({length.depth, median_of(length.prefill_gap),
                                 median_of(length.decode_gap), !length.prefill_gap.empty(),
                                 !length.decode_gap.empty()});
  }
  const auto note = [&](bool say, std::string text) {
    if (say) speed_.notes.push_back(std::move(text));
  };
  note(speed_.protocol == "stream",
       "Measured from outside: the time to the first token less a round trip, and the time from "
       "the first to the last.");
  note(!counts_prompt_, "It does not count the prompt's tokens: no speed of the prompt.");
  note(!counts_answer_, "It does not count the answer's tokens: pieces of text stand for them.");
  note(several_a_piece_ && speed_.protocol == "stream",
       "Its pieces of text hold several tokens: the speed of the answer is rough.");
  note(speed_.n_dropped > 0,
       fmt::format("{} answers did not come whole and are left out.", speed_.n_dropped));
  return std::move(speed_);
}

}  // namespace

Result<EndpointSpeed> measure_endpoint_speed(Text url, const EndpointSpeedOptions& options) {
  auto ask = HttpClient::open(url, options.ask);
  if (!ask) return ask.error();
  auto generate = HttpClient::open(url, options.generate);
  if (!generate) return generate.error();
  return EndpointBench(std::move(*ask), std::move(*generate), options).run(url);
}

}  // namespace probes
