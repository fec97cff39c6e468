// SPDX-License-Identifier: MIT
#include "planner/cli/run_flags.h"

#include <array>
#include <limits>

#include "engine/tokenizer/chat_template.h"
#include "planner/cli/command_table.h"
#include "planner/cli/flag_table.h"
#include "planner/cli/flag_values.h"

namespace cli {
namespace {

using hwdb::Ok;
using hwdb::Status;
using Text = std::string_view;

constexpr std::uint32_t kMaxTokens = 1u << 24;

Status read_chat(Text text, std::string* out) {
  if (text == "none" || engine::find_chat_family(text) != nullptr) {
    *out = text;
    return Ok{};
  }
  std::string names = "none";
  for (const engine::ChatFamily& family : engine::chat_families()) {
    names += ", ";
    names += family.name;
  }
  return wrong_value(text, names);
}

/// "-1" is no limit, as in llama.cpp.
Status read_predict(Text text, std::optional<std::uint32_t>* out) {
  if (text == "-1") {
    out->reset();
    return Ok{};
  }
  std::uint32_t n = 0;
  if (!read_count(text, 0, kMaxTokens, &n)) return wrong_value(text, "a number of tokens or -1");
  *out = n;
  return Ok{};
}

constexpr std::array kFlags = {
    Flag{"--prompt", "-p", "TEXT", "what to answer", kGenerate,
         [](Text v, Options* o) { return read_text(v, &o->run.prompt); }},
    Flag{"--file", "-f", "FILE", "the prompt from a file", kGenerate,
         [](Text v, Options* o) { return read_text(v, &o->run.prompt_file); }},
    Flag{"--predict", "-n --n-predict", "N", "tokens of the answer at most (default: to its end)",
         kGenerate, [](Text v, Options* o) { return read_predict(v, &o->run.n_predict); }},
    Flag{"--system", "-sys", "TEXT", "instructions that stand before the prompt", kGenerate,
         [](Text v, Options* o) { return read_text(v, &o->run.system); }},
    Flag{"--chat", "", "NAME", "turns marked as llama3, chatml... (default: the file's) or none",
         kGenerate, [](Text v, Options* o) { return read_chat(v, &o->run.chat); }},
    Flag{"--raw", "", "", "the prompt as it is, the same as --chat none", kGenerate,
         [](Text, Options* o) -> Status {
           o->run.raw = true;
           return Ok{};
         }},
    Flag{"--temperature", "--temp", "T", "0 takes the likeliest token (default 0.8)", kGenerate,
         [](Text v, Options* o) { return read_number(v, 0, 100, &o->run.sampler.temperature); }},
    Flag{"--top-k", "", "N", "only the N likeliest; 0 for all (default 40)", kGenerate,
         [](Text v, Options* o) { return read_count(v, 0, kMaxTokens, &o->run.sampler.top_k); }},
    Flag{"--top-p", "", "P", "only the likeliest up to this share (default 0.95)", kGenerate,
         [](Text v, Options* o) { return read_number(v, 0, 1, &o->run.sampler.top_p); }},
    Flag{"--min-p", "", "P", "only those of this share of the likeliest (default 0.05)", kGenerate,
         [](Text v, Options* o) { return read_number(v, 0, 1, &o->run.sampler.min_p); }},
    Flag{"--repeat-penalty", "", "X", "weakens what came lately (default 1: not at all)", kGenerate,
         [](Text v, Options* o) {
           return read_number(v, 0.01, 100, &o->run.sampler.repeat_penalty);
         }},
    Flag{"--repeat-last-n", "", "N", "tokens that this looks back (default 64)", kGenerate,
         [](Text v, Options* o) {
           return read_count(v, 0, kMaxTokens, &o->run.sampler.repeat_last_n);
         }},
    Flag{"--seed", "-s", "N", "of the draws; the same gives the same answer (default 0)", kGenerate,
         [](Text v, Options* o) {
           return read_count(v, 0, std::numeric_limits<std::uint64_t>::max(), &o->run.sampler.seed);
         }},
};

}  // namespace

std::span<const Flag> run_flags() {
  return kFlags;
}

}  // namespace cli
