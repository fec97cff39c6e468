// SPDX-License-Identifier: MIT
#include "planner/cli/calibration_store.h"

#include "hwdb/machine_identity.h"

namespace cli {
namespace {

constexpr std::string_view kCalibrations = "calibrations";

/// The record of a document; a fault otherwise. A newer record is no fault, but is not used.
std::optional<std::string> read_payload(const hwdb::Json& payload,
                                        std::optional<planner::CalibrationRecord>* record) {
  auto read = planner::calibration_record_from_json(payload, "calibration");
  if (!read) {
    if (read.error().code == "machine.schema") return std::nullopt;
    return read.error().where + ": " + read.error().what;
  }
  *record = *std::move(read);
  return std::nullopt;
}

}  // namespace

hwdb::Result<std::optional<StoredCalibration>> load_calibration(hwdb::StateStore* store,
                                                                const hwdb::Machine& detected) {
  using Found = std::optional<StoredCalibration>;
  if (store == nullptr) return Found();
  std::optional<planner::CalibrationRecord> record;
  const auto document =
      store->load(kCalibrations, hwdb::machine_key(detected),
                  [&](const hwdb::Json& payload) { return read_payload(payload, &record); });
  if (!document) return document.error();
  if (!document->has_value() || !record) return Found();
  StoredCalibration stored;
  stored.record = *std::move(record);
  stored.saved_at = (*document)->saved_at;
  stored.differences =
      hwdb::fingerprint_differences(hwdb::machine_fingerprint(detected), (*document)->fingerprint);
  return Found(std::move(stored));
}

hwdb::Status save_calibration(hwdb::StateStore* store, const hwdb::Machine& detected,
                              const planner::CalibrationRecord& record) {
  return store->save(kCalibrations, hwdb::machine_key(detected),
                     planner::calibration_record_to_json(record),
                     hwdb::machine_fingerprint(detected));
}

}  // namespace cli
