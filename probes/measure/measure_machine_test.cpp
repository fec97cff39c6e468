// SPDX-License-Identifier: MIT
#include "probes/measure/measure_machine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>

#include "probes/measure/measure_message.h"

namespace probes {
namespace {

namespace fs = std::filesystem;
using hwdb::Basis;
using hwdb::GpuInfo;

const Reading& by_id(const std::vector<Reading>& readings, const std::string& id) {
  static const Reading kNone;
  for (const Reading& r : readings) {
    if (r.id == id) return r;
  }
  ADD_FAILURE() << "no reading " << id;
  return kNone;
}

class MeasureTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tokwatt-measure-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options_.as_of = "2025-01-15";
    options_.budget_seconds = 0.5;
    options_.opening_seconds = 20;
    options_.max_buffer_bytes = std::uint64_t{16} << 20;
    options_.only = {"gpu.write_bandwidth", "gpu.fp32_rate", "gpu.upload_bandwidth"};
    gpu_.name = "Some card";
  }
  void TearDown() override {
    ::unsetenv("TOKWATT_FAULT");
    if (!folder_.empty()) fs::remove_all(folder_);
  }
  /// A child that is a shell script; `$1` of `say` is printed as a line.
  void child(const std::string& script) {
    const fs::path path = folder_ / "child";
    std::ofstream(path) << "#!/bin/sh\nsay() { printf '%s\\n' \"$1\"; }\nread request\n" << script;
    fs::permissions(path, fs::perms::owner_all);
    options_.child_program = path.string();
  }
  static std::string step(const std::string& id) {
    MeasureEvent event;
    event.progress = {id, 0.5, 3};
    return fmt::format("say '{}'\n", write_measure_event(event));
  }
  static std::string reading(const std::string& id, const std::string& unit, double value) {
    MeasureEvent event;
    event.reading = reading_of(id, unit, "a script", {value});
    return fmt::format("say '{}'\n", write_measure_event(event));
  }
  static std::string done() { return "say '{\"done\":{\"validation_messages\":[]}}'\n"; }
  std::string wanted(const std::string& id) const { return "case $request in *" + id + "*) "; }
  /// Loads lavapipe, or one of the test drivers; false: it is not there.
  bool use_driver(const std::string& library) {
    options_.child_program = TOKWATT_PROBES_CHILD;
    options_.allow_software = true;
    const fs::path installed = "/usr/share/vulkan/icd.d";
    std::error_code ignored;
    std::string lavapipe;
    for (const auto& entry : fs::directory_iterator(installed, ignored)) {
      if (entry.path().filename().string().starts_with("lvp_icd")) lavapipe = entry.path();
    }
    if (lavapipe.empty()) return false;
    if (library.empty()) {
      options_.vulkan_drivers = {lavapipe};
      return true;
    }
    const fs::path path = folder_ / "test_icd.json";
    std::ofstream(path) << fmt::format(
        R"({{"file_format_version":"1.0.0","ICD":{{"library_path":"{}","api_version":"1.3.0"}}}})",
        library);
    options_.vulkan_drivers = {path.string()};
    return true;
  }
  std::vector<Reading> measure() { return measure_gpu(gpu_, options_, nullptr, nullptr); }

  fs::path folder_;
  MeasureOptions options_;
  GpuInfo gpu_;
};

TEST_F(MeasureTest, ReadingsComeInOrderWithDeviceAndDay) {
  child(step("gpu.write_bandwidth") + reading("gpu.write_bandwidth", "B/s", 5e11) +
        step("gpu.fp32_rate") + reading("gpu.fp32_rate", "FLOP/s", 2e13) +
        step("gpu.upload_bandwidth") + reading("gpu.upload_bandwidth", "B/s", 1e10) + done());
  gpu_.pci_address = "0000:01:00.0";
  std::vector<std::string> steps;
  const auto readings = measure_gpu(
      gpu_, options_, [&](const MeasureProgress& p) { steps.push_back(p.step); }, nullptr);
  ASSERT_EQ(readings.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(readings[i].id, options_.only[i]);
    EXPECT_EQ(readings[i].status, ReadingStatus::ok) << readings[i].reason;
    EXPECT_EQ(readings[i].device, "0000:01:00.0");
    EXPECT_EQ(readings[i].as_of, "2025-01-15");
  }
  EXPECT_EQ(readings[1].value, 2e13);
  EXPECT_EQ(steps, options_.only);
}

