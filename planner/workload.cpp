// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cmath>

#include "planner/scenario.h"

namespace planner {
namespace {

// What a day of each use looks like for one person. Judgements, chosen so that a reader recognises
// the use: reading speed is 5 to 7 words a second, which is about 10 tokens a second; an agent or a
// programmer waits for the whole answer and wants more; a nightly batch only has to end by morning.
Workload chat() {
  Workload w;
  w.use = "chat";
  w.n_prompt = 1500;        // a few turns of history and a question
  w.cached_fraction = 0.7;  // the history was there at the last turn
  w.n_gen = 350;            // an answer of about 250 words
  w.hours_per_day = 2;      // an evening
  w.requests_per_day = 40;  // one every three minutes
  w.min_decode_tok_per_s = 10;
  w.wanted_ctx = 8192;
  return w;
}

Workload code() {
  Workload w;
  w.use = "code";
  w.n_prompt = 6000;  // open files and the diff
  w.cached_fraction = 0.6;
  w.n_gen = 500;
  w.hours_per_day = 6;
  w.requests_per_day = 120;
  w.min_decode_tok_per_s = 20;
  w.wanted_ctx = 16384;
  return w;
}

Workload rag() {
  Workload w;
  w.use = "rag";
  w.n_prompt = 6000;        // ten passages of 500 tokens, the question and the rules
  w.cached_fraction = 0.1;  // passages change with every question
  w.n_gen = 300;
  w.hours_per_day = 8;
  w.requests_per_day = 150;
  w.min_decode_tok_per_s = 10;
  w.wanted_ctx = 16384;
  return w;
}

Workload agent() {
  Workload w;
  w.use = "agent";
  w.n_prompt = 20000;       // tools, plan and everything done so far
  w.cached_fraction = 0.9;  // each step adds a tool's answer to it
  w.n_gen = 600;
  w.hours_per_day = 4;
  w.requests_per_day = 250;
  w.min_decode_tok_per_s = 25;
  w.wanted_ctx = 32768;
  return w;
}

Workload batch() {
  Workload w;
  w.use = "batch";
  w.n_prompt = 2000;        // one document
  w.cached_fraction = 0.1;  // the instructions
  w.n_gen = 300;
  w.hours_per_day = 8;  // a night
  w.requests_per_day = 1000;
  w.min_decode_tok_per_s = 3;
  w.wanted_ctx = 8192;
  return w;
}

struct Named {
  std::string_view use;
  Workload (*make)();
};
constexpr std::array<Named, 5> kUses = {
    {{"chat", chat}, {"code", code}, {"rag", rag}, {"agent", agent}, {"batch", batch}}};

}  // namespace

hwdb::Result<Workload> workload_for(std::string_view use) {
  for (const Named& named : kUses)
    if (named.use == use) return named.make();
  std::string hint = "known uses:";
  for (const Named& named : kUses) hint.append(" ").append(named.use);
  return hwdb::Error{"usage.value", "unknown use '" + std::string(use) + "'", "--use", hint};
}

std::uint64_t context_needed(const Workload& workload) {
  constexpr double kStep = 256;
  const double tokens = std::max(0.0, workload.depth) + std::max(0.0, workload.n_prompt) +
                        std::max(0.0, workload.n_gen);
  return static_cast<std::uint64_t>(std::ceil(tokens / kStep) * kStep);
}

}  // namespace planner
