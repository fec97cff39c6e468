// SPDX-License-Identifier: MIT
#include "planner/cli/profile.h"

#include <fmt/format.h>

#include <algorithm>

#include "hwdb/machine_identity.h"

namespace cli {
namespace {

constexpr std::string_view kProfiles = "profiles", kHistory = "history";
// Beyond this many times what the modules can give, a figure is damage: the modules' own
// description may be off by a channel.
constexpr double kTooFast = 4;

/// The machine of a document; a fault otherwise. A newer record is no fault, but is not used.
std::optional<std::string> read_payload(const hwdb::Json& payload,
                                        std::optional<hwdb::Machine>* machine) {
  auto read = hwdb::machine_from_json(payload, "profile");
  if (!read) {
    if (read.error().code == "machine.schema") return std::nullopt;
    return read.error().where + ": " + read.error().what;
  }
  if (auto fault = find_impossible_value(*read)) return fault;
  *machine = *std::move(read);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> find_impossible_value(const hwdb::Machine& m) {
  if (!m.memory.rate_mt_per_s || !m.memory.channels) return std::nullopt;
  const double most = 8e6 * *m.memory.rate_mt_per_s * *m.memory.channels;
  const double found = m.memory.bandwidth.value.value;
  if (m.memory.bandwidth.basis != hwdb::Basis::measured || found <= kTooFast * most)
    return std::nullopt;
  return fmt::format("its memory reads {:.3g} bytes a second, the modules give {:.3g}", found,
                     most);
}

hwdb::Result<std::optional<Profile>> load_profile(hwdb::StateStore* store,
                                                  const hwdb::Machine& here) {
  if (store == nullptr) return std::optional<Profile>();
  std::optional<hwdb::Machine> machine;
  const auto document =
      store->load(kProfiles, hwdb::machine_key(here),
                  [&](const hwdb::Json& payload) { return read_payload(payload, &machine); });
  if (!document) return document.error();
  if (!document->has_value() || !machine) return std::optional<Profile>();
  Profile profile;
  profile.machine = *std::move(machine);
  profile.saved_at = (*document)->saved_at;
  profile.differences =
      hwdb::fingerprint_differences(hwdb::machine_fingerprint(here), (*document)->fingerprint);
  return std::optional<Profile>(std::move(profile));
}

hwdb::Status save_profile(hwdb::StateStore* store, const hwdb::Machine& measured,
                          std::string_view now) {
  const hwdb::Json json = hwdb::machine_to_json(measured);
  const std::string key = hwdb::machine_key(measured);
  const std::string fingerprint = hwdb::machine_fingerprint(measured);
  if (auto status = store->save(kHistory, fmt::format("{}-{}", key, now), json, fingerprint);
      !status)
    return status;
  return store->save(kProfiles, key, json, fingerprint);
}

std::vector<PastProfile> load_history(hwdb::StateStore* store, const hwdb::Machine& here) {
  std::vector<PastProfile> out;
  const auto names = store->list(kHistory);
  if (!names) return out;
  const std::string prefix = hwdb::machine_key(here) + "-";
  for (const std::string& name : *names) {
    if (!name.starts_with(prefix)) continue;
    std::optional<hwdb::Machine> machine;
    const auto document = store->load(
        kHistory, name, [&](const hwdb::Json& payload) { return read_payload(payload, &machine); });
    if (document && document->has_value() && machine)
      out.push_back({(*document)->saved_at, *std::move(machine)});
  }
  std::ranges::sort(out, {}, &PastProfile::saved_at);
  return out;
}

}  // namespace cli
