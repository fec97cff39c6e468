// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "hwdb/runtime_report.h"

namespace probes {

/// The report while it grows: which load a line belongs to, and which of two lines about the same
/// buffer counts. Bounded, whatever a log repeats.
class LogState {
 public:
  static constexpr std::size_t kMaxLoads = 64, kMaxPerLoad = 512, kMaxDevices = 256,
                               kMaxText = 4096;

  hwdb::RuntimeReport report;

  /// Between these the runtime only tries settings: nothing in there was allocated.
  void begin_trial() { trial_ = true; }
  void end_trial() { trial_ = false; }
  bool in_trial() const { return trial_; }

  /// A model is about to be loaded in that role, from `path` ("" not said).
  void announce_model(hwdb::RuntimeLoad::Role role, std::string_view path);
  /// A line that only a model's loading prints.
  void begin_model();
  /// A line that only a new context prints.
  void begin_context();
  /// The load that lines speak of now.
  hwdb::RuntimeLoad& load();
  bool has_context() const;
  /// A model was announced and has not begun yet.
  bool is_announced() const { return announced_; }

  void add_buffer(hwdb::RuntimeBuffer buffer);
  void add_cache(hwdb::RuntimeCache cache);
  /// Buffer lines after this are of another cache on the same devices.
  void next_cache() { ++cache_; }
  /// A device by name, made when it is new.
  hwdb::RuntimeDevice& device(std::string_view name);
  void add_table_row(hwdb::RuntimeTableRow row);

  /// Drops loads that came to nothing and names the first real one main.
  void settle();

 private:
  void push(hwdb::RuntimeLoad::Role role);

  using Key = std::tuple<hwdb::RuntimeBuffer::Kind, std::string, std::uint32_t>;
  std::map<Key, std::size_t> buffers_;  // of the present load
  hwdb::RuntimeDevice overflow_;
  hwdb::RuntimeLoad spare_;  // takes what comes after the last load that is kept
  bool trial_ = false, announced_ = false, full_ = false;
  hwdb::RuntimeLoad::Role next_role_ = hwdb::RuntimeLoad::Role::main;
  std::string next_path_;
  std::uint32_t cache_ = 0;
};

/// At most LogState::kMaxText of a text from a log.
std::string kept(std::string_view text);

}  // namespace probes
