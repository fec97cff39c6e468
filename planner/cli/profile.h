// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hwdb/machine.h"
#include "hwdb/state_store.h"

/// What was measured on this machine, kept between runs: one document per machine, and one for each
/// time it was measured.
namespace cli {

struct Profile {
  hwdb::Machine machine;                 // as it was then, readings included
  std::string saved_at;                  // "2026-11-20T10:58:00Z"
  std::vector<std::string> differences;  // to the machine as it is: not empty, then its figures are
                                         // not for plans
};

/// The profile of a detected machine; nothing when it was never measured. Errors: state.*.
hwdb::Result<std::optional<Profile>> load_profile(hwdb::StateStore* store,
                                                  const hwdb::Machine& here);
/// Files a measured machine, and the same under its time for the history.
hwdb::Status save_profile(hwdb::StateStore* store, const hwdb::Machine& measured,
                          std::string_view now);

struct PastProfile {
  std::string saved_at;
  hwdb::Machine machine;
};
/// What was measured before, oldest first; what cannot be read is left out.
std::vector<PastProfile> load_history(hwdb::StateStore* store, const hwdb::Machine& here);

/// Why the values of a measured machine cannot be true; nothing when they can.
std::optional<std::string> find_impossible_value(const hwdb::Machine& measured);

}  // namespace cli
