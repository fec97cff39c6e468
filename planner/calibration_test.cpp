// SPDX-License-Identifier: MIT
#include "planner/calibration.h"

#include <gtest/gtest.h>

namespace {

using hwdb::Json;
using planner::Calibration;
using planner::CalibrationRecord;

CalibrationRecord full_record() {
  Calibration c;
  c.runtime = "llama.cpp";
  c.backend = "cuda";
  c.device = "RTX 4090";
  c.build = "b6900";
  c.made_at = "2026-11-20T10:58:00Z";
  c.bandwidth_bytes_per_s = 1.008e12;
  c.peak_flops_per_s = 165e12;
  double value = 0.11;
  for (const planner::FactorField& field : planner::kFactorFields) {
    c.factors.*field.member = value;
    value += 0.01;
  }
  c.factors.product_s = 0;
  c.factors.types = {{hwdb::tensor_type("Q4_0"), 1.1, 0.9, 0.8, 1.3},
                     {hwdb::tensor_type("Q6_K"), 0.7, 0.6, 0.5, 1}};
  c.errors = {{"read", 0.01}, {"Q4_0.read", 0.03}};
  c.decode_spread = 0.02;
  c.prefill_spread = 0.04;
  c.n_readings = 12;
  c.n_kernels = 34;
  CalibrationRecord record;
  record.calibrations = {c};
  hwdb::SpeedReading reading;
  reading.tok_per_s = 12;
  reading.model = "tinyllama";
  record.readings = {reading};
  record.kernels = {{hwdb::tensor_type("Q4_0"), 2048, 5632, 1, 0.001, 0.02, "2026-11-20", ""}};
  return record;
}

/// The record's JSON with one piece of text exchanged.
hwdb::Result<CalibrationRecord> read_with(std::string_view from, std::string_view to) {
  std::string text = hwdb::write_json(planner::calibration_record_to_json(full_record()));
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  const auto json = hwdb::parse_json(text, "record");
  EXPECT_TRUE(json);
  return planner::calibration_record_from_json(*json, "record");
}

std::string code_with(std::string_view from, std::string_view to) {
  const auto read = read_with(from, to);
  return read ? "" : read.error().code + " at " + read.error().where;
}

TEST(CalibrationRecord, EveryMemberSurvivesTheRoundTrip) {
  const Json json = planner::calibration_record_to_json(full_record());
  const std::string text = hwdb::write_json(json);
  const auto parsed = hwdb::parse_json(text, "record");
  ASSERT_TRUE(parsed);
  const auto back = planner::calibration_record_from_json(*parsed, "record");
  ASSERT_TRUE(back) << back.error().where << ": " << back.error().what;
  EXPECT_EQ(hwdb::write_json(planner::calibration_record_to_json(*back)), text);
  const Calibration& c = back->calibrations.at(0);
  EXPECT_EQ(c.device, "RTX 4090");
  EXPECT_DOUBLE_EQ(c.factors.pass_s, full_record().calibrations[0].factors.pass_s);
  EXPECT_DOUBLE_EQ(c.factors.product_s, 0);
  EXPECT_DOUBLE_EQ(c.factors.of(hwdb::tensor_type("Q6_K")).matmul, 0.5);
  EXPECT_DOUBLE_EQ(c.factors.of(hwdb::tensor_type("Q8_0")).matmul, 1);
  EXPECT_EQ(c.errors.size(), 2u);
  EXPECT_EQ(c.n_kernels, 34u);
  // All thirteen members of a calibration are told.
  EXPECT_EQ(json.find("calibrations")->as_array()->at(0).as_object()->size(), 13u);
}

TEST(CalibrationRecord, TrustsNothing) {
  EXPECT_EQ(code_with("\"1.0\"", "\"2.0\""), "machine.schema at record");
  EXPECT_EQ(code_with("\"1.0\"", "\"x\""), "machine.schema at record");
  EXPECT_EQ(code_with("\"runtime\"", "\"runtimes\""), "row.unknown_key at record: calibrations[0]");
  // A newer minor may bring keys.
  EXPECT_EQ(code_with("\"1.0\",\"calibrations\":[{", "\"1.1\",\"calibrations\":[{\"new\":1,"), "");
  EXPECT_EQ(code_with("\"read\":0.11", "\"read\":0"),
            "machine.range at record: calibrations[0]: factors: read");
  EXPECT_EQ(code_with("\"read\":0.11", "\"read\":-1"),
            "machine.range at record: calibrations[0]: factors: read");
  EXPECT_EQ(code_with("\"matmul\":0.14,", ""),
            "row.type at record: calibrations[0]: factors: matmul");
  EXPECT_EQ(code_with("\"Q6_K\"", "\"Q4_0\""),
            "machine.range at record: calibrations[0]: factors: types");
  EXPECT_EQ(code_with("\"Q6_K\"", "\"Q9\""),
            "row.type at record: calibrations[0]: factors: types[1]: type");
  EXPECT_EQ(code_with("\"tok_per_s\":12", "\"tok_per_s\":0"),
            "machine.range at record: readings[0]: tok_per_s");
  EXPECT_EQ(code_with("\"kernels\":[", "\"kernels\":[1,"), "row.type at record: kernels[0]");
  const auto list = hwdb::parse_json("[]", "record");
  EXPECT_EQ(planner::calibration_record_from_json(*list, "record").error().code, "row.type");
}

TEST(CalibrationRecord, TypesMayStandInAnyOrder) {
  const auto read = read_with("{\"type\":\"Q4_0\"", "{\"type\":\"Q8_0\"");
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_DOUBLE_EQ(read->calibrations[0].factors.of(hwdb::tensor_type("Q8_0")).read, 1.1);
  EXPECT_DOUBLE_EQ(read->calibrations[0].factors.of(hwdb::tensor_type("Q6_K")).read, 0.7);
}

TEST(FindCalibration, WantsRuntimeBackendAndDevice) {
  std::vector<Calibration> all(2);
  all[0].runtime = all[1].runtime = "llama.cpp";
  all[0].backend = "cpu";
  all[1].backend = "cuda";
  all[1].device = "RTX 4090";
  EXPECT_EQ(planner::find_calibration(all, "llama.cpp", "cpu", ""), all.data());
  EXPECT_EQ(planner::find_calibration(all, "llama.cpp", "cuda", "RTX 4090"), &all[1]);
  EXPECT_EQ(planner::find_calibration(all, "llama.cpp", "cuda", "RTX 3090"), nullptr);
  EXPECT_EQ(planner::find_calibration(all, "tokwatt", "cpu", ""), nullptr);
  EXPECT_EQ(planner::find_calibration({}, "tokwatt", "cpu", ""), nullptr);
}

}  // namespace
