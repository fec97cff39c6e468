// SPDX-License-Identifier: MIT
#include "planner/cli/engine_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "hwdb/model_stores.h"
#include "planner/cli/progress.h"
#include "probes/detect/cpu_places.h"

namespace cli {
namespace {

/// True for text that can only mean a file.
bool looks_like_file(const std::string& name) {
  return name.find('/') != std::string::npos || name.ends_with(".gguf");
}

}  // namespace

EngineSession::EngineSession(Session& session) : session_(session) {
  if (session.environment().catch_interrupt) cancel_ = session.environment().catch_interrupt();
  // What is not known about this machine is no reason not to run on it.
  if (auto machine = session.machine("this")) machine_ = **machine;
  std::set<std::uint32_t> cores;
  for (const probes::CpuPlace& place : probes::read_cpu_places()) {
    cores.insert(place.core);
    cpus_.push_back(place.cpu);
  }
  std::size_t threads = cores.empty() ? machine_.cpu.cores : cores.size();
  if (machine_.cpu.usable_threads > 0)
    threads = std::min<std::size_t>(threads, machine_.cpu.usable_threads);
  default_threads_ = static_cast<unsigned>(std::max<std::size_t>(threads, 1));
}

engine::ThreadPool& EngineSession::pool() {
  return pool_ ? *pool_ : pool(session_.options().settings.n_threads.value_or(default_threads_));
}

engine::ThreadPool& EngineSession::pool(unsigned n_threads) {
  if (!pool_ || pool_->size() != n_threads) {
    pool_.reset();  // its workers leave their cores before others come
    pool_ = std::make_unique<engine::ThreadPool>(n_threads, cpus_);
  }
  return *pool_;
}

hwdb::Result<std::string> EngineSession::model_path(const std::string& name) {
  if (hwdb::is_store_name(name)) {
    auto file = session_.model_file(name);
    if (!file) return file.error();
    return file->paths.front();
  }
  if (!looks_like_file(name) && session_.catalog().find_model(name).has_value()) {
    return hwdb::Error{
        "file.open", "is a model of the catalogue, not a file", name,
        fmt::format("give a GGUF file to run it; tokwatt plan {} predicts its speed", name)};
  }
  return name;
}

hwdb::Result<std::unique_ptr<engine::Model>> EngineSession::open(const std::string& name) {
  auto path = model_path(name);
  if (!path) return path.error();
  ProgressLine progress(session_.environment(), session_.options().quiet, "");
  engine::ModelOptions how;
  how.storage = session_.options().mapped_weights ? engine::WeightStorage::mapped
                                                  : engine::WeightStorage::repacked;
  const std::string step = "loading " + path->substr(path->rfind('/') + 1);
  progress.show(step, 0);
  how.on_progress = [&](double share) { progress.show(step, share); };
  how.cancel = cancel_;
  return engine::Model::open(*path, pool(), how);
}

hwdb::Result<engine::ContextOptions> EngineSession::context_options() const {
  const planner::RunSettings& settings = session_.options().settings;
  engine::ContextOptions out;
  if (session_.options().n_ctx) out.n_ctx = static_cast<std::uint32_t>(*session_.options().n_ctx);
  out.n_ubatch = static_cast<std::uint32_t>(settings.n_ubatch);
  const auto k = cache_type(settings.cache_type_k), v = cache_type(settings.cache_type_v);
  if (!k) return k.error();
  if (!v) return v.error();
  out.type_k = *k;
  out.type_v = *v;
  out.cancel = cancel_;
  return out;
}

std::optional<hwdb::Sourced<hwdb::BytesPerSecond>> EngineSession::memory_bandwidth() const {
  if (!(machine_.memory.bandwidth.value.value > 0)) return std::nullopt;
  return machine_.memory.bandwidth;
}

hwdb::Result<hwdb::TensorType> cache_type(const std::string& name) {
  std::string upper = name;
  std::ranges::transform(upper, upper.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  const hwdb::TensorFormat* format = hwdb::find_tensor_format(upper);
  if (format == nullptr)
    return hwdb::Error{"cache.type", fmt::format("no cache type \"{}\"", name), "",
                       "f16, f32, bf16, q8_0 or q4_0"};
  return format->type;
}

}  // namespace cli
