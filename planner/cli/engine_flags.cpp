// SPDX-License-Identifier: MIT
#include "planner/cli/engine_flags.h"

#include <array>

#include "planner/cli/command_table.h"
#include "planner/cli/flag_values.h"

namespace cli {
namespace {

using hwdb::Status;
using Text = std::string_view;

constexpr std::array kStorages = {
    Word<bool>{"repacked", false},
    Word<bool>{"mapped", true},
};

constexpr std::uint32_t kMaxTokens = 1u << 24, kMaxSequences = 1024, kMaxThreads = 4096;

/// Names with commas between them.
Status read_names(Text text, std::vector<std::string>* out) {
  out->clear();
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end == begin) return wrong_value(text, "names with commas between them");
    out->emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return hwdb::Ok{};
}

constexpr std::array kFlags = {
    Flag{"--storage", "", "HOW", "repacked (a copy, read fastest) or mapped (the file's pages)",
         kEngine | kBench,
         [](Text v, Options* o) { return read_word(v, kStorages, &o->mapped_weights); }},

    // bench, by llama-bench's names. What is given several times is a list.
    Flag{"--n-prompt",
         "-p",
         "N",
         "tokens of the prompt (default 512; 0: none)",
         kBench | kVerify | kCalibrate,
         [](Text v, Options* o) { return read_numbers(v, 0, kMaxTokens, &o->bench.n_prompt); },
         {},
         true},
    Flag{"--n-gen",
         "-n",
         "N",
         "tokens of the answer (default 128; 0: none)",
         kBench | kVerify | kCalibrate,
         [](Text v, Options* o) { return read_numbers(v, 0, kMaxTokens, &o->bench.n_gen); },
         {},
         true},
    Flag{"--prompt-gen",
         "-pg",
         "P,N",
         "a prompt and then an answer, timed together",
         kBench,
         [](Text v, Options* o) { return read_pairs(v, &o->bench.n_pg); },
         {},
         true},
    Flag{"--n-depth",
         "-d",
         "N",
         "tokens in the cache before (default 0)",
         kBench | kVerify | kCalibrate,
         [](Text v, Options* o) { return read_numbers(v, 0, kMaxTokens, &o->bench.n_depth); },
         {},
         true},
    Flag{"--n-parallel",
         "-npl --batched",
         "N",
         "sequences that are answered together (default 1)",
         kBench,
         [](Text v, Options* o) { return read_numbers(v, 1, kMaxSequences, &o->bench.n_seq); },
         {},
         true},
    Flag{"--batch-size",
         "-b",
         "N",
         "tokens of one call (default 2048)",
         kBench,
         [](Text v, Options* o) { return read_numbers(v, 1, kMaxTokens, &o->bench.n_batch); },
         {},
         true},
    Flag{"--ubatch-size",
         "-ub",
         "N",
         "tokens of one pass over the weights (default 512)",
         kBench,
         [](Text v, Options* o) { return read_numbers(v, 1, kMaxTokens, &o->bench.n_ubatch); },
         {},
         true},
    Flag{"--cache-type-k",
         "-ctk",
         "TYPE",
         "f16, f32, bf16, q8_0 or q4_0",
         kBench,
         [](Text v, Options* o) { return read_names(v, &o->bench.type_k); },
         {},
         true},
    Flag{"--cache-type-v",
         "-ctv",
         "TYPE",
         "the same for values",
         kBench,
         [](Text v, Options* o) { return read_names(v, &o->bench.type_v); },
         {},
         true},
    Flag{"--threads",
         "-t",
         "N",
         "CPU threads (default: one for each core)",
         kBench,
         [](Text v, Options* o) { return read_numbers(v, 1, kMaxThreads, &o->bench.n_threads); },
         {},
         true},
    Flag{"--repetitions", "-r", "N", "runs of each test (default 5)", kBench | kVerify | kCalibrate,
         [](Text v, Options* o) { return read_count(v, 1, 10'000, &o->bench.repetitions); }},
    Flag{"--against-plan", "", "", "what the plan predicts beside each test, and which term is off",
         kBench,
         [](Text, Options* o) {
           o->against_plan = true;
           return Status(hwdb::Ok{});
         }},
    Flag{"--no-warmup", "", "", "no run before those that count", kBench,
         [](Text, Options* o) -> Status {
           o->bench.warm_up = false;
           return hwdb::Ok{};
         }},
    Flag{"--model",
         "-m",
         "FILE",
         "the same as the argument",
         kBench | kScore,
         [](Text v, Options* o) -> Status {
           std::vector<std::string> files;
           if (auto status = read_names(v, &files); !status) return status;
           o->arguments.insert(o->arguments.end(), files.begin(), files.end());
           return hwdb::Ok{};
         },
         {},
         true},

    // perplexity
    Flag{"--file", "-f", "TEXT", "the text, UTF-8", kScore | kMeasure,
         [](Text v, Options* o) { return read_text(v, &o->text_file); }},
    Flag{"--ctx-size", "-c", "N", "tokens of a chunk (default 512)", kScore,
         [](Text v, Options* o) -> Status {
           std::uint32_t n = 0;
           Status status = read_count(v, 4, kMaxTokens, &n);
           if (status) o->n_chunk = n;
           return status;
         }},
    Flag{"--chunks", "", "N", "only so many chunks of it", kScore | kMeasure,
         [](Text v, Options* o) { return read_count(v, 1, kMaxTokens, &o->n_chunks); }},
    // quants
    Flag{"--measure", "", "", "measure what is lost: of a local file, on a text", kMeasure,
         [](Text, Options* o) -> Status {
           o->measure = true;
           return hwdb::Ok{};
         }},
    Flag{"--against",
         "",
         "FILES",
         "files of the same model, in place of presets made for it",
         kMeasure,
         [](Text v, Options* o) { return read_names(v, &o->against); },
         {},
         true},
    Flag{"--quant",
         "-q",
         "NAMES",
         "presets to make and measure, as Q4_K_M,Q3_K_M",
         kMeasure,
         [](Text v, Options* o) { return read_names(v, &o->presets); },
         {},
         true},
    Flag{"--kl-divergence", "", "FILE", "compare with that file, of the same vocabulary", kScore,
         [](Text v, Options* o) { return read_text(v, &o->reference); }},
};

}  // namespace

std::span<const Flag> engine_flags() {
  return kFlags;
}

}  // namespace cli
