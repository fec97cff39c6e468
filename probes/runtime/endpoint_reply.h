// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hwdb/json.h"

namespace probes {

/// What a server's own clock says about one answer.
struct OwnTimings {
  std::optional<std::uint32_t> prompt_tokens;  // computed, cached ones left out
  std::optional<std::uint32_t> cached_tokens;
  std::optional<double> prefill_s;
  std::optional<std::uint32_t> steps;  // of the answer, that decode_s is the time of
  std::optional<double> decode_s;
  bool speculative = false;
};

/// One answer as it comes, by events and their arrival on our clock (seconds since the request was
/// begun). Reads the events of llama-server, Ollama, LM Studio and OpenAI-compatible streams; which
/// of them it is, is told by the members.
class EndpointReply {
 public:
  void add_event(std::string_view data, double at_s);

  /// It ended as such an answer ends, and without an error in between.
  bool whole() const { return ended_ && error_.empty(); }
  /// What the server says went wrong; "" nothing.
  const std::string& error() const { return error_; }

  const OwnTimings& own() const { return own_; }
  /// All tokens of the prompt and of the answer, by the server's count; absent: it does not count.
  std::optional<std::uint32_t> prompt_tokens() const { return prompt_tokens_; }
  std::optional<std::uint32_t> answer_tokens() const { return answer_tokens_; }
  std::optional<std::uint32_t> cached_tokens() const { return own_.cached_tokens; }
  /// Pieces of text, and when the first and the last came.
  std::uint32_t pieces() const { return pieces_; }
  double first_s() const { return first_s_; }
  double last_s() const { return last_s_; }

 private:
  void add_piece(double at_s);
  void read_timings(const hwdb::Json& timings);
  void read_usage(const hwdb::Json& usage);
  void read_ollama(const hwdb::Json& event);
  void read_lmstudio(const hwdb::Json& stats);

  bool ended_ = false;
  std::string error_;
  OwnTimings own_;
  std::optional<std::uint32_t> prompt_tokens_, answer_tokens_;
  std::uint32_t pieces_ = 0;
  double first_s_ = 0, last_s_ = 0;
};

}  // namespace probes
