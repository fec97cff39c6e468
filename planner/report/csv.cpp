// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <string>

#include "planner/report/escape.h"
#include "planner/report/report.h"
#include "planner/result_json.h"

namespace report {
namespace {

constexpr std::array<std::string_view, 4> kParts = {"low", "likely", "high", "basis"};

std::string field(const hwdb::Json& value) {
  if (const std::string* text = value.as_string()) return escape_csv(*text, false);
  if (value.is_null()) return {};
  if (value.is_array() || value.is_object()) return escape_csv(hwdb::write_json(value), false);
  if (value.is_number() && !value.is_integer()) {
    return escape_csv(hwdb::write_json(planner::rounded(*value.as_double())), true);
  }
  return escape_csv(hwdb::write_json(value), true);
}

std::string field(const Cell& cell) {
  if (!cell.value.is_null()) return field(cell.value);
  return cell.text == "-" ? std::string() : escape_csv(cell.text, false);  // a dash means none
}

std::string table_csv(const Table& table) {
  std::string out;
  bool first = true;
  const auto put = [&](std::string_view text) {
    if (!first) out.push_back(',');
    first = false;
    out.append(text);
  };
  for (const Column& column : table.columns) {
    if (column.key.empty() || !column.csv) continue;
    if (!column.estimate) {
      put(escape_csv(column.key, false));
      continue;
    }
    // The likely value has the plain name, so that most readers need not know of the others.
    for (const std::string_view part : kParts) {
      put(part == "likely" ? column.key : column.key + "_" + std::string(part));
    }
  }
  out += "\r\n";
  for (const auto& row : table.rows) {
    first = true;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const Column& column = table.columns[i];
      if (column.key.empty() || !column.csv) continue;
      if (!column.estimate) {
        put(field(row[i]));
        continue;
      }
      for (const std::string_view part : kParts) {
        const hwdb::Json* value = row[i].value.find(part);
        put(value != nullptr ? field(*value) : std::string());
      }
    }
    out += "\r\n";
  }
  return out;
}

void flatten(const std::string& key, const hwdb::Json& value, std::string* out) {
  const auto inner = [&](const std::string& name) { return key.empty() ? name : key + "." + name; };
  if (const auto* object = value.as_object()) {
    for (const hwdb::Json::Member& member : *object) {
      flatten(inner(member.first), member.second, out);
    }
  } else if (const auto* array = value.as_array()) {
    for (std::size_t i = 0; i < array->size(); ++i) {
      flatten(inner(std::to_string(i)), (*array)[i], out);
    }
  } else {
    *out += escape_csv(key, false) + "," + field(value) + "\r\n";
  }
}

}  // namespace

std::string flat_csv(const hwdb::Json& document) {
  std::string out = "key,value\r\n";
  flatten("", document, &out);
  return out;
}

std::string render_csv(const Report& report) {
  for (const Section& section : report.sections) {
    for (const Table& table : section.tables) {
      const bool shown =
          std::ranges::any_of(table.columns, [](const Column& c) { return !c.title.empty(); });
      if (shown) return table_csv(table);
    }
  }
  std::string out = "key,value\r\n";
  for (const Section& section : report.sections) {
    const std::string prefix = section.key.empty() ? "" : section.key + ".";
    for (const Line& line : section.lines) {
      if (line.key.empty()) continue;
      out += escape_csv(prefix + line.key, false) + "," + field(line.cell) + "\r\n";
    }
    for (const Command& command : section.commands) {
      if (command.key.empty()) continue;
      out +=
          escape_csv(prefix + command.key, false) + "," + escape_csv(command.text, false) + "\r\n";
    }
  }
  return out;
}

}  // namespace report
