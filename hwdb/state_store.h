// SPDX-License-Identifier: MIT
#pragma once

#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/machine.h"
#include "hwdb/result.h"

namespace hwdb {

/// Looks a name up in the environment; absent when it is not set.
using EnvironmentLookup = std::function<std::optional<std::string>(std::string_view)>;

/// Where this user's files belong; "" where no folder is usable.
struct StateFolders {
  std::string state, config, cache;
};
/// The XDG rules: empty or relative variables are ignored, defaults stand under HOME and, without
/// HOME, under `passwd_home` (the account's home folder, "" unknown). Reads no file.
StateFolders state_folders(const EnvironmentLookup& lookup, const std::string& passwd_home);

struct StateStoreOptions {
  std::string folder;  // state_folders().state or what the user gave; made when first written to
  std::string tool_version = "0.1.0";
  double lock_timeout_seconds = 30;
  std::function<std::time_t()> now;                   // absent: the system's clock
  std::function<void(const std::string&)> on_notice;  // waiting, damaged files: for stderr
};

/// Documents on disk that survive a crash at any moment: each is written beside its place, synced
/// and renamed. Readers need no lock, writers take turns. Folders are 0700, files 0600.
class StateStore {
 public:
  explicit StateStore(StateStoreOptions options) : options_(std::move(options)) {}

  /// Writes `payload` as `kind`/`name`.json, replacing what was there; the old document is whole
  /// until the new one is. Errors: name.invalid, state.folder, state.write, state.locked (names the
  /// holder), state.newer (a newer tokwatt wrote what is there: it is left alone).
  Status save(std::string_view kind, std::string_view name, const Json& payload,
              std::string_view fingerprint);

  struct Document {
    Json payload;
    std::string fingerprint, tool_version, saved_at;  // saved_at: "2026-11-20T10:58:00Z"
  };
  /// Says what is wrong with a payload; absent when nothing is.
  using Validator = std::function<std::optional<std::string>(const Json& payload)>;
  /// Reads a document; nothing when there is none. A damaged one, or one that `find_fault` refuses,
  /// is put aside as NAME.json.corrupt-TIMESTAMP (the last three are kept), told through on_notice,
  /// and counts as none. Errors: name.invalid, state.read, state.newer.
  Result<std::optional<Document>> load(std::string_view kind, std::string_view name,
                                       const Validator& find_fault = {});
  /// Names of that kind, sorted. Error: state.read.
  Result<std::vector<std::string>> list(std::string_view kind) const;

  /// A machine under a name, for --on NAME.
  Status save_machine(std::string_view name, const Machine& machine,
                      std::string_view fingerprint = "");
  /// Nothing when no machine has that name.
  Result<std::optional<Machine>> load_machine(std::string_view name);
  Result<std::vector<std::string>> list_machines() const { return list("machines"); }

 private:
  std::string folder_of(std::string_view kind) const;
  std::time_t now() const;
  void notice(const std::string& text) const;
  Result<std::optional<Document>> read(const std::string& path, const Validator& find_fault,
                                       std::string* damage) const;
  void put_aside(const std::string& folder, const std::string& file, const std::string& reason);

  StateStoreOptions options_;
};

}  // namespace hwdb
