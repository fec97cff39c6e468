// SPDX-License-Identifier: MIT
#include "planner/cli/verify_lookup.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "hwdb/quant_name.h"
#include "planner/rig/rig.h"

namespace cli {
namespace {

using hwdb::Error;
using hwdb::Result;
using hwdb::RuntimeLoad;
using MachinePointer = std::shared_ptr<const hwdb::Machine>;
using ModelPointer = std::shared_ptr<const planner::ResolvedModel>;

bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

/// The file that the load names, as it is found from here or from the source's folder; "" when it
/// is not here.
std::string file_of(const RuntimeLoad& load, const std::string& source) {
  if (load.path.empty()) return {};
  const auto as_path = [](const std::string& path) {
    return path.find('/') == std::string::npos ? "./" + path : path;
  };
  if (is_file(load.path)) return as_path(load.path);
  const std::size_t slash = source.find_last_of('/');
  const bool is_url = source.find("://") != std::string::npos;
  if (load.path.starts_with('/') || is_url || slash == std::string::npos) return {};
  const std::string beside = source.substr(0, slash + 1) + load.path;
  return is_file(beside) ? as_path(beside) : std::string();
}

/// A catalogue name in what the runtime calls the model: "Meta Llama 3.1 8B Instruct", or the
/// file's name without its preset and shard.
Result<ModelPointer> catalogue_model(Session& session, const RuntimeLoad& load, std::string quant,
                                     const std::string& source) {
  if (quant.empty()) quant = hwdb::preset_of_file_type(load.file_type);
  if (quant.empty()) quant = hwdb::preset_in_file_name(load.path);
  if (session.options().quant) quant = *session.options().quant;
  std::string file = load.path.substr(load.path.find_last_of("/\\") + 1);
  const std::string preset = hwdb::preset_in_file_name(file);
  file = file.substr(0, file.rfind("-00001-of-"));
  if (file.ends_with(".gguf")) file.resize(file.size() - 5);
  if (!preset.empty() && file.size() > preset.size()) file.resize(file.size() - preset.size() - 1);
  for (const std::string& name : {file, load.name}) {
    if (name.empty()) continue;
    const auto row = session.catalog().find_model(name);
    if (!row) continue;
    const std::string& architecture = (*row)->shape.architecture;
    if (!load.architecture.empty() && architecture != load.architecture) continue;
    return session.model((*row)->id, quant);
  }
  const std::string& shown = load.name.empty() ? load.path : load.name;
  return Error{"name.unknown",
               fmt::format("its model{} is neither a file here nor in the catalogue",
                           shown.empty() ? "" : fmt::format(" (\"{}\")", shown)),
               source, "name it with --model"};
}

/// The rig of the cards that a program lists, "NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 3090".
std::string cards_rig(const hwdb::Catalog& catalog, std::string_view cards) {
  std::string rig;
  while (!cards.empty()) {
    const std::size_t end = std::min(cards.find(", "), cards.size());
    const auto row = catalog.find_gpu(cards.substr(0, end));
    if (!row) return {};
    rig += (rig.empty() ? "" : " + ") + (*row)->id;
    cards.remove_prefix(std::min(end + 2, cards.size()));
  }
  return rig;
}

}  // namespace

bool is_given(const Options& options, std::string_view flag) {
  return std::ranges::any_of(options.given, [&](const auto& given) { return given.first == flag; });
}

Result<ModelPointer> find_runtime_model(Session& session, const RuntimeLoad& load,
                                        const std::string& quant, const std::string& source,
                                        bool is_ollama) {
  const Options& options = session.options();
  if (!options.model_filter.empty()) {
    std::string wanted = options.quant.value_or(quant);
    if (wanted.empty()) wanted = hwdb::preset_of_file_type(load.file_type);
    return session.model(options.model_filter, wanted);
  }
  if (const std::string file = file_of(load, source); !file.empty()) {
    return session.model(file, "");
  }
  if (is_ollama) {
    if (auto stored = session.model("ollama:" + load.name, "")) return stored;
  }
  return catalogue_model(session, load, quant, source);
}

Result<MachinePointer> find_reading_machine(Session& session, const hwdb::SpeedReading& reading) {
  const Options& options = session.options();
  if (is_given(options, "--on") || reading.device.empty()) return session.machine(options.on);
  auto here = session.machine("this");
  if (here) {
    const hwdb::Machine& machine = **here;
    if (reading.device == machine.cpu.name) return here;
    if (!machine.gpus.empty() && reading.device.find(machine.gpus.front().name) == 0) return here;
  }
  const bool on_processor = reading.backend == "cpu" || reading.n_gpu_layers == 0u;
  const std::string rig =
      on_processor ? reading.device : cards_rig(session.catalog(), reading.device);
  if (!rig.empty()) {
    if (auto named = session.machine(rig)) return named;
  }
  return Error{"usage.arguments",
               fmt::format("it was measured on \"{}\", which nobody here knows", reading.device),
               reading.where, "name the machine with --on RIG, or --on this"};
}

}  // namespace cli
