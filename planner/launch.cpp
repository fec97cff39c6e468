// SPDX-License-Identifier: MIT
#include "planner/launch.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace planner {
namespace {

/// Of the server, where a plan differs from it.
const RunSettings kDefaults;

bool is_path(std::string_view model) {
  return model.ends_with(".gguf") || model.find('/') != std::string_view::npos;
}

/// The GGUF file to load: the given one, or the name that publishers would give it.
std::string gguf_path(const Plan& plan) {
  const std::string& model = plan.scenario.model;
  return is_path(model) ? model : fmt::format("{}-{}.gguf", model, plan.quant);
}

std::string_view name_of(SplitMode mode) {
  switch (mode) {
    case SplitMode::none:
      return "none";
    case SplitMode::row:
      return "row";
    case SplitMode::tensor:
      return "tensor";
    case SplitMode::layer:
      break;
  }
  return "layer";
}

/// A name that Ollama takes: lower case, no path, no ending.
std::string ollama_name(const Plan& plan) {
  std::string_view path = plan.scenario.model;
  if (path.starts_with("ollama:")) return std::string(path.substr(7));
  path = path.substr(path.find_last_of('/') + 1);
  if (path.ends_with(".gguf")) path.remove_suffix(5);
  std::string name;
  for (const char c : path) {
    const bool lower = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
    const bool upper = c >= 'A' && c <= 'Z';
    name += lower ? c : upper ? static_cast<char>(c - 'A' + 'a') : '-';
  }
  return name.empty() || name.front() == '-' ? "model" + name : name;
}

bool ollama_can(const Plan& plan) {
  const RunSettings& settings = plan.scenario.settings;
  return plan.placement.n_cpu_moe == 0 && settings.override_tensor.empty() &&
         !settings.kv_on_host && settings.mmproj.empty() && settings.lora.empty() &&
         !settings.draft.active() && settings.cache_type_k == settings.cache_type_v &&
         settings.split_mode != SplitMode::row && settings.split_mode != SplitMode::tensor;
}

/// Shares as llama.cpp deals out whole layers: their counts, the output with its GPU. What the user
/// gave is kept, and matrices that are cut have shares only when some were given.
std::string tensor_split_words(const Plan& plan) {
  const RunSettings& settings = plan.scenario.settings;
  const Placement& placement = plan.placement;
  const std::size_t n = placement.layers_on_gpu.size();
  if (n < 2) return {};
  std::string words;
  if (settings.tensor_split.size() == n) {
    for (const double share : settings.tensor_split)
      words += fmt::format("{}{:.6g}", words.empty() ? "" : ",", share);
  } else if (settings.split_mode == SplitMode::layer) {
    std::uint32_t blocks = 0;
    for (const std::uint32_t layers : placement.layers_on_gpu) blocks += layers;
    for (std::size_t g = 0; g < n; ++g) {
      std::uint32_t count = placement.layers_on_gpu[g];
      if (g == placement.output_gpu) count += placement.n_gpu_layers - blocks;
      words += fmt::format("{}{}", words.empty() ? "" : ",", count);
    }
  }
  return words.empty() ? words : " -ts " + words;
}

/// Projector, adapters and drafts, in the spellings of the newest builds.
std::string beside_the_model(const Plan& plan) {
  const RunSettings& settings = plan.scenario.settings;
  std::string line;
  if (!settings.mmproj.empty()) {
    line += " --mmproj " + shell_word(settings.mmproj == "catalogue"
                                          ? fmt::format("mmproj-{}.gguf", plan.scenario.model)
                                          : settings.mmproj);
    if (!settings.mmproj_on_gpu) line += " --no-mmproj-offload";
  }
  for (const std::string& adapter : settings.lora) {
    if (!adapter.starts_with("rank=")) line += " --lora " + shell_word(adapter);
  }
  const DraftSettings& draft = settings.draft;
  if (!draft.active()) return line;
  if (draft.mtp) line += " --spec-type draft-mtp";
  if (!draft.model.empty()) {
    const std::string quant = draft.quant.empty() ? plan.scenario.quant : draft.quant;
    line +=
        " -md " + shell_word(is_path(draft.model) ? draft.model
                                                  : fmt::format("{}-{}.gguf", draft.model, quant));
    if (draft.n_gpu_layers) line += fmt::format(" -ngld {}", *draft.n_gpu_layers);
  }
  if (draft.n_ctx > 0) line += fmt::format(" -cd {}", draft.n_ctx);
  if (draft.cache_type_k != kDefaults.draft.cache_type_k) line += " -ctkd " + draft.cache_type_k;
  if (draft.cache_type_v != kDefaults.draft.cache_type_v) line += " -ctvd " + draft.cache_type_v;
  if (draft.n_max != kDefaults.draft.n_max)
    line += fmt::format(" --spec-draft-n-max {}", draft.n_max);
  return line;
}

std::string_view name_of(LoadMode mode) {
  switch (mode) {
    case LoadMode::none:
      return "none";
    case LoadMode::mmap:
      return "mmap";
    case LoadMode::mlock:
      return "mlock";
    case LoadMode::mmap_mlock:
      return "mmap+mlock";
    case LoadMode::direct_io:
      return "dio";
    case LoadMode::automatic:
      break;
  }
  return "auto";
}

std::string host_words(const RunSettings& settings) {
  std::string line;
  if (settings.cache_ram_mib != kDefaults.cache_ram_mib)
    line += fmt::format(" --cache-ram {}", settings.cache_ram_mib);
  if (settings.ctx_checkpoints != kDefaults.ctx_checkpoints)
    line += fmt::format(" --ctx-checkpoints {}", settings.ctx_checkpoints);
  if (settings.load_mode != kDefaults.load_mode)
    line += fmt::format(" --load-mode {}", name_of(settings.load_mode));
  if (!settings.repack) line += " --no-repack";
  return line;
}

}  // namespace

