// SPDX-License-Identifier: MIT
#include "hwdb/json_rows.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hwdb/row_blob.h"

namespace hwdb {
namespace {

template <class Row>
Result<std::vector<Row>> rows_of(const std::string& text) {
  return read_rows<Row>(*parse_json(text, "test.json"), "test.json");
}

TEST(ReadRows, MembersKeepTheirTypes) {
  const auto rows = rows_of<GpuRow>(R"([{"id": "x", "memory_bytes": [8589934592],
      "tdp_watts": 12.5, "release_year": 2024, "mem_bw_platform_dependent": true,
      "low_power": {"tdp_watts": 5}, "source": ["a", "b"], "as_of": "2026-01-01"}])");
  ASSERT_TRUE(rows) << rows.error().what;
  const GpuRow& row = (*rows)[0];
  EXPECT_EQ(row.memory_bytes, std::vector<std::uint64_t>{8589934592});
  EXPECT_EQ(row.tdp_watts, 12.5);
  EXPECT_EQ(row.release_year, 2024u);
  EXPECT_TRUE(row.mem_bw_platform_dependent);
  ASSERT_TRUE(row.low_power);
  EXPECT_EQ(row.low_power->tdp_watts, 5);
  EXPECT_FALSE(row.low_power->mem_bw_bytes_per_s);
  EXPECT_EQ(row.origin.source.size(), 2u);
  EXPECT_FALSE(row.price_usd);
  EXPECT_EQ(row.devices_visible, 1u);
}

TEST(ReadRows, ShapesTakeOneValueOrOneALayer) {
  const auto rows = rows_of<ModelRow>(R"([{"id": "m", "shape": {"architecture": "llama",
      "n_heads": 4, "n_kv_heads": [1, 2], "qk_norm": "full_width", "ssm": {"kind": "kda"},
      "rope": {"freq_base": 1e6}}}])");
  ASSERT_TRUE(rows) << rows.error().what;
  const ModelShape& shape = (*rows)[0].shape;
  EXPECT_FALSE(shape.n_heads.varies());
  EXPECT_EQ(shape.n_kv_heads.at(1), 2u);
  EXPECT_EQ(shape.qk_norm, ModelShape::QkNorm::full_width);
  EXPECT_EQ(shape.ssm->kind, SsmShape::Kind::kda);
  EXPECT_EQ(shape.rope.freq_base, 1e6);
  EXPECT_TRUE(shape.known_architecture);
  EXPECT_FALSE((*rows_of<ModelRow>(R"([{"id": "m"}])"))[0].shape.known_architecture);
}

TEST(ReadRows, AccuracyKeepsEveryMember) {
  const std::string text =
      R"({"id":"decode-cuda-plain","phase":"decode","backend":"cuda","situation":"plain",)"
      R"("rows":40,"devices":7,"median_error":0.1,"p90_error":0.3,"device_median_error":0.09,)"
      R"("low":0.75,"high":1.3,"coverage":0.9,"naive_median_error":0.25,"naive_p90_error":1.1,)"
      R"("source":["s"],"as_of":"2026-11-20","verified":true})";
  const auto rows = rows_of<SpeedAccuracyRow>("[" + text + "]");
  ASSERT_TRUE(rows) << rows.error().what;
  EXPECT_EQ((*rows)[0].devices, 7u);
  EXPECT_EQ((*rows)[0].naive_p90_error, 1.1);
  EXPECT_EQ(write_json(row_to_json((*rows)[0])), text);
  const auto none = rows_of<SpeedAccuracyRow>(R"([{"id": "a"}])");
  ASSERT_TRUE(none);
  EXPECT_FALSE((*none)[0].naive_median_error);
}

struct Wrong {
  const char* text;
  const char* code;
  const char* where;
  const char* part;  // of what
};

