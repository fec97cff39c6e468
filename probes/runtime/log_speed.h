// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"
#include "hwdb/speed_reading.h"
#include "probes/runtime/llama_bench.h"
#include "probes/runtime/log_lines.h"

namespace probes {

/// Collects the timing lines of llama.cpp's programs, ik_llama.cpp's and Ollama's runner: one
/// prompt and one answer a request.
class TimingLines {
 public:
  static constexpr std::size_t kMaxRequests = 100'000, kMaxSlots = 4096;

  TimingLines();
  void feed(std::string_view bytes) { lines_.feed(bytes); }
  void finish();

  /// What one request took.
  struct Request {
    std::uint32_t n_prompt = 0, steps = 0;
    double prompt_s = 0, decode_s = 0;  // 0: not told
    std::uint32_t depth = 0;            // tokens in the cache before the answer
    bool speculative = false;           // drafts were accepted or tried
    bool shared = false;                // another request ran at the same time
  };
  const std::vector<Request>& requests() const { return requests_; }

 private:
  using Slot = std::uint64_t;
  void take(std::string_view line);
  bool take_state(Slot slot, std::string_view line);
  void end_request(Slot slot);

  LogLines lines_;
  std::map<Slot, Request> open_;  // by slot; programs without slots have one
  std::set<Slot> running_, shared_;
  Slot last_ = 0;
  std::vector<Request> requests_;
};

/// Speeds that a log tells, a prompt and an answer of each request, with the settings that it tells
/// (none at the default level of newer builds). Prompts of fewer than 32 tokens and answers of
/// fewer than 8 have the flaw "short"; requests that ran side by side "shared", answers with
/// drafts "speculative". Errors: file.*, log.limit, log.no_speed (no line tells times).
hwdb::Result<ToldSpeeds> read_log_speeds(const std::string& path);
/// The same from a descriptor, to its end.
hwdb::Result<ToldSpeeds> read_log_speeds(int fd, std::string_view where);

}  // namespace probes