std::string shell_word(std::string_view text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._-/:,=+@%").find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::ranges::all_of(text, plain)) return std::string(text);
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string llama_server_line(const Plan& plan) {
  const RunSettings& settings = plan.scenario.settings;
  std::string path = gguf_path(plan);
  if (path.starts_with('-')) path = "./" + path;
  std::string line = "llama-server -m " + shell_word(path);
  auto out = std::back_inserter(line);
  fmt::format_to(out, " -c {} -np {} -ngl {}", settings.n_ctx, settings.n_seq,
                 plan.placement.n_gpu_layers);
  // Overrides before what -ncmoe adds to them: the first that names a tensor decides.
  if (!settings.override_tensor.empty()) {
    line += " -ot " + shell_word(settings.override_tensor);
    if (settings.cpu_moe) line += " -cmoe";
    if (settings.n_cpu_moe) fmt::format_to(out, " -ncmoe {}", *settings.n_cpu_moe);
  } else if (plan.placement.n_cpu_moe > 0) {
    fmt::format_to(out, " -ncmoe {}", plan.placement.n_cpu_moe);
  }
  if (settings.split_mode != kDefaults.split_mode) {
    fmt::format_to(out, " -sm {}", name_of(settings.split_mode));
  }
  if (settings.main_gpu > 0) fmt::format_to(out, " -mg {}", settings.main_gpu);
  line += tensor_split_words(plan);
  if (settings.kv_on_host) line += " -nkvo";
  line += settings.flash_attn ? " -fa on" : " -fa off";
  if (settings.cache_type_k != kDefaults.cache_type_k) line += " -ctk " + settings.cache_type_k;
  if (settings.cache_type_v != kDefaults.cache_type_v) line += " -ctv " + settings.cache_type_v;
  if (settings.n_batch != kDefaults.n_batch) fmt::format_to(out, " -b {}", settings.n_batch);
  if (settings.n_ubatch != kDefaults.n_ubatch) fmt::format_to(out, " -ub {}", settings.n_ubatch);
  if (settings.n_threads) fmt::format_to(out, " -t {}", *settings.n_threads);
  return line + beside_the_model(plan) + host_words(settings);
}

std::string ollama_line(const Plan& plan) {
  if (!ollama_can(plan)) return {};
  const RunSettings& settings = plan.scenario.settings;
  std::string path = gguf_path(plan);
  if (!path.starts_with('/') && !path.starts_with('.')) path = "./" + path;
  const std::string name = shell_word(ollama_name(plan));
  const bool stored = plan.scenario.model.starts_with("ollama:");
  // printf expands its first argument, so the path goes in as an argument of its own.
  return fmt::format(
      "printf 'FROM %s\\nPARAMETER num_ctx {}\\nPARAMETER num_gpu {}\\n' {} > Modelfile && "
      "ollama create {}{} -f Modelfile && ollama run {}{}",
      settings.n_ctx / std::max(settings.n_seq, 1u), plan.placement.n_gpu_layers,
      stored ? name : shell_word(path), name, stored ? "-planned" : "", name,
      stored ? "-planned" : "");
}

std::string ollama_serve_line(const Plan& plan) {
  if (!ollama_can(plan)) return {};
  const RunSettings& settings = plan.scenario.settings;
  std::string line;
  if (settings.n_seq > 1) line += fmt::format("OLLAMA_NUM_PARALLEL={} ", settings.n_seq);
  if (settings.cache_type_k != kDefaults.cache_type_k) {
    line += "OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE=" + settings.cache_type_k + " ";
  }
  return line.empty() ? line : line + "ollama serve";
}

}  // namespace planner
