// SPDX-License-Identifier: MIT
#include "probes/runtime/log_line_readers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "hwdb/limits.h"
#include "probes/runtime/log_text.h"

namespace probes {
namespace {

using hwdb::RuntimeLoad;
using Text = std::string_view;

/// What stands in the first pair of 'single quotes'.
std::optional<Text> quoted(Text text) {
  const auto rest = after(text, "'");
  if (!rest || rest->find('\'') == Text::npos) return std::nullopt;
  return before(*rest, "'");
}

/// "key   = value" into its two halves; an empty key when it is none.
std::pair<Text, Text> assignment(Text text) {
  const std::size_t equals = text.find('=');
  if (equals == Text::npos) return {};
  return {trimmed(text.substr(0, equals)), trimmed(text.substr(equals + 1))};
}

std::optional<bool> on_off(Text value) {
  if (value == "true" || value == "1" || value == "enabled" || value == "on") return true;
  if (value == "false" || value == "0" || value == "disabled" || value == "off") return false;
  return std::nullopt;
}

constexpr std::array<Text, 3> kContextFunctions = {
    "llama_context: ", "llama_new_context_with_model: ", "llama_init_from_model: "};
// Settings that only ik_llama.cpp prints.
constexpr std::array<Text, 4> kIkSettings = {"attn_max_b", "fused_moe", "fused_up_gate",
                                             "k_cache_hadam"};

/// "llama_context: n_ctx                 = 2048"
bool read_setting(LogState* state, const LogLine& line) {
  std::optional<Text> rest;
  for (const Text function : kContextFunctions) {
    if (!rest) rest = after(line.text, function);
  }
  if (!rest) return false;
  if (state->in_trial()) return true;
  if (has(*rest, "constructing llama_context")) {
    state->begin_context();
    return true;
  }
  const auto [key, value] = assignment(*rest);
  if (key.empty()) return has(*rest, "pipeline parallelism");
  if (std::ranges::find(kIkSettings, key) != kIkSettings.end()) {
    state->report.runtime = "ik_llama.cpp";
    return true;
  }
  struct Count {
    Text key;
    std::optional<std::uint64_t> RuntimeLoad::*member;
  };
  constexpr std::array kCounts = {
      Count{"n_ctx", &RuntimeLoad::n_ctx},
      Count{"n_ctx_seq", &RuntimeLoad::n_ctx_seq},
      Count{"n_ctx_per_seq", &RuntimeLoad::n_ctx_seq},
      Count{"n_batch", &RuntimeLoad::n_batch},
      Count{"n_ubatch", &RuntimeLoad::n_ubatch},
      Count{"n_seq_max", &RuntimeLoad::n_seq_max},
      Count{"n_outputs_max", &RuntimeLoad::n_outputs},
  };
  const auto count = std::ranges::find(kCounts, key, &Count::key);
  if (count != kCounts.end()) {
    const auto number = count_of(value);
    if (!number) return false;
    // Builds that do not say "constructing" begin with one of these.
    const RuntimeLoad& now = state->load();
    if ((key == "n_seq_max" || key == "n_ctx") && (now.*count->member || !now.caches.empty())) {
      state->begin_context();
    }
    state->load().*count->member = number;
    return true;
  }
  if (key == "flash_attn") {
    state->load().flash_attn = on_off(value);
    state->load().flash_attn_auto = value == "auto";
  }
  if (key == "kv_unified") state->load().kv_unified = on_off(value);
  return true;
}

/// "print_info: arch                  = llama"
bool read_model_fact(LogState* state, const LogLine& line) {
  auto rest = after(line.text, "print_info: ");
  if (!rest) rest = after(line.text, "llm_load_print_meta: ");
  if (!rest) return false;
  if (state->in_trial()) return true;
  const auto [key, value] = assignment(*rest);
  if (key.empty()) return false;
  RuntimeLoad& load = state->load();
  struct Count {
    Text key;
    std::optional<std::uint64_t> RuntimeLoad::*member;
  };
  constexpr std::array kCounts = {
      Count{"n_layer", &RuntimeLoad::n_layers},
      Count{"n_ctx_train", &RuntimeLoad::n_ctx_train},
      Count{"n_embd", &RuntimeLoad::n_embd},
      Count{"n_vocab", &RuntimeLoad::n_vocab},
  };
  const auto count = std::ranges::find(kCounts, key, &Count::key);
  if (count != kCounts.end()) {
    load.*count->member = count_of(value);
  } else if (key == "arch") {
    load.architecture = kept(value);
  } else if (key == "general.name") {
    load.name = kept(value);
  } else if (key == "file type" || key == "model ftype") {
    load.file_type = kept(value);
  } else if (key == "file size" || key == "model size") {
    Text text = value;
    load.tensor_bytes = take_size(&text);
    if (auto bits = after(text, "(")) load.bits_per_weight = take_number(&*bits);
  } else if (key == "model params") {
    Text text = value;
    if (auto number = take_number(&text)) {
      const Text unit = trimmed(text);
      const double scale = unit == "T"   ? 1e12
                           : unit == "B" ? 1e9
                           : unit == "M" ? 1e6
                           : unit == "K" ? 1e3
                                         : 0;
      if (scale > 0) load.n_params = *number * scale;
    }
  }
  return true;
}

/// "llama_model_loader: loaded meta data with 25 key-value pairs and 47 tensors from x.gguf (...)"
bool read_loader(LogState* state, const LogLine& line) {
  const auto rest = after(line.text, "llama_model_loader: ");
  if (!rest) return false;
  if (state->in_trial()) return true;
  if (has(*rest, "loaded meta data")) {
    state->begin_model();
    RuntimeLoad& load = state->load();
    if (auto tensors = after(*rest, "pairs and ")) load.n_tensors = take_count(&*tensors);
    if (auto path = after(*rest, "tensors from ")) {
      load.path = kept(path->substr(0, path->rfind(" (version")));
    }
    return true;
  }
  const auto [key, value] = assignment(*rest);
  if (has(key, "general.architecture str")) state->load().architecture = kept(value);
  if (has(key, "general.name str")) state->load().name = kept(value);
  return has(*rest, "- kv ") || has(*rest, "- type ") || has(*rest, "metadata");
}

/// What loading and placing layers prints.
bool read_tensors(LogState* state, const LogLine& line) {
  const auto rest = after(line.text, "load_tensors: ");
  if (!rest) return false;
  if (state->in_trial()) return true;
  if (has(*rest, "loading model tensors")) {
    state->begin_model();
    if (auto mode = after(*rest, "load_mode = ")) {
      state->load().load_mode = kept(before(*mode, ")"));
    } else if (auto mapped = after(*rest, "mmap = ")) {
      state->load().load_mode = mapped->starts_with("true") ? "mmap" : "none";
    }
    return true;
  }
  RuntimeLoad& load = state->load();
  if (auto layers = after(*rest, "offloaded ")) {
    load.offloaded_layers = take_count(&*layers);
    if (auto all = after(*layers, "/")) load.offloadable_layers = take_count(&*all);
    return true;
  }
  if (auto layer = after(*rest, "layer ")) {
    const auto index = take_count(&*layer);
    const auto device = after(*layer, "assigned to device ");
    if (index && device && *index == load.layer_devices.size() &&
        load.layer_devices.size() <= hwdb::limits::kLayers) {
      load.layer_devices.push_back(kept(before(*device, ",")));
    }
  }
  return true;
}

/// "using device CUDA0 (NVIDIA GeForce RTX 3090) (0000:01:00.0) - 23828 MiB free", the list of
/// device_info, and ggml_cuda_init's "  Device 0: NVIDIA GeForce RTX 3090, compute capability 8.6".
bool read_device(LogState* state, const LogLine& line) {
  if (const auto rest = after(line.text, "using device ")) {
    const Text name = before(*rest, " (");
    auto description = after(*rest, " (");
    const std::size_t dash = rest->rfind(") - ");
    if (name.empty() || has(name, " ") || !description || dash == Text::npos) return false;
    hwdb::RuntimeDevice& device = state->device(name);
    const Text inner = description->substr(0, dash - name.size() - 2);
    device.description = kept(before(inner, ") ("));
    Text size = rest->substr(dash + 4);
    device.free = take_size(&size);
    return true;
  }
  if (has(line.text, "compute capability")) {
    auto rest = after(line.text, "Device ");
    if (!rest) return false;
    const auto index = take_count(&*rest);
    if (!index || !rest->starts_with(": ")) return false;
    hwdb::RuntimeDevice& device = state->device(fmt::format("CUDA{}", *index));
    if (device.description.empty()) {
      device.description = kept(before(rest->substr(2), ", compute capability"));
    }
    return true;
  }
  if (has(line.text, " MiB free)")) {
    auto rest = after(line.text, "- ");
    if (!rest || !has(*rest, ": ")) return false;
    const Text name = trimmed(before(*rest, ": "));
    const Text told = *after(*rest, ": ");
    const std::size_t open = told.rfind(" (");
    if (open == Text::npos || name.empty() || has(name, " ")) return false;
    Text sizes = told.substr(open + 2);
    const auto total = take_size(&sizes);
    if (!total || !sizes.starts_with(",")) return false;
    sizes.remove_prefix(1);
    hwdb::RuntimeDevice& device = state->device(name);
    device.description = kept(told.substr(0, open));
    device.total = total;
    device.free = take_size(&sizes);
    return true;
  }
  return false;
}

/// "build: 4748 (38d4ef9a) with cc", "build 1 (de3ff81) with GNU", "build = 2029 (d2f650cb)".
bool read_build(LogState* state, const LogLine& line) {
  auto rest = after(line.text, "build: ");
  if (!rest) rest = after(line.text, "build = ");
  if (!rest) rest = after(line.text, "build ");
  if (!rest) return false;
  const auto number = take_count(&*rest);
  if (!number || !rest->starts_with(" (")) return false;
  const Text commit = before(rest->substr(2), ")");
  if (commit.size() < 6 || commit.size() > 40 ||
      commit.find_first_not_of("0123456789abcdef") != Text::npos) {
    return false;
  }
  state->report.build = fmt::format("b{}-{}", *number, commit);
  state->report.build_number = *number;
  return true;
}

/// Lines of the server and of the steps between loading and the first token.
bool read_step(LogState* state, const LogLine& line) {
  const Text text = line.text;
  if (has(text, "fitting params to device memory") || has(text, "getting device memory data for")) {
    state->begin_trial();
    return true;
  }
  if (has(text, "fit params to free device memory") || has(text, "fitting params to free memory")) {
    state->end_trial();
    return true;
  }
  if (const auto path = after(text, "loading draft model")) {
    state->end_trial();
    state->announce_model(RuntimeLoad::Role::draft, quoted(*path).value_or(""));
    return true;
  }
  if (const auto path = after(text, "load_model: loading model '")) {
    state->end_trial();
    state->announce_model(RuntimeLoad::Role::main, before(*path, "'"));
    return true;
  }
  if (state->in_trial()) return false;
  if (const auto rest = after(text, "Flash Attention ")) {
    if (has(*rest, "enabled")) state->load().flash_attn = true;
    if (has(*rest, "disabled") || has(*rest, "not supported")) state->load().flash_attn = false;
    return true;
  }
  if (auto copies = after(text, "sched copies = ")) {
    state->load().sched_copies = take_count(&*copies);
    return true;
  }
  if (has(text, "creating ") && has(text, "KV cache, size =")) {
    state->next_cache();
    return true;
  }
  if (auto slots = after(text, "n_slots = "); slots && has(text, "initializing")) {
    state->report.n_slots = take_count(&*slots);
    if (auto context = after(*slots, "n_ctx_slot = ")) {
      state->report.n_ctx_slot = take_count(&*context);
    }
    return true;
  }
  if (auto size = after(text, "load_hparams: model size:")) {
    state->announce_model(RuntimeLoad::Role::projector, "");
    state->begin_model();
    state->load().tensor_bytes = take_size(&*size);
    return true;
  }
  return false;
}

constexpr std::array<ReadLogLine, 7> kReaders = {
    read_setting, read_model_fact, read_loader, read_tensors, read_device, read_build, read_step};

}  // namespace

std::span<const ReadLogLine> setup_line_readers() {
  return kReaders;
}

}  // namespace probes
