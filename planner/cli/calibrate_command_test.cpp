// SPDX-License-Identifier: MIT
// Runs `calibrate` as a shell would, on a model so small that it takes moments.
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/synth/testing/tiny_model.h"
#include "hwdb/json.h"
#include "hwdb/machine_identity.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/cli/calibration_store.h"
#include "planner/cli/program_test.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

hwdb::SpeedReading reading(double speed) {
  hwdb::SpeedReading r;
  r.source = hwdb::SpeedReading::Source::engine;
  r.runtime = "tokwatt";
  r.model = "tinyllama-1.1b";
  r.quant = "Q4_K_M";
  r.slice_layers = 2;
  r.backend = "cpu";
  r.n_gen = 16;
  r.tok_per_s = speed;
  return r;
}

planner::CalibrationRecord record() {
  planner::CalibrationRecord out;
  out.readings = {reading(100)};
  planner::Calibration calibration;
  calibration.runtime = "tokwatt";
  calibration.backend = "cpu";
  calibration.made_at = "2026-11-20T10:58:00Z";
  calibration.bandwidth_bytes_per_s = 20e9;
  calibration.peak_flops_per_s = 400e9;
  calibration.decode_spread = 0.03;
  out.calibrations = {calibration};
  return out;
}

hwdb::Machine machine() {
  hwdb::Machine m;
  m.cpu.name = "Acme CPU";
  m.cpu.usable_threads = 4;
  m.memory.total = {hwdb::Bytes(16ull << 30), hwdb::Basis::detected, "test", ""};
  return m;
}

hwdb::StateStore store_in(const hwdb::testing::TempFolder& folder) {
  hwdb::StateStoreOptions options;
  options.folder = folder.path();
  return hwdb::StateStore(std::move(options));
}

TEST(CalibrationStore, KeepsARecordPerMachineAndKnowsWhenItHasChanged) {
  const hwdb::testing::TempFolder folder;
  hwdb::StateStore store = store_in(folder);
  EXPECT_FALSE(load_calibration(&store, machine())->has_value());
  EXPECT_FALSE(load_calibration(nullptr, machine())->has_value());
  ASSERT_TRUE(save_calibration(&store, machine(), record()));
  const auto same = load_calibration(&store, machine());
  ASSERT_TRUE(same && same->has_value());
  EXPECT_TRUE((*same)->differences.empty());
  EXPECT_EQ((*same)->record.readings.size(), 1u);
  EXPECT_EQ((*same)->record.calibrations.at(0).decode_spread, 0.03);
  hwdb::Machine more = machine();
  more.memory.total.value = hwdb::Bytes(32ull << 30);
  const auto changed = load_calibration(&store, more);
  ASSERT_TRUE(changed && changed->has_value());
  EXPECT_FALSE((*changed)->differences.empty());
}

TEST(CalibrationStore, ADamagedRecordIsPutAside) {
  const hwdb::testing::TempFolder folder;
  hwdb::StateStore store = store_in(folder);
  planner::CalibrationRecord broken = record();
  broken.calibrations[0].factors.read = -1;
  ASSERT_TRUE(save_calibration(&store, machine(), broken));
  const auto loaded = load_calibration(&store, machine());
  ASSERT_TRUE(loaded) << loaded.error().what;
  EXPECT_FALSE(loaded->has_value());
  EXPECT_FALSE(load_calibration(&store, machine())->has_value());
}

TEST(CalibrateCommand, SaysWhenNothingWasMeasured) {
  const hwdb::testing::TempFolder folder;
  const ProgramRun run = run_program("calibrate --show --state-dir " + folder.path());
  EXPECT_EQ(run.status, 1);
  EXPECT_NE(run.err.find("error[calibration.none]"), std::string::npos) << run.err;
}

TEST(CalibrateCommand, RefusesWhatItCannotMeasure) {
  EXPECT_EQ(run_program("calibrate --quick --full").status, 2);
  const ProgramRun run =
      run_program("calibrate no-such-model --no-state --plan-only");
  EXPECT_EQ(run.status, 2) << run.err;  // no such flag
}

}  // namespace
}  // namespace cli
