// SPDX-License-Identifier: MIT
#include "planner/report/report.h"
#include "planner/result_json.h"

namespace report {
namespace {

hwdb::Json value_of(const Cell& cell) {
  if (cell.value.is_number() && !cell.value.is_integer()) {
    return planner::rounded(*cell.value.as_double());
  }
  if (!cell.value.is_null()) return cell.value;
  return cell.text.empty() || cell.text == "-" ? hwdb::Json() : hwdb::Json(cell.text);
}

hwdb::Json rows_of(const Table& table) {
  hwdb::Json::Array rows;
  for (const auto& row : table.rows) {
    hwdb::Json::Object object;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!table.columns[i].key.empty() && table.columns[i].json) {
        object.emplace_back(table.columns[i].key, value_of(row[i]));
      }
    }
    rows.emplace_back(std::move(object));
  }
  return rows;
}

void add_members(const Section& section, hwdb::Json::Object* out) {
  for (const Line& line : section.lines) {
    if (!line.key.empty()) out->emplace_back(line.key, value_of(line.cell));
  }
  for (const Command& command : section.commands) {
    if (!command.key.empty()) out->emplace_back(command.key, command.text);
  }
  for (const Table& table : section.tables) {
    if (!table.key.empty()) out->emplace_back(table.key, rows_of(table));
  }
}

}  // namespace

std::string render_json(const Report& report) {
  hwdb::Json::Object document;
  document.emplace_back("schema", "1.0");
  document.emplace_back("command", report.command);
  hwdb::Json::Array notes;
  for (const Section& section : report.sections) {
    if (section.key.empty()) {
      add_members(section, &document);
    } else {
      hwdb::Json::Object members;
      add_members(section, &members);
      document.emplace_back(section.key, std::move(members));
    }
    for (const std::string& note : section.notes) notes.emplace_back(note);
  }
  document.emplace_back("notes", std::move(notes));
  return hwdb::write_json(document, 2) + "\n";
}

}  // namespace report