TEST_F(MeasureTest, ACrashCostsTheReadingAtHandOnly) {
  child(wanted("gpu.write_bandwidth") + step("gpu.write_bandwidth") +
        reading("gpu.write_bandwidth", "B/s", 5e11) + ";; esac\n" +  //
        wanted("gpu.fp32_rate") + step("gpu.fp32_rate") +
        "echo 'driver: bad pointer' >&2; kill -SEGV $$;; esac\n" +  //
        wanted("gpu.upload_bandwidth") + step("gpu.upload_bandwidth") +
        reading("gpu.upload_bandwidth", "B/s", 1e10) + ";; esac\n" + done());
  const auto readings = measure();
  EXPECT_EQ(by_id(readings, "gpu.write_bandwidth").value, 5e11);
  EXPECT_EQ(by_id(readings, "gpu.upload_bandwidth").value, 1e10);
  const Reading& lost = by_id(readings, "gpu.fp32_rate");
  EXPECT_EQ(lost.status, ReadingStatus::error);
  EXPECT_NE(lost.reason.find("died by signal 11"), std::string::npos) << lost.reason;
  EXPECT_NE(lost.reason.find("driver: bad pointer"), std::string::npos) << lost.reason;
}

TEST_F(MeasureTest, WhatFailedIsTriedOnceMoreGently) {
  options_.only = {"gpu.fp32_rate"};
  // Only a request with shorter runs is answered.
  child(step("gpu.fp32_rate") + "case $request in *'\"run_s\":0.005'*) " +
        reading("gpu.fp32_rate", "FLOP/s", 2e13) + done() + ";; *) kill -ABRT $$;; esac\n");
  const auto readings = measure();
  EXPECT_EQ(readings[0].status, ReadingStatus::ok) << readings[0].reason;
}

TEST_F(MeasureTest, AHangIsEndedAndKeepsWhatCameBefore) {
  options_.opening_seconds = 0.5;
  child(wanted("gpu.write_bandwidth") + step("gpu.write_bandwidth") +
        reading("gpu.write_bandwidth", "B/s", 5e11) + ";; esac\n" +  //
        step("gpu.fp32_rate") + "sleep 60");
  options_.only = {"gpu.write_bandwidth", "gpu.fp32_rate"};
  const auto readings = measure();
  EXPECT_EQ(by_id(readings, "gpu.write_bandwidth").status, ReadingStatus::ok);
  const Reading& hung = by_id(readings, "gpu.fp32_rate");
  EXPECT_EQ(hung.status, ReadingStatus::error);
  EXPECT_NE(hung.reason.find("silent for 0.5 s"), std::string::npos) << hung.reason;
}

TEST_F(MeasureTest, NonsenseIsNoReading) {
  const std::map<std::string, std::string> cases = {
      {"say 'MOCK DRIVER 1.0'\n", "no JSON"},
      {"say '{\"reading\":{\"id\":\"gpu.fp32_rate\"}}'\n", "a reading"},
      {"say '{\"progress\":{\"step\":\"gpu.warp_drive\",\"fraction\":0,\"eta_s\":0}}'\n",
       "not asked for"},
      {reading("gpu.read_bandwidth", "B/s", 1), "not asked for"},
      {reading("gpu.fp32_rate", "B/s", 1), "not asked for"},
      {"say '{\"news\":1}'\n", "does not say"},
  };
  options_.only = {"gpu.fp32_rate"};
  for (const auto& [lines, expected] : cases) {
    child(step("gpu.fp32_rate") + lines + reading("gpu.fp32_rate", "FLOP/s", 2e13) + "sleep 60\n");
    const auto readings = measure();
    EXPECT_EQ(readings[0].status, ReadingStatus::error) << lines;
    EXPECT_NE(readings[0].reason.find(expected), std::string::npos) << readings[0].reason;
  }
}

