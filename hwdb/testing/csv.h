// SPDX-License-Identifier: MIT
#pragma once

#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "hwdb/testing/shared_facts.h"

/// For tests: tables of published figures.
namespace hwdb {

using CsvRow = std::map<std::string, std::string>;

/// Rows by column name; quoted fields may hold commas. Lines of another length are left out.
inline std::vector<CsvRow> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> lines(1);
  std::string field;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"') {
      field += text[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == ',' || c == '\n')) {
      lines.back().push_back(field);
      field.clear();
      if (c == '\n') lines.emplace_back();
    } else if (c != '\r') {
      field += c;
    }
  }
  std::vector<CsvRow> rows;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].size() != lines[0].size()) continue;
    CsvRow& row = rows.emplace_back();
    for (std::size_t c = 0; c < lines[i].size(); ++c) row[lines[0][c]] = lines[i][c];
  }
  return rows;
}

/// A table of tests/fixtures; empty when it cannot be read.
inline std::vector<CsvRow> read_fixture(const std::string& name) {
  std::ifstream in(TOKWATT_SOURCE_DIR + std::string("/tests/fixtures/") + name, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return parse_csv(text.str());
}

/// A table of the collected facts beside the source tree; absent where they are not.
inline std::optional<std::vector<CsvRow>> read_facts(const std::string& name) {
  const std::string path = testing::shared_fact(name);
  if (path.empty()) return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return parse_csv(text.str());
}

}  // namespace hwdb
