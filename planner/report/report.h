// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hwdb/json.h"

/// What a command answers, before anybody decides how it looks: sections of sentences, labelled
/// figures, tables and lines to paste. The four renderers take nothing else and escape all text for
/// their channel.
namespace report {

/// How a text stands out on a terminal with colour; other channels ignore it.
enum class Tone { plain, strong, good, warn, bad, dim };

/// A figure as people read it, and as programs do. `value` null: programs get the text.
struct Cell {
  std::string text;
  hwdb::Json value;
  Tone tone = Tone::plain;

  Cell() = default;
  Cell(std::string t) : text(std::move(t)) {}
  Cell(const char* t) : text(t) {}
  Cell(std::string_view t) : text(t) {}
  Cell(std::string t, hwdb::Json v, Tone how = Tone::plain)
      : text(std::move(t)), value(std::move(v)), tone(how) {}
};

enum class Align { left, right };

struct Column {
  std::string key = {};    // JSON and CSV name with its unit, "" when another column says the same
  std::string title = {};  // "" hides the column from people
  std::string unit = {};   // second header line, "" none
  Align align = Align::right;
  int priority = 0;              // narrow pages drop the highest first; 0 stays
  bool estimate = false;         // values are {low, likely, high, basis}: four columns in CSV
  bool json = true, csv = true;  // false: that one says the same in a form of its own
};

struct Table {
  std::string key = "rows";  // JSON name inside its section
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // each as long as `columns`
};

/// A labelled figure. An empty label continues the line above; an empty key is for people only.
struct Line {
  std::string key, label;
  Cell cell;
};

/// A line to paste into a shell; never wrapped.
struct Command {
  std::string key, label, text;
};

/// Blocks that belong together, under one heading.
struct Section {
  std::string key = {};    // JSON name; "" puts lines and commands at the top
  std::string title = {};  // "" none
  std::vector<Cell> sentences;
  std::vector<Line> lines;
  std::vector<Table> tables;
  std::vector<Command> commands;
  std::vector<std::string> notes;
};

struct Report {
  std::string command;  // "fit"
  std::vector<Section> sections;
};

struct TextOptions {
  std::size_t width = 100;
  bool color = false;
};

/// Plain text of at most `width` columns; commands and single words may be longer.
std::string render_text(const Report& report, const TextOptions& options);
std::string render_markdown(const Report& report);
/// One document with "schema", "command" and a member for each section.
std::string render_json(const Report& report);
/// A document as lines of key and value, as "memory.devices.0.total_bytes,5937029376".
std::string flat_csv(const hwdb::Json& document);
/// The first table that people see with all its columns, RFC 4180; without tables, key and value of
/// each line.
std::string render_csv(const Report& report);

}  // namespace report