TEST_F(MeasureTest, AnEndlessMessageIsCut) {
  options_.only = {"gpu.fp32_rate"};
  child(step("gpu.fp32_rate") + "while :; do printf xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
  const auto readings = measure();
  EXPECT_EQ(readings[0].status, ReadingStatus::error);
  EXPECT_NE(readings[0].reason.find("more than a message may be"), std::string::npos)
      << readings[0].reason;
}

TEST_F(MeasureTest, ADeviceThatIsNotThereIsUnsupported) {
  MeasureEvent event;
  event.error = hwdb::Error{"probe.gpu_unsupported", "no Vulkan driver offers this device", "", ""};
  child(fmt::format("say '{}'\n", write_measure_event(event)));
  for (const Reading& r : measure()) {
    EXPECT_EQ(r.status, ReadingStatus::unsupported) << r.id;
    EXPECT_EQ(r.reason, "no Vulkan driver offers this device");
  }
  options_.child_program = "/nonexistent";
  for (const Reading& r : measure()) {
    EXPECT_EQ(r.status, ReadingStatus::error) << r.id;
    EXPECT_NE(r.reason.find("No such file"), std::string::npos) << r.reason;
  }
}

TEST_F(MeasureTest, CancellingSkipsTheRest) {
  child(step("gpu.write_bandwidth") + reading("gpu.write_bandwidth", "B/s", 5e11) +
        step("gpu.fp32_rate") + "sleep 60");
  std::atomic<bool> cancel = false;
  const auto readings = measure_gpu(
      gpu_, options_,
      [&](const MeasureProgress& p) {
        if (p.step == "gpu.fp32_rate") cancel = true;
      },
      &cancel);
  EXPECT_EQ(readings[0].status, ReadingStatus::ok);
  EXPECT_EQ(readings[1].status, ReadingStatus::skipped);
  EXPECT_EQ(readings[1].reason, "cancelled");
  EXPECT_EQ(readings[2].status, ReadingStatus::skipped);
}

TEST_F(MeasureTest, ASoftwareRendererAnswersWithoutAWordOfTheValidationLayers) {
  if (!use_driver("")) GTEST_SKIP() << "lavapipe is not installed";
  options_.validate = true;
  options_.only = {};
  options_.budget_seconds = 2;
  const auto readings = measure();
  ASSERT_EQ(readings.size(), 12u);
  if (readings[0].reason.find("VK_LAYER_KHRONOS") != std::string::npos)
    GTEST_SKIP() << readings[0].reason;
  for (const Reading& r : readings) {
    if (r.id.starts_with("gpu.matrix")) continue;  // newer drivers than this one have them
    EXPECT_EQ(r.status, ReadingStatus::ok) << r.id << ": " << r.reason;
    EXPECT_GE(r.samples.size(), 5u) << r.id;
    EXPECT_GT(r.value, 0) << r.id;
  }
}

TEST_F(MeasureTest, ASoftwareRendererIsNeverTakenForACard) {
  if (!use_driver("")) GTEST_SKIP() << "lavapipe is not installed";
  options_.allow_software = false;
  for (const Reading& r : measure()) EXPECT_EQ(r.status, ReadingStatus::unsupported) << r.reason;
  // Nor for another card, by address or by id.
  options_.allow_software = true;
  gpu_.pci_address = "0000:01:00.0";
  gpu_.pci_id = "10de:2684";
  for (const Reading& r : measure()) EXPECT_EQ(r.status, ReadingStatus::unsupported) << r.reason;
}

class DriverFault : public MeasureTest, public testing::WithParamInterface<const char*> {};

TEST_P(DriverFault, CostsTheReadingAtHandOnly) {
  if (!use_driver(TOKWATT_DRIVER_FAULTY)) GTEST_SKIP() << "lavapipe is not installed";
  const std::string fault = GetParam();
  ::setenv("TOKWATT_FAULT", fault.c_str(), 1);
  if (fault == "hang") options_.opening_seconds = 4;
  const auto readings = measure();
  const Reading& first = by_id(readings, "gpu.write_bandwidth");
  const Reading& last = by_id(readings, "gpu.upload_bandwidth");
  EXPECT_EQ(first.status, ReadingStatus::ok) << first.reason;
  EXPECT_EQ(last.status, ReadingStatus::ok) << last.reason;
  const Reading& hit = by_id(readings, "gpu.fp32_rate");
  if (fault == "print") {
    // Chatter on stdout does not reach the message, not even when it looks like one.
    EXPECT_EQ(hit.status, ReadingStatus::ok) << hit.reason;
    return;
  }
  EXPECT_EQ(hit.status, ReadingStatus::error);
  const std::string expected = fault == "abort"  ? "assertion failed"
                               : fault == "hang" ? "silent for"
                                                 : "probe.gpu_lost";
  EXPECT_NE(hit.reason.find(expected), std::string::npos) << hit.reason;
}

INSTANTIATE_TEST_SUITE_P(All, DriverFault, testing::Values("abort", "hang", "lost", "print"),
                         [](const auto& test) { return std::string(test.param); });

TEST_F(MeasureTest, ADriverThatDiesAtItsOpeningCostsAllReadings) {
  for (const char* library : {TOKWATT_DRIVER_ABORT, TOKWATT_DRIVER_NULL}) {
    if (!use_driver(library)) GTEST_SKIP() << "lavapipe is not installed";
    for (const Reading& r : measure()) {
      EXPECT_NE(r.status, ReadingStatus::ok) << library;
      EXPECT_FALSE(r.reason.empty()) << library;
    }
  }
}

TEST_F(MeasureTest, ABrokenDriverDoesNotHideAGoodOne) {
  if (!use_driver("")) GTEST_SKIP() << "lavapipe is not installed";
  const std::string good = options_.vulkan_drivers[0];
  use_driver(TOKWATT_DRIVER_ABORT);
  options_.vulkan_drivers.push_back(good);
  options_.only = {"gpu.upload_bandwidth"};
  EXPECT_EQ(measure()[0].status, ReadingStatus::ok) << measure()[0].reason;
}

TEST(MeasureMessage, RequestsComeBackAsTheyWere) {
  GpuMeasureOptions o;
  o.device.pci_address = "0000:01:00.0";
  o.device.uuid = "ab";
  o.device.pci_id = "10de:2684";
  o.device.allow_software = false;
  o.device.validate = true;
  o.budget_seconds = 7;
  o.run_seconds = 0.005;
  o.sustained_seconds = 20;
  o.memory_share = 0.125;
  o.max_buffer_bytes = 1 << 20;
  o.only = {"gpu.fp32_rate"};
  const auto back = read_measure_request(write_measure_request(o));
  ASSERT_TRUE(back.has_value()) << back.error().what;
  EXPECT_EQ(write_measure_request(*back), write_measure_request(o));
  EXPECT_EQ(back->device.pci_id, o.device.pci_id);
  EXPECT_EQ(back->max_buffer_bytes, o.max_buffer_bytes);
  EXPECT_FALSE(back->device.allow_software);
  for (const char* bad : {"", "[]", "{}", "{\"pci_address\":1}"})
    EXPECT_FALSE(read_measure_request(bad).has_value()) << bad;
}

Reading ok_reading(const std::string& id, const std::string& unit, double value) {
  Reading r = reading_of(id, unit, "sums a buffer", {value});
  r.device = "0000:01:00.0";
  r.as_of = "2025-01-15";
  return r;
}

hwdb::Machine machine_with_card(GpuInfo::Backend backend) {
  hwdb::Machine m;
  GpuInfo g;
  g.pci_address = "0000:01:00.0";
  g.backend = backend;
  g.bandwidth = {hwdb::BytesPerSecond(1e12), Basis::spec, "catalogue", ""};
  g.peak_fp16 = {hwdb::FlopsPerSecond(1e14), Basis::spec, "catalogue", ""};
  g.host_link = {hwdb::BytesPerSecond(3e10), Basis::spec, "sysfs", ""};
  m.gpus = {g, g};
  m.gpus[1].pci_address = "0000:02:00.0";
  return m;
}

TEST(ApplyReadings, ValuesAreMeasuredAndSayHow) {
  hwdb::Machine m = machine_with_card(GpuInfo::Backend::vulkan);
  apply_readings(
      {ok_reading("gpu.read_bandwidth", "B/s", 9e11), ok_reading("gpu.fp16_rate", "FLOP/s", 4e13),
       ok_reading("gpu.matrix_fp16_rate", "FLOP/s", 8e13),
       ok_reading("gpu.fp32_rate", "FLOP/s", 2e13), ok_reading("gpu.int8_dot_rate", "OP/s", 6e13),
       ok_reading("gpu.upload_bandwidth", "B/s", 2.4e10),
       ok_reading("gpu.download_bandwidth", "B/s", 2.2e10)},
      &m);
  const GpuInfo& g = m.gpus[0];
  EXPECT_EQ(g.bandwidth->value.value, 9e11);
  EXPECT_EQ(g.bandwidth->basis, Basis::measured);
  EXPECT_EQ(g.bandwidth->as_of, "2025-01-15");
  EXPECT_EQ(g.bandwidth->source, "Vulkan: sums a buffer; spread 0.0 %");
  EXPECT_EQ(g.peak_fp16->value.value, 8e13);
  EXPECT_EQ(g.peak_fp32->value.value, 2e13);
  EXPECT_EQ(g.peak_int8->value.value, 6e13);
  EXPECT_EQ(g.host_link.value.value, 2.2e10);
  EXPECT_EQ(m.gpus[1].bandwidth->basis, Basis::spec);  // another card
  EXPECT_EQ(m.readings.size(), 7u);
  const auto back = hwdb::machine_from_json(hwdb::machine_to_json(m), "m");
  ASSERT_TRUE(back.has_value()) << back.error().where << back.error().what;
  EXPECT_EQ(back->readings.size(), 7u);
}

TEST(ApplyReadings, VulkansRatesAreALowerBoundForOtherBackends) {
  hwdb::Machine m = machine_with_card(GpuInfo::Backend::cuda);
  apply_readings({ok_reading("gpu.matrix_fp16_rate", "FLOP/s", 6e13),
                  ok_reading("gpu.fp32_rate", "FLOP/s", 2e13)},
                 &m);
  EXPECT_EQ(m.gpus[0].peak_fp16->basis, Basis::spec);
  EXPECT_EQ(m.gpus[0].peak_fp32->value.value, 2e13);
  apply_readings({ok_reading("gpu.matrix_fp16_rate", "FLOP/s", 2e14)}, &m);
  EXPECT_EQ(m.gpus[0].peak_fp16->value.value, 2e14);
  EXPECT_EQ(m.gpus[0].peak_fp16->basis, Basis::measured);
}

TEST(ApplyReadings, AFailureNeitherChangesAValueNorErasesAReading) {
  hwdb::Machine m = machine_with_card(GpuInfo::Backend::vulkan);
  apply_readings({ok_reading("gpu.read_bandwidth", "B/s", 9e11)}, &m);
  Reading failed = failed_reading("gpu.read_bandwidth", "B/s", ReadingStatus::error, "crashed");
  failed.device = "0000:01:00.0";
  apply_readings({failed}, &m);
  ASSERT_EQ(m.readings.size(), 1u);
  EXPECT_EQ(m.readings[0].status, ReadingStatus::ok);
  EXPECT_EQ(m.gpus[0].bandwidth->value.value, 9e11);
  apply_readings({ok_reading("gpu.read_bandwidth", "B/s", 8e11)}, &m);
  EXPECT_EQ(m.readings[0].value, 8e11);
  EXPECT_EQ(m.gpus[0].bandwidth->value.value, 8e11);
}

TEST(ApplyReadings, VectorsDoNotSpeakForBrokenMatrixUnits) {
  hwdb::Machine m = machine_with_card(GpuInfo::Backend::vulkan);
  Reading failed = failed_reading("gpu.matrix_fp16_rate", "FLOP/s", ReadingStatus::error, "crash");
  failed.device = "0000:01:00.0";
  apply_readings({failed, ok_reading("gpu.fp16_rate", "FLOP/s", 4e13)}, &m);
  EXPECT_EQ(m.gpus[0].peak_fp16->value.value, 1e14);
  EXPECT_EQ(m.gpus[0].peak_fp16->basis, Basis::spec);
}

}  // namespace
}  // namespace probes
