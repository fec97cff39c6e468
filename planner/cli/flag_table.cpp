// SPDX-License-Identifier: MIT
#include "planner/cli/flag_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "hwdb/limits.h"
#include "planner/cli/command_table.h"
#include "planner/cli/engine_flags.h"
#include "planner/cli/flag_values.h"
#include "planner/cli/making_flags.h"

namespace cli {
namespace {

using hwdb::Ok;
using hwdb::Status;
using Text = std::string_view;

/// Layers on the GPU: a number, or all of them in llama.cpp's spellings; "auto" chooses.
Status read_gpu_layers(Text text, std::optional<std::uint32_t>* out) {
  constexpr std::uint32_t kAll = std::numeric_limits<std::int32_t>::max();
  if (text == "auto") {
    out->reset();
    return Ok{};
  }
  if (text == "all" || text == "-1") {
    *out = kAll;
    return Ok{};
  }
  std::uint32_t value = 0;
  if (!read_count(text, 0, kAll, &value))
    return wrong_value(text, "a number of layers, all or auto");
  *out = value;
  return Ok{};
}

Status read_cache_type(Text text, std::string* out) {
  constexpr std::array kTypes = {
      Word<Text>{"f16", "f16"},   Word<Text>{"bf16", "bf16"}, Word<Text>{"f32", "f32"},
      Word<Text>{"q8_0", "q8_0"}, Word<Text>{"q5_1", "q5_1"}, Word<Text>{"q5_0", "q5_0"},
      Word<Text>{"q4_1", "q4_1"}, Word<Text>{"q4_0", "q4_0"}, Word<Text>{"iq4_nl", "iq4_nl"},
  };
  Text type;
  Status status = read_word(text, kTypes, &type);
  if (status) *out = type;
  return status;
}

Status read_tensor_split(Text text, std::vector<double>* out) {
  out->clear();
  double sum = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find_first_of(",/", begin), text.size());
    double share = 0;
    if (!read_number(text.substr(begin, end - begin), 0, 1e9, &share)) {
      return wrong_value(text, "shares such as 3,1");
    }
    sum += share;
    out->push_back(share);
    begin = end + 1;
  }
  if (sum <= 0) return wrong_value(text, "shares such as 3,1");
  return Ok{};
}

Status read_backend(Text text, planner::RunSettings* settings) {
  using Backend = hwdb::GpuInfo::Backend;
  if (text == "cpu") {
    settings->cpu_only = true;
    return Ok{};
  }
  constexpr std::array kBackends = {
      Word<Backend>{"cuda", Backend::cuda},     Word<Backend>{"rocm", Backend::rocm},
      Word<Backend>{"vulkan", Backend::vulkan}, Word<Backend>{"metal", Backend::metal},
      Word<Backend>{"sycl", Backend::sycl},
  };
  Backend backend{};
  if (!read_word(text, kBackends, &backend)) {
    return wrong_value(text, "cuda, rocm, vulkan, metal, sycl or cpu");
  }
  settings->backend = backend;
  return Ok{};
}

constexpr std::array kFormats = {
    Word<Format>{"table", Format::text},
    Word<Format>{"json", Format::json},
    Word<Format>{"csv", Format::csv},
    Word<Format>{"md", Format::markdown},
};
constexpr std::array kBenchFormats = {
    Word<Text>{"md", "md"},
    Word<Text>{"csv", "csv"},
    Word<Text>{"json", "json"},
    Word<Text>{"jsonl", "jsonl"},
};
constexpr std::array kColors = {
    Word<Color>{"auto", Color::automatic},
    Word<Color>{"always", Color::always},
    Word<Color>{"never", Color::never},
};
constexpr std::array kRuntimes = {
    Word<hwdb::Runtime>{hwdb::to_string(hwdb::Runtime::llama_cpp), hwdb::Runtime::llama_cpp},
    Word<hwdb::Runtime>{hwdb::to_string(hwdb::Runtime::ollama), hwdb::Runtime::ollama},
    Word<hwdb::Runtime>{hwdb::to_string(hwdb::Runtime::lmstudio), hwdb::Runtime::lmstudio},
    Word<hwdb::Runtime>{hwdb::to_string(hwdb::Runtime::vllm), hwdb::Runtime::vllm},
    Word<hwdb::Runtime>{hwdb::to_string(hwdb::Runtime::tokwatt), hwdb::Runtime::tokwatt},
};
// Whether the model's own draft layers are loaded.
constexpr std::array kSpecTypes = {
    Word<bool>{"none", false},
    Word<bool>{"draft-simple", false},
    Word<bool>{"draft-mtp", true},
};
// "auto" is llama.cpp's default and resolves to on wherever a GPU or a CPU can.
constexpr std::array kOnOff = {
    Word<bool>{"on", true}, Word<bool>{"off", false}, Word<bool>{"auto", true},
    Word<bool>{"1", true},  Word<bool>{"0", false},
};

