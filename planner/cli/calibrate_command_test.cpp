// SPDX-License-Identifier: MIT
// Runs `calibrate` as a shell would, on a model so small that it takes moments.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "hwdb/json.h"
#include "hwdb/machine_identity.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/cli/calibrate_steps.h"
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
  options.folder = folder.path().string();
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
  const ProgramRun run = run_program("calibrate --show --state-dir " + folder.path().string());
  EXPECT_EQ(run.status, 1);
  EXPECT_NE(run.err.find("error[calibration.none]"), std::string::npos) << run.err;
}

TEST(CalibrateCommand, RefusesWhatItCannotMeasure) {
  EXPECT_EQ(run_program("calibrate --quick --full").status, 2);
  EXPECT_EQ(run_program("calibrate tinyllama-1.1b smollm2-135m").status, 2);
}

/// A session and what of it a calibration needs.
struct Bench {
  Options options;
  Environment environment;
  std::atomic<bool> cancel{false};
  hwdb::testing::TempFolder folder;
  CalibrationPlan plan;

  Bench() {
    options.no_state = true;
    environment.lookup = [this](std::string_view name) -> std::optional<std::string> {
      if (name == "XDG_CACHE_HOME") return folder.path().string();
      return std::nullopt;
    };
    environment.catch_interrupt = [this] { return &cancel; };
    plan.kernels = {{hwdb::tensor_type("Q4_0"), 32, 64, 1}, {hwdb::tensor_type("Q4_K"), 16, 64, 1}};
    CalibrationPlan::Slice slice;
    slice.model = "smollm2-135m";
    slice.quant = "Q8_0";
    slice.layers = 1;
    slice.how.depths = {0, 8};
    slice.how.n_prompt = slice.how.n_batch = 8;
    slice.how.n_gen = 2;
    plan.slices = {slice};
  }
  CalibrationMeasured measure(const std::function<void(const std::string&, double)>& show) {
    Session session(options, environment, [](std::string_view) { return true; });
    EXPECT_TRUE(session.open_catalog());
    EngineSession engine(session);
    CalibrationMeasured out = measure_calibration(session, engine, machine(), plan, show);
    for (const hwdb::SpeedReading& r : out.readings) {
      // What is predicted later is what ran: the planner's bytes are the file's.
      const auto model = model_of_reading(session, r);
      EXPECT_TRUE(model != nullptr);
      if (model != nullptr) {
        EXPECT_EQ(model->costs.tensor_bytes, r.model_bytes);
      }
    }
    return out;
  }
  bool leaves_nothing() const {
    for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
      if (entry.is_regular_file()) return false;
    return true;
  }
};

TEST(CalibrationSteps, MeasuresProductsAndSlicesAndCleansUp) {
  Bench bench;
  double last = 0;
  const CalibrationMeasured measured = bench.measure([&](const std::string&, double share) {
    EXPECT_GE(share, 0);
    EXPECT_LE(share, 1);
    last = std::max(last, share);
  });
  EXPECT_TRUE(measured.warnings.empty()) << measured.warnings.front();
  EXPECT_EQ(measured.kernels.size(), 1u);  // half a block of Q4_K is no product
  ASSERT_EQ(measured.readings.size(), 4u);
  for (const hwdb::SpeedReading& r : measured.readings) {
    EXPECT_GT(r.tok_per_s, 0);
    EXPECT_EQ(r.slice_layers, 1u);
    EXPECT_EQ(r.backend, "cpu");
    EXPECT_FALSE(r.samples.empty());
    EXPECT_FALSE(r.measured_at.empty());
  }
  EXPECT_EQ(measured.readings[3].depth, 8u);
  EXPECT_GT(last, 0.5);
  EXPECT_TRUE(bench.leaves_nothing());
}

TEST(CalibrationSteps, CtrlCKeepsWhatIsDone) {
  Bench bench;
  const CalibrationMeasured measured = bench.measure([&](const std::string& step, double) {
    if (step.starts_with("loading")) bench.cancel = true;
  });
  EXPECT_EQ(measured.kernels.size(), 1u);
  EXPECT_TRUE(measured.readings.empty());
  EXPECT_TRUE(measured.warnings.empty());
  EXPECT_TRUE(bench.leaves_nothing());
}

TEST(CalibrationSteps, AModelThatIsNotThereIsAWarning) {
  Bench bench;
  bench.plan.kernels.clear();
  bench.plan.slices[0].model = "no-such-model";
  const CalibrationMeasured measured = bench.measure({});
  ASSERT_EQ(measured.warnings.size(), 1u);
  EXPECT_NE(measured.warnings[0].find("no-such-model"), std::string::npos);
}

}  // namespace
}  // namespace cli
