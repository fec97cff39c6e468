// SPDX-License-Identifier: MIT
// Build tool: data/quants/tensor_types.json -> the rows of quant_format.cpp's constexpr table.
#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "hwdb/json.h"

namespace {

std::string field(const hwdb::Json& row, const char* key) {
  const hwdb::Json* value = row.find(key);
  if (value == nullptr) return {};
  if (auto flag = value->as_bool()) return *flag ? "true" : "false";
  if (auto number = value->as_uint64()) return std::to_string(*number);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::ifstream in(argv[1], std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  auto rows = hwdb::parse_json(text.str(), argv[1]);
  if (!rows || rows->as_array() == nullptr) {
    fmt::print(stderr, "{}: {}\n", argv[1], rows ? "expected a list" : rows.error().what);
    return 1;
  }
  auto sorted = *rows->as_array();
  std::ranges::sort(sorted, {}, [](const hwdb::Json& row) {
    return row.find("ggml_type_id")->as_uint64().value_or(0);
  });
  std::string out;
  for (const hwdb::Json& row : sorted) {
    const std::string* name = row.find("name")->as_string();
    out += fmt::format("{{\"{}\", TensorType{{{}}}", *name, field(row, "ggml_type_id"));
    for (const char* key : {"block_weights", "block_bytes", "row_extra_bytes", "mainline",
                            "weights_in_files", "removed"}) {
      const std::string value = field(row, key);
      if (value.empty()) {
        fmt::print(stderr, "{}: {}: {} is missing or of a wrong type\n", argv[1], *name, key);
        return 1;
      }
      out += ", " + value;
    }
    out += "},\n";
  }
  std::ofstream(argv[2], std::ios::binary) << out;
  return 0;
}