Status on(bool* flag) {
  *flag = true;
  return Ok{};
}

Status off(bool* flag) {
  *flag = false;
  return Ok{};
}

Status read_list(Text value, std::vector<std::string>* out) {
  out->clear();
  for (std::size_t begin = 0; begin <= value.size();) {
    const std::size_t end = std::min(value.find(',', begin), value.size());
    if (end == begin) return wrong_value(value, "names with commas between them");
    out->emplace_back(value.substr(begin, end - begin));
    begin = end + 1;
  }
  return Ok{};
}

/// A model; in older builds of llama.cpp --draft was a number of tokens.
Status read_draft(Text value, planner::DraftSettings* draft) {
  if (!value.empty() && value.find_first_not_of("0123456789") == Text::npos)
    return read_count(value, 0, 1024, &draft->n_max);
  return read_text(value, &draft->model);
}

Status read_cache_ram(Text value, std::int64_t* mib) {
  if (value == "-1") {
    *mib = -1;
    return Ok{};
  }
  if (!read_count(value, 0, 1u << 30, mib))
    return wrong_value(value, "MiB, 0 for none or -1 for no limit");
  return Ok{};
}

constexpr std::uint64_t kMaxBatch = 1u << 20;
constexpr std::uint64_t kMaxTokens = 1ull << 31;

