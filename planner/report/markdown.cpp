// SPDX-License-Identifier: MIT
#include <algorithm>

#include "planner/report/escape.h"
#include "planner/report/report.h"

namespace report {
namespace {

/// A fence that is longer than any run of backticks inside.
std::string fence_for(const Section& section) {
  std::string fence = "```";
  for (const Command& command : section.commands) {
    while (command.text.find(fence) != std::string::npos) fence.push_back('`');
  }
  return fence;
}

void write_table(const Table& table, std::string* out) {
  if (std::ranges::all_of(table.columns, [](const Column& c) { return c.title.empty(); })) return;
  std::string head = "|", rule = "|";
  for (const Column& column : table.columns) {
    if (column.title.empty()) continue;
    head += ' ' + escape_markdown(column.title);
    if (!column.unit.empty()) head += " (" + escape_markdown(column.unit) + ")";
    head += " |";
    rule += column.align == Align::right ? " ---: |" : " --- |";
  }
  *out += head + "\n" + rule + "\n";
  for (const auto& row : table.rows) {
    *out += '|';
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!table.columns[i].title.empty()) *out += ' ' + escape_markdown(row[i].text) + " |";
    }
    *out += '\n';
  }
  *out += '\n';
}

}  // namespace

std::string render_markdown(const Report& report) {
  std::string out;
  for (const Section& section : report.sections) {
    if (!section.title.empty()) out += "## " + escape_markdown(section.title) + "\n\n";
    for (const Cell& sentence : section.sentences) out += escape_markdown(sentence.text) + "\n\n";
    bool has_lines = false;
    for (const Line& line : section.lines) {
      if (line.label.empty() && line.cell.text.empty()) continue;
      has_lines = true;
      const bool more = line.label.empty();
      out += more ? "  " : "- " + escape_markdown(line.label) + ": ";
      out += escape_markdown(line.cell.text) + "\n";
    }
    if (has_lines) out += '\n';
    for (const Table& table : section.tables) {
      if (!table.rows.empty()) write_table(table, &out);
    }
    if (!section.commands.empty()) {
      const std::string fence = fence_for(section);
      out += fence + "sh\n";
      for (const Command& command : section.commands) {
        if (!command.label.empty()) out += "# " + escape_terminal(command.label) + "\n";
        out += escape_terminal(command.text) + "\n";
      }
      out += fence + "\n\n";
    }
    for (const std::string& note : section.notes) out += "> " + escape_markdown(note) + "\n>\n";
    if (!section.notes.empty()) out.replace(out.size() - 2, 2, "\n");
  }
  while (out.size() > 1 && out[out.size() - 1] == '\n' && out[out.size() - 2] == '\n') {
    out.pop_back();
  }
  return out;
}

}  // namespace report