TEST(ReadRows, MistakesAreNamed) {
  for (const Wrong& w : std::vector<Wrong>{
           {R"({})", "row.type", "test.json", "expected a list"},
           {R"([4])", "row.type", "test.json: row 1", "expected an object"},
           {R"([{"name": "n"}])", "row.type", "test.json: row 1", "no id"},
           {R"([{"id": "a"}, {"id": "a"}])", "row.duplicate", "test.json: a", "twice"},
           {R"([{"id": "a", "tdp_wats": 1}])", "row.unknown_key", "test.json: a", "tdp_wats"},
           {R"([{"id": "a", "low_power": {"tdp": 1}}])", "row.unknown_key", "test.json: a",
            "low_power.tdp"},
           {R"([{"id": "a", "tdp_watts": "450"}])", "row.type", "test.json: a",
            "tdp_watts is text, expected a number"},
           {R"([{"id": "a", "tdp_watts": null}])", "row.type", "test.json: a", "tdp_watts"},
           {R"([{"id": "a", "release_year": -1}])", "row.type", "test.json: a", "release_year"},
           {R"([{"id": "a", "release_year": 2020.5}])", "row.type", "test.json: a", "release_year"},
           {R"([{"id": "a", "release_year": 4294967296}])", "row.type", "test.json: a",
            "release_year"},
           {R"([{"id": "a", "verified": 1}])", "row.type", "test.json: a", "verified"},
           {R"([{"id": "a", "memory_bytes": 8}])", "row.type", "test.json: a", "expected a list"},
           {R"([{"id": "a", "memory_bytes": [8, "9"]}])", "row.type", "test.json: a",
            "memory_bytes[1]"},
           {R"([{"id": "a", "low_power": 3}])", "row.type", "test.json: a", "expected an object"},
       }) {
    const auto rows = rows_of<GpuRow>(w.text);
    ASSERT_FALSE(rows) << w.text;
    EXPECT_EQ(rows.error().code, w.code) << w.text;
    EXPECT_EQ(rows.error().where, w.where) << w.text;
    EXPECT_NE(rows.error().what.find(w.part), std::string::npos) << rows.error().what;
  }
  EXPECT_EQ(rows_of<GpuRow>(R"([{"id": "a", "tdp_wats": 1}])").error().hint,
            "did you mean tdp_watts?");
  const auto norm = rows_of<ModelRow>(R"([{"id": "a", "shape": {"norm": "batchnorm"}}])");
  ASSERT_FALSE(norm);
  EXPECT_NE(norm.error().what.find("rmsnorm or layernorm"), std::string::npos) << norm.error().what;
}

TEST(RowBlob, NumbersOfEveryKindComeBack) {
  RowTables tables;
  DefaultRow row;
  for (double value : {0.0, 1.0, 0.1, -2.5, 1e300, 9007199254740991.0, 9007199254740993.0, -0.0}) {
    row.id += "x";
    row.value = value;
    tables.defaults.push_back(row);
  }
  GpuRow gpu;
  gpu.memory_bytes = {0, 127, 128, UINT64_MAX};
  gpu.release_year = UINT32_MAX;
  gpu.note = "\"quotes\", ? and \xc3\xa9 and 7";
  tables.gpus.push_back(gpu);
  const std::string bytes = encode_row_tables(tables);
  const RowBlob blob(bytes);
  const auto defaults = blob.read(&RowTables::defaults);
  ASSERT_EQ(defaults.size(), tables.defaults.size());
  for (std::size_t i = 0; i < defaults.size(); ++i) {
    EXPECT_EQ(defaults[i].value, tables.defaults[i].value);
    EXPECT_EQ(std::signbit(defaults[i].value), std::signbit(tables.defaults[i].value));
  }
  const auto gpus = blob.read(&RowTables::gpus);
  ASSERT_EQ(gpus.size(), 1u);
  EXPECT_EQ(gpus[0].memory_bytes, gpu.memory_bytes);
  EXPECT_EQ(gpus[0].release_year, gpu.release_year);
  EXPECT_EQ(gpus[0].note, gpu.note);
  EXPECT_TRUE(blob.read(&RowTables::speed_factors).empty());
}

/// Every row of the repository: JSON -> struct -> bytes -> struct -> JSON is the JSON of the first
/// struct, and the bytes built into the library are those of the files.
TEST(RowBlob, EveryRowSurvivesTheRoundTrip) {
  const auto tables = read_row_tables(std::string(TOKWATT_SOURCE_DIR) + "/hwdb/data");
  ASSERT_TRUE(tables) << tables.error().where << ": " << tables.error().what;
  const RowBlob blob(embedded_rows());
  for_each_table([&](const auto& info) {
    const auto& rows = (*tables).*info.rows;
    const auto decoded = blob.read(info.rows);
    ASSERT_EQ(decoded.size(), rows.size()) << info.path;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      ASSERT_EQ(write_json(row_to_json(decoded[i])), write_json(row_to_json(rows[i]))) << info.path;
      using Row = std::remove_cvref_t<decltype(rows[i])>;
      const auto again = read_rows<Row>(Json(Json::Array{row_to_json(rows[i])}), "again");
      ASSERT_TRUE(again) << again.error().where << ": " << again.error().what;
      ASSERT_EQ(write_json(row_to_json((*again)[0])), write_json(row_to_json(rows[i])));
    }
  });
}

}  // namespace
}  // namespace hwdb
