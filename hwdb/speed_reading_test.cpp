// SPDX-License-Identifier: MIT
#include "hwdb/speed_reading.h"

#include <gtest/gtest.h>

#include "hwdb/record_json.h"

namespace {

using hwdb::Json;
using hwdb::SpeedReading;

SpeedReading full_reading() {
  SpeedReading r;
  r.source = SpeedReading::Source::llama_bench;
  r.test = SpeedReading::Test::prefill;
  r.where = "bench.json";
  r.runtime = "llama.cpp";
  r.build = "b6900 (de3ff815)";
  r.measured_at = "2026-11-20T10:58:00Z";
  r.model = "llama 8B";
  r.quant = "Q4_K_M";
  r.slice_layers = 4;
  r.model_bytes = 4'920'000'000;
  r.n_params = 8'030'261'248;
  r.device = "RTX 4090";
  r.backend = "cuda";
  r.devices = 2;
  r.n_prompt = 512;
  r.n_gen = 128;
  r.depth = 16384;
  r.batch = 4;
  r.n_batch = 2048;
  r.n_ubatch = 512;
  r.n_threads = 0;
  r.n_gpu_layers = 99;
  r.n_cpu_moe = 3;
  r.flash_attn = false;
  r.cache_type_k = "q8_0";
  r.cache_type_v = "f16";
  r.split_mode = "row";
  r.tensor_split = {3, 1.5};
  r.override_tensor = "exps=CPU";
  r.tok_per_s = 1234.5;
  r.samples = {1230.25, 1238.75};
  r.deviation = 6.01;
  r.watts = 350;
  r.flaw = "outlier";
  return r;
}

Json with(const Json& json, std::string_view key, Json value) {
  Json::Object object = *json.as_object();
  for (Json::Member& m : object) {
    if (m.first == key) {
      m.second = std::move(value);
      return Json(std::move(object));
    }
  }
  object.emplace_back(std::string(key), std::move(value));
  return Json(std::move(object));
}

std::string code_of(const hwdb::Result<SpeedReading>& r) {
  return r ? "" : r.error().code + " at " + r.error().where;
}

TEST(SpeedReading, EveryMemberSurvivesTheRoundTrip) {
  const Json json = hwdb::speed_reading_to_json(full_reading());
  // Every member is told: one more in the struct has to be named in its description too.
  EXPECT_EQ(json.as_object()->size(), 34u);
  const auto parsed = hwdb::parse_json(hwdb::write_json(json), "r");
  ASSERT_TRUE(parsed);
  const auto back = hwdb::speed_reading_from_json(*parsed, "r");
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(hwdb::write_json(hwdb::speed_reading_to_json(*back)), hwdb::write_json(json));
  EXPECT_EQ(back->source, SpeedReading::Source::llama_bench);
  EXPECT_EQ(back->test, SpeedReading::Test::prefill);
  EXPECT_EQ(back->depth, 16384u);
  EXPECT_EQ(back->n_threads, 0u);
  EXPECT_EQ(back->flash_attn, false);
  EXPECT_EQ(back->samples, (std::vector<double>{1230.25, 1238.75}));
}

TEST(SpeedReading, WhatWasNotToldStaysAbsent) {
  SpeedReading sparse;
  sparse.tok_per_s = 10;
  const auto back = hwdb::speed_reading_from_json(hwdb::speed_reading_to_json(sparse), "r");
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_FALSE(back->flash_attn.has_value());
  EXPECT_FALSE(back->model_bytes.has_value());
  EXPECT_EQ(back->devices, 1u);
  EXPECT_EQ(back->batch, 1u);
}

TEST(SpeedReading, TrustsNothing) {
  const Json good = hwdb::speed_reading_to_json(full_reading());
  const auto read = [&](std::string_view key, Json value) {
    return code_of(hwdb::speed_reading_from_json(with(good, key, std::move(value)), "r"));
  };
  EXPECT_EQ(read("tok_per_s", Json(-1.0)), "machine.range at r: tok_per_s");
  EXPECT_EQ(read("tok_per_s", Json(0)), "machine.range at r: tok_per_s");
  EXPECT_EQ(read("tok_per_s", Json("8")), "row.type at r: tok_per_s");
  EXPECT_EQ(read("samples_tok_per_s", Json(Json::Array{Json(1), Json(1e300)})),
            "machine.range at r: samples_tok_per_s[1]");
  EXPECT_EQ(read("samples_tok_per_s", Json(3)), "row.type at r: samples_tok_per_s");
  EXPECT_EQ(read("depth", Json(1.5)), "machine.range at r: depth");
  EXPECT_EQ(read("depth", Json(std::uint64_t{1} << 32)), "machine.range at r: depth");
  EXPECT_EQ(read("batch", Json(0)), "machine.range at r: batch");
  EXPECT_EQ(read("source", Json("rumour")), "row.type at r: source");
  EXPECT_EQ(read("flash_attn", Json(1)), "row.type at r: flash_attn");
  EXPECT_EQ(read("device", Json(std::string(5000, 'x'))), "machine.range at r: device");
  EXPECT_EQ(read("speed", Json(1)), "row.unknown_key at r");
  EXPECT_EQ(code_of(hwdb::speed_reading_from_json(Json(Json::Array{}), "r")), "row.type at r");
  // A newer program's key is skipped where the caller says so.
  EXPECT_TRUE(hwdb::speed_reading_from_json(with(good, "speed", Json(1)), "r", false));
}

TEST(KernelReading, RoundTripAndRefusals) {
  const hwdb::KernelReading reading = {hwdb::tensor_type("Q4_K"), 5632,     2048, 16, 0.00123, 0.04,
                                       "2026-11-20T10:58:00Z",    "outlier"};
  const Json json = hwdb::kernel_reading_to_json(reading);
  EXPECT_EQ(json.as_object()->size(), 8u);
  const auto back = hwdb::kernel_reading_from_json(json, "k");
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(hwdb::write_json(hwdb::kernel_reading_to_json(*back)), hwdb::write_json(json));
  const auto code = [&](std::string_view key, Json value) {
    const auto read = hwdb::kernel_reading_from_json(with(json, key, std::move(value)), "k");
    return read ? std::string() : read.error().code;
  };
  EXPECT_EQ(code("type", Json("Q4_Z")), "row.type");
  EXPECT_EQ(code("ne0", Json(2049)), "machine.range");
  EXPECT_EQ(code("median_s", Json(0)), "machine.range");
  EXPECT_EQ(code("rows", Json(0)), "machine.range");
  EXPECT_EQ(code("median_s", Json("fast")), "row.type");
}

}  // namespace
