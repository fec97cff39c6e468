// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "engine/model/model.h"
#include "engine/run/context.h"
#include "engine/runtime/thread_pool.h"
#include "hwdb/result.h"
#include "planner/cli/session.h"

namespace cli {

/// What the engine's commands share: pinned workers, models opened with their progress on stderr,
/// and Ctrl-C. Lives as long as the command.
class EngineSession {
 public:
  explicit EngineSession(Session& session);

  /// Physical cores that this process may use, and at most the processors that its quota gives it.
  unsigned default_threads() const { return default_threads_; }
  /// Workers pinned to cores: -t of them, or default_threads().
  engine::ThreadPool& pool();
  /// The same with another number of workers, at least 1; the pool before ends.
  engine::ThreadPool& pool(unsigned n_threads);

  /// The path of a .gguf file or of a store's entry ("ollama:..."). Errors: those of a store;
  /// file.open with a hint where the name is one of the catalogue's.
  hwdb::Result<std::string> model_path(const std::string& name);
  /// Opens a model for running with the storage of --storage. Errors: as model_path and
  /// engine::Model::open.
  hwdb::Result<std::unique_ptr<engine::Model>> open(const std::string& name);

  /// What -c, -ub, -ctk and -ctv say, and the cancel flag. Error: cache.type.
  hwdb::Result<engine::ContextOptions> context_options() const;

  /// Set by the first Ctrl-C, whose message comes at once; the second ends the program. Null where
  /// nobody catches it.
  const std::atomic<bool>* cancel() const { return cancel_; }
  bool interrupted() const { return cancel_ != nullptr && cancel_->load(); }

  /// Reading from memory with all cores; `basis` says whether it was measured here. Absent when
  /// nothing is known about this machine's memory.
  std::optional<hwdb::Sourced<hwdb::BytesPerSecond>> memory_bandwidth() const;
  /// The processor as the machine names itself, "" unknown.
  const std::string& cpu_name() const { return machine_.cpu.name; }

 private:
  Session& session_;
  hwdb::Machine machine_;
  std::vector<std::uint32_t> cpus_;  // in the order of use: a thread of each core before the second
  unsigned default_threads_ = 1;
  std::unique_ptr<engine::ThreadPool> pool_;
  const std::atomic<bool>* cancel_ = nullptr;
};

/// A cache type by llama.cpp's name, "q8_0". Error: cache.type.
hwdb::Result<hwdb::TensorType> cache_type(const std::string& name);

}  // namespace cli
