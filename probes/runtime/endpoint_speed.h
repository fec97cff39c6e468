// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"
#include "hwdb/speed_reading.h"
#include "probes/runtime/http_client.h"

namespace probes {

/// Each step waits for a model, not only for a server.
inline constexpr HttpLimits kGenerationLimits = {
    .first_byte_ms = 300'000, .stall_ms = 300'000, .total_ms = 600'000};

/// What is asked of a live server.
struct EndpointSpeedOptions {
  std::string model;                                 // "" the one that is loaded
  std::vector<std::uint32_t> n_prompt = {128, 512};  // about; the server's own count counts
  std::uint32_t n_gen = 32;                          // tokens of each answer
  std::uint32_t repetitions = 3;                     // of each length; never fewer are begun
  double budget_s = 60;                              // no further repetition begins after that
  bool as_stream = false;                     // as any OpenAI-compatible server, whatever it is
  const std::atomic<bool>* cancel = nullptr;  // set: what is done is kept
  /// Called before each request: what runs, and the share of all requests that is done.
  std::function<void(std::string_view step, double done)> on_step;
  HttpLimits ask = {};                      // for what is loaded
  HttpLimits generate = kGenerationLimits;  // for an answer
};

/// A prompt length measured by both clocks: ours outside, and the server's own.
struct ClockAgreement {
  std::uint32_t n_prompt = 0;
  double prefill = 0, decode = 0;  // outside / own - 1, the median of the repetitions; 0: not both
  bool has_prefill = false, has_decode = false;
};

struct EndpointSpeed {
  std::string runtime, build, model;  // "llama.cpp", "b1-de3ff81", what the server calls it
  std::string protocol;  // what was asked: "llama-server", "ollama", "lmstudio" or "stream"
  /// A prefill and a decode of each length. By the server's own clock where it tells, else, and
  /// with as_stream, by ours.
  std::vector<hwdb::SpeedReading> readings;
  std::vector<ClockAgreement> agreements;
  std::uint32_t n_dropped = 0;  // answers that did not come whole, left out
  bool interrupted = false;
  std::vector<std::string> notes;
};

/// Sends prompts of made-up words to a server and times its answers: llama-server, Ollama and LM
/// Studio with their own timings, anything else that streams as OpenAI does (also the first three,
/// when the URL ends on /v1) from outside. A warm-up goes first; each prompt is new, so that no
/// cache helps. Errors: those of read_live_runtime, endpoint.status (the server refuses),
/// endpoint.no_model, endpoint.protocol (no answer that came whole), run.interrupted (before the
/// first was done).
hwdb::Result<EndpointSpeed> measure_endpoint_speed(std::string_view url,
                                                   const EndpointSpeedOptions& options);

}  // namespace probes