constexpr std::array kFlags = {
    // What runs where.
    Flag{"--on", "", "RIG", "machine: this, a saved name, FILE.json or words (default this)", kRig,
         [](Text v, Options* o) { return read_text(v, &o->on); }},
    Flag{"--quant", "-q", "NAME", "quantization, as Q4_K_M (fit: several, with commas)", kQuant,
         [](Text v, Options* o) {
           std::string quant;
           Status status = read_text(v, &quant);
           if (status) o->quant = quant;
           return status;
         }},
    Flag{"--runtime", "", "NAME", "llama.cpp, ollama, lmstudio, vllm or tokwatt", kRun,
         [](Text v, Options* o) { return read_word(v, kRuntimes, &o->settings.runtime); }},
    Flag{"--backend", "", "NAME", "cuda, rocm, vulkan, metal, sycl or cpu", kRun,
         [](Text v, Options* o) { return read_backend(v, &o->settings); }},
    Flag{"--ctx-size", "-c", "N", "context of all sequences together; 32k is 32768", kRun | kGenerate,
         [](Text v, Options* o) {
           std::uint64_t n_ctx = 0;
           Status status = read_count(v, 1, hwdb::limits::kContext, &n_ctx);
           if (status) o->n_ctx = n_ctx;
           return status;
         }},
    Flag{"--batch-size", "-b", "N", "logical batch (default 2048)", kRun | kGenerate,
         [](Text v, Options* o) { return read_count(v, 1, kMaxBatch, &o->settings.n_batch); }},
    Flag{"--ubatch-size", "-ub", "N", "physical batch (default 512)", kRun | kEngine,
         [](Text v, Options* o) { return read_count(v, 1, kMaxBatch, &o->settings.n_ubatch); }},
    Flag{"--n-gpu-layers", "-ngl --gpu-layers", "N", "layers on the GPU, all or auto", kRun,
         [](Text v, Options* o) { return read_gpu_layers(v, &o->settings.n_gpu_layers); }},
    Flag{"--n-cpu-moe", "-ncmoe", "N", "layers whose experts stay in RAM", kRun,
         [](Text v, Options* o) {
           std::uint32_t layers = 0;
           Status status = read_count(v, 0, hwdb::limits::kLayers, &layers);
           if (status) o->settings.n_cpu_moe = layers;
           return status;
         }},
    Flag{"--cpu-moe", "-cmoe", "", "the experts of all layers stay in RAM", kRun,
         [](Text, Options* o) { return on(&o->settings.cpu_moe); }},
    Flag{"--override-tensor", "-ot", "REGEX=BUF",
         "tensors placed by name: exps=CPU (repeatable)", kPlan,
         [](Text v, Options* o) { return read_text(v, &o->settings.override_tensor); }, {}, true},
    Flag{"--split-mode", "-sm", "MODE", "none, layer, row or tensor", kRun,
         [](Text v, Options* o) { return read_word(v, planner::kSplitModeWords, &o->settings.split_mode); }},
    Flag{"--tensor-split", "-ts", "A,B", "shares of the GPUs", kRun,
         [](Text v, Options* o) { return read_tensor_split(v, &o->settings.tensor_split); }},
    Flag{"--main-gpu", "-mg", "N", "the GPU of split mode none (default 0)", kRun,
         [](Text v, Options* o) { return read_count(v, 0, 255, &o->settings.main_gpu); }},
    Flag{"--no-kv-offload", "-nkvo", "", "the KV cache stays in RAM", kRun,
         [](Text, Options* o) { return on(&o->settings.kv_on_host); }},
    Flag{"--cache-type-k", "-ctk", "TYPE", "f16, q8_0, q4_0...", kRun | kEngine,
         [](Text v, Options* o) { return read_cache_type(v, &o->settings.cache_type_k); }},
    Flag{"--cache-type-v", "-ctv", "TYPE", "the same for values", kRun | kEngine,
         [](Text v, Options* o) { return read_cache_type(v, &o->settings.cache_type_v); }},
    Flag{"--flash-attn", "-fa", "on|off", "flash attention (default on)", kRun,
         [](Text v, Options* o) { return read_word(v, kOnOff, &o->settings.flash_attn); }, "on"},
    Flag{"--parallel", "-np", "N", "sequences at once (default 1)", kRun,
         [](Text v, Options* o) { return read_count(v, 1, 4096, &o->settings.n_seq); }},
    Flag{"--threads", "-t", "N", "CPU threads", kRun | kEngine | kSynth | kQuantize,
         [](Text v, Options* o) {
           std::uint32_t threads = 0;
           Status status = read_count(v, 1, 4096, &threads);
           if (status) o->settings.n_threads = threads;
           return status;
         }},

    // What is loaded beside the model.
    Flag{"--mmproj", "-mm", "FILE", "projector for images or sound, or catalogue", kPlan,
         [](Text v, Options* o) { return read_text(v, &o->settings.mmproj); }},
    Flag{"--no-mmproj-offload", "", "", "the projector stays on the CPU", kPlan,
         [](Text, Options* o) { return off(&o->settings.mmproj_on_gpu); }},
    Flag{"--lora", "", "FILE", "adapter, or rank=16 for an estimate; repeatable", kPlan,
         [](Text v, Options* o) { return read_list(v, &o->settings.lora); }, {}, true},
    Flag{"--model-draft", "-md --spec-draft-model", "MODEL", "second model that drafts tokens",
         kPlan, [](Text v, Options* o) { return read_text(v, &o->settings.draft.model); }},
    Flag{"--draft", "", "MODEL|N", "the same; a number: as --draft-max", kPlan,
         [](Text v, Options* o) { return read_draft(v, &o->settings.draft); }},
    Flag{"--draft-quant", "", "NAME", "quantization of the draft model", kPlan,
         [](Text v, Options* o) { return read_text(v, &o->settings.draft.quant); }},
    Flag{"--gpu-layers-draft", "-ngld --n-gpu-layers-draft --spec-draft-ngl", "N",
         "its layers on the GPU, all or auto", kPlan,
         [](Text v, Options* o) { return read_gpu_layers(v, &o->settings.draft.n_gpu_layers); }},
    Flag{"--ctx-size-draft", "-cd", "N", "its context (default the main model's)", kPlan,
         [](Text v, Options* o) {
           return read_count(v, 0, hwdb::limits::kContext, &o->settings.draft.n_ctx);
         }},
    Flag{"--cache-type-k-draft", "-ctkd --spec-draft-type-k", "TYPE", "its key cache", kPlan,
         [](Text v, Options* o) {
           return read_cache_type(v, &o->settings.draft.cache_type_k);
         }},
    Flag{"--cache-type-v-draft", "-ctvd --spec-draft-type-v", "TYPE", "its value cache", kPlan,
         [](Text v, Options* o) {
           return read_cache_type(v, &o->settings.draft.cache_type_v);
         }},
    Flag{"--draft-max", "--draft-n --spec-draft-n-max", "N", "tokens drafted at a time (default 3)",
         kPlan,
         [](Text v, Options* o) { return read_count(v, 0, 1024, &o->settings.draft.n_max); }},
    Flag{"--acceptance", "", "SHARE", "of the drafted tokens that are taken over, 0.7 or 70%", kPlan,
         [](Text v, Options* o) {
           double share = 0;
           Status status = read_share(v, &share);
           if (status) o->settings.draft.acceptance = share;
           return status;
         }},
    Flag{"--spec-type", "", "TYPE", "draft-mtp: the model's own draft layers; none, draft-simple",
         kPlan, [](Text v, Options* o) { return read_word(v, kSpecTypes, &o->settings.draft.mtp); }},
    Flag{"--cache-ram", "-cram", "MIB", "the server's prompt cache at most (default 8192)", kPlan,
         [](Text v, Options* o) { return read_cache_ram(v, &o->settings.cache_ram_mib); }},
    Flag{"--ctx-checkpoints", "-ctxcp --swa-checkpoints", "N", "checkpoints a slot (default 32)",
         kPlan,
         [](Text v, Options* o) { return read_count(v, 0, 4096, &o->settings.ctx_checkpoints); }},
    Flag{"--load-mode", "-lm", "MODE", "auto, none, mmap, mlock, mmap+mlock or dio", kPlan,
         [](Text v, Options* o) { return read_word(v, planner::kLoadModeWords, &o->settings.load_mode); }},
    Flag{"--no-mmap", "", "", "the same as --load-mode none", kPlan,
         [](Text, Options* o) {
           o->settings.load_mode = planner::LoadMode::none;
           return Status(Ok{});
         }},
    Flag{"--mlock", "", "", "the same as --load-mode mmap+mlock", kPlan,
         [](Text, Options* o) {
           // With --no-mmap before it, as older builds read the two.
           const bool mapped = o->settings.load_mode != planner::LoadMode::none;
           o->settings.load_mode =
               mapped ? planner::LoadMode::mmap_mlock : planner::LoadMode::mlock;
           return Status(Ok{});
         }},
    Flag{"--no-repack", "-nr", "", "CPU weights keep the file's layout", kPlan,
         [](Text, Options* o) { return off(&o->settings.repack); }},

    // What it is used for.
    Flag{"--use", "", "NAME", "chat, code, rag, agent or batch", kWorkload,
         [](Text v, Options* o) -> Status {
           auto workload = planner::workload_for(v);
           if (!workload) return wrong_value(v, "chat, code, rag, agent or batch");
           o->workload = std::move(*workload);
           o->use_given = true;
           return Ok{};
         }},
    Flag{"--prompt", "", "N", "tokens of a prompt; 30k is 30720", kWorkload,
         [](Text v, Options* o) { return read_count(v, 1, kMaxTokens, &o->workload.n_prompt); }},
    Flag{"--gen", "", "N", "tokens of an answer", kWorkload,
         [](Text v, Options* o) { return read_count(v, 0, kMaxTokens, &o->workload.n_gen); }},
    Flag{"--cached", "", "SHARE", "of the prompt already in the cache, 0.9 or 90%", kWorkload,
         [](Text v, Options* o) { return read_share(v, &o->workload.cached_fraction); }},
    Flag{"--depth", "", "N", "tokens in the cache before the prompt", kWorkload,
         [](Text v, Options* o) { return read_count(v, 0, kMaxTokens, &o->workload.depth); }},
    Flag{"--users", "", "N", "people who share the machine", kWorkload,
         [](Text v, Options* o) { return read_count(v, 1, 100000, &o->workload.users); }},
    Flag{"--hours", "", "H", "hours a day that the model is loaded", kWorkload,
         [](Text v, Options* o) { return read_number(v, 0, 24, &o->workload.hours_per_day); }},
    Flag{"--requests", "", "N", "requests a day", kWorkload,
         [](Text v, Options* o) { return read_number(v, 0, 1e9, &o->workload.requests_per_day); }},

    // fit
    Flag{"--top", "", "N", "rows to show (default 12)", kFit,
         [](Text v, Options* o) {
           std::size_t top = 0;
           Status status = read_count(v, 1, 100000, &top);
           if (status) o->top = top;
           return status;
         }},
    Flag{"--min-tps", "", "N", "slowest decode that is worth listing, tok/s", kFit,
         [](Text v, Options* o) { return read_optional_number(v, 0, 1e9, &o->min_tps); }},
    Flag{"--model", "-m", "NAME", "fit: only names with this; verify: the model that runs",
         kFit | kVerify | kCalibrate,
         [](Text v, Options* o) { return read_text(v, &o->model_filter); }},

    // Money.
    Flag{"--power-limit", "", "W", "each GPU is held to, watts (default its own limit)", kMoney,
         [](Text v, Options* o) {
           const Text number = v.ends_with('W') || v.ends_with('w') ? v.substr(0, v.size() - 1) : v;
           std::optional<double> watts;
           Status status = read_optional_number(number, planner::kLeastPowerLimitW,
                                                planner::kMostPowerLimitW, &watts);
           if (status) o->settings.power_limit_w = watts;
           return status;
         }},
    Flag{"--tariff", "", "NAME", "electricity tariff (see list tariffs), or a price: 0.16/kWh", kMoney,
         [](Text v, Options* o) { return read_text(v, &o->tariff); }},
    Flag{"--price", "", "P", "price of a kWh in place of a tariff", kMoney,
         [](Text v, Options* o) { return read_text(v, &o->price); }},
    Flag{"--max", "", "", "only the ceiling: full power all month", kBill,
         [](Text, Options* o) { return on(&o->full_power); }},
    Flag{"--watts", "", "W", "power at the wall in place of the machine's", kBill,
         [](Text v, Options* o) { return read_optional_number(v, 0, 1e6, &o->watts); }},

    // How the answer looks.
    Flag{"--format", "", "F", "table, json, csv or md", kOutput,
         [](Text v, Options* o) { return read_word(v, kFormats, &o->format); }},
    Flag{"--json", "", "", "the same as --format json", kOutput,
         [](Text, Options* o) -> Status {
           o->format = Format::json;
           return Ok{};
         }},
    Flag{"--output", "-o", "FILE", "write there; - is standard output", kOutput,
         [](Text v, Options* o) -> Status {
           // llama-bench's -o names a format; a file of that name is ./json.
           if (o->command == "bench" && read_word(v, kBenchFormats, &o->bench.as_llama_bench))
             return Ok{};
           return read_text(v, o->command == "synth" ? &o->made_file : &o->output);
         }},
    Flag{"--why", "", "", "show the arithmetic", kWhy,
         [](Text, Options* o) { return on(&o->why); }},
    Flag{"--check", "", "TERMS", "exit 7 unless met: 'decode>=20,fits=gpu,cost<=30'", kCheck,
         [](Text v, Options* o) { return read_text(v, &o->check); }},
    Flag{"--tolerance", "", "P%", "exit 7 when a total or speed differs by more, as 3%", kVerify,
         [](Text v, Options* o) -> Status {
           const Text number = v.ends_with('%') ? v.substr(0, v.size() - 1) : v;
           double percent = 0;
           if (!read_number(number, 0, 1000, &percent)) return wrong_value(v, "a percentage such as 3%");
           o->tolerance = percent / 100;
           return Ok{};
         }},
    Flag{"--speed", "", "", "speeds in place of memory: of a log, a llama-bench file, a server",
         kVerify, [](Text, Options* o) { return on(&o->speed); }},
    Flag{"--quiet", "", "", "no notes, no hints", kOutput,
         [](Text, Options* o) { return on(&o->quiet); }},
    Flag{"--color", "", "WHEN", "auto, always or never", kOutput,
         [](Text v, Options* o) { return read_word(v, kColors, &o->color); }},
    Flag{"--hwdb", "", "DIR", "rows that replace or add to the built-in ones", kCatalog,
         [](Text v, Options* o) { return read_text(v, &o->hwdb_dir); }},
    Flag{"--state-dir", "", "DIR", "where machines are saved", kCatalog,
         [](Text v, Options* o) { return read_text(v, &o->state_dir); }},
    Flag{"--no-state", "", "", "read and write no saved state", kCatalog,
         [](Text, Options* o) { return on(&o->no_state); }},
    Flag{"--save-machine", "", "NAME", "keep this machine under that name", kRig,
         [](Text v, Options* o) { return read_text(v, &o->save_machine); }},
    Flag{"--sysroot", "", "DIR", "a recorded machine in place of this one", kRig | kDoctor,
         [](Text v, Options* o) { return read_text(v, &o->sysroot); }},
    Flag{"--measure", "", "", "measure bandwidth, rates, disk and watts, and keep them", kProbe,
         [](Text, Options* o) { return on(&o->measure); }},
    Flag{"--full", "", "", "measure longer (probe: and hold each load)", kProbe | kCalibrate,
         [](Text, Options* o) { return on(&o->full); }},
    Flag{"--quick", "", "", "a minute of measuring (default)", kCalibrate,
         [](Text, Options* o) { return on(&o->quick); }},
    Flag{"--from", "", "FILE", "what llama-bench -o json or csv printed here; may be repeated",
         kCalibrate,
         [](Text v, Options* o) {
           o->from_files.emplace_back(v);
           return Status(hwdb::Ok{});
         }},
    Flag{"--endpoint", "", "URL",
         "a live server: llama-server, Ollama, LM Studio, or http://host:port/v1 from outside",
         kCalibrate, [](Text v, Options* o) { return read_text(v, &o->endpoint); }},
    Flag{"--from-log", "", "FILE", "a runtime's log with its timing lines", kCalibrate,
         [](Text v, Options* o) { return read_text(v, &o->from_log); }},
    Flag{"--seconds", "", "N", "time for measuring (default 15, with --full 60)", kProbe,
         [](Text v, Options* o) { return read_optional_number(v, 1, 3600, &o->seconds); }},
    Flag{"--show", "", "", "what was measured before, without measuring", kProbe | kCalibrate,
         [](Text, Options* o) { return on(&o->show); }},
    Flag{"--save", "", "FILE", "write the machine as JSON, for --on elsewhere", kProbe,
         [](Text v, Options* o) { return read_text(v, &o->save_file); }},
    Flag{"--record", "", "DIR", "make a fixture of this machine, or of REPORT", kDoctor,
         [](Text v, Options* o) { return read_text(v, &o->record_dir); }},
    Flag{"--help", "-h", "", "this text", kOutput,
         [](Text, Options* o) { return on(&o->help); }},
    Flag{"--version", "", "", "the version", kOutput,
         [](Text, Options* o) { return on(&o->version); }},
};

}  // namespace

std::span<const Flag> flags() {
  static const std::vector<Flag> kAll = [] {
    std::vector<Flag> all(kFlags.begin(), kFlags.end());
    const std::span<const Flag> engine = engine_flags();
    all.insert(all.end(), engine.begin(), engine.end());
    const std::span<const Flag> run = run_flags();
    all.insert(all.end(), run.begin(), run.end());
    const std::span<const Flag> making = making_flags();
    all.insert(all.end(), making.begin(), making.end());
    return all;
  }();
  return kAll;
}

const Flag* find_flag(Text spelling, unsigned groups) {
  for (const Flag& flag : flags()) {
    if ((flag.group & groups) == 0) continue;
    if (flag.name == spelling) return &flag;
    for (std::size_t i = 0; i < flag.shorts.size();) {
      const std::size_t end = std::min(flag.shorts.find(' ', i), flag.shorts.size());
      if (flag.shorts.substr(i, end - i) == spelling) return &flag;
      i = end + 1;
    }
  }
  return nullptr;
}

}  // namespace cli
