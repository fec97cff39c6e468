// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "hwdb/file_reader.h"
#include "hwdb/text_escape.h"
#include "planner/fitting/measured_notes.h"
#include "planner/fitting/measured_rows.h"

namespace fitting {
namespace {

using hwdb::Error;
using hwdb::Result;

constexpr std::uint64_t kMaxFileBytes = 64ull << 20;

enum Column : std::size_t {
  kSourceId,
  kSource,
  kUrl,
  kDate,
  kDevice,
  kDeviceCount,
  kVram,
  kBackend,
  kRuntime,
  kRuntimeVersion,
  kModel,
  kParams,
  kMoe,
  kQuant,
  kModelSize,
  kTest,
  kNPrompt,
  kNGen,
  kDepth,
  kBatch,
  kFlashAttn,
  kKvType,
  kOffload,
  kTokS,
  kTokSStd,
  kPower,
  kIdle,
  kNotes,
  kColumns
};
constexpr std::array<std::string_view, kColumns> kNames = {"source_id",
                                                           "source",
                                                           "url",
                                                           "date",
                                                           "device",
                                                           "device_count",
                                                           "vram_gb",
                                                           "backend",
                                                           "runtime",
                                                           "runtime_version",
                                                           "model",
                                                           "params_b",
                                                           "arch_moe",
                                                           "quant",
                                                           "model_size_gib",
                                                           "test",
                                                           "n_prompt",
                                                           "n_gen",
                                                           "depth",
                                                           "batch",
                                                           "flash_attn",
                                                           "kv_type",
                                                           "ngl_or_offload",
                                                           "tok_s",
                                                           "tok_s_std",
                                                           "power_w",
                                                           "idle_w",
                                                           "notes"};

/// Walks through a table line by line; quoted cells may hold commas, quotes and line ends.
class CsvReader {
 public:
  CsvReader(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  bool at_end() const { return at_ >= text_.size(); }
  /// The line that the last record began on.
  std::size_t line() const { return record_line_; }

  Result<std::vector<std::string>> record() {
    record_line_ = line_;
    std::vector<std::string> cells(1);
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!cells.back().empty()) return error("a quote inside a cell that is not quoted");
        if (const auto status = quoted(&cells.back()); !status) return status.error();
        continue;
      }
      ++at_;
      if (c == ',') {
        cells.emplace_back();
      } else if (c == '\n') {
        ++line_;
        return cells;
      } else if (c == '\r' && at_ < text_.size() && text_[at_] == '\n') {
        continue;
      } else {
        cells.back() += c;
      }
    }
    return cells;
  }

  Error error(std::string what) const {
    return {"csv.row", std::move(what), fmt::format("{} line {}", where_, record_line_), ""};
  }

 private:
  hwdb::Status quoted(std::string* cell) {
    ++at_;
    for (;;) {
      if (at_ >= text_.size()) return error("a quoted cell that does not end");
      const char c = text_[at_++];
      if (c == '\n') ++line_;
      if (c != '"') {
        *cell += c;
      } else if (at_ < text_.size() && text_[at_] == '"') {
        *cell += text_[at_++];
      } else {
        break;
      }
    }
    if (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && text_[at_] != '\r')
      return error("text after the quote that ends a cell");
    return hwdb::Ok{};
  }

  std::string_view text_, where_;
  std::size_t at_ = 0, line_ = 1, record_line_ = 1;
};

/// Reads the cells of one line as figures; the first that is none stays as the error.
class Cells {
 public:
  explicit Cells(const std::vector<std::string>& cells) : cells_(cells) {}

  /// A figure from 0 to `most`; `absent` where the cell is empty.
  double number(Column column, double most, double absent = 0) {
    const std::string& text = cells_[column];
    if (text.empty()) return absent;
    double value = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc() || end != text.data() + text.size() || !std::isfinite(value) ||
        value < 0 || value > most) {
      fail(column, fmt::format("a figure from 0 to {:g} was expected", most));
      return absent;
    }
    return value;
  }
  std::uint32_t count(Column column, double most, double absent = 0) {
    return static_cast<std::uint32_t>(std::lround(number(column, most, absent)));
  }
  void fail(Column column, std::string_view expected) {
    if (error_.empty())
      error_ = fmt::format("{} is \"{}\": {}", kNames[column],
                           hwdb::escape_text(cells_[column], 60), expected);
  }
  const std::string& error() const { return error_; }

 private:
  const std::vector<std::string>& cells_;
  std::string error_;
};

std::string cache_type_name(std::string_view words) {
  const std::string type = lowered(words);
  return type == "fp16" ? "f16" : type;
}

/// "q8_0/f16" for keys and values, "q8_0" for both, "q4_0 K" for the keys alone.
void read_cache_types(std::string_view words, hwdb::SpeedReading* reading) {
  if (words.empty()) return;
  if (const std::size_t slash = words.find('/'); slash != std::string_view::npos) {
    reading->cache_type_k = cache_type_name(words.substr(0, slash));
    reading->cache_type_v = cache_type_name(words.substr(slash + 1));
  } else if (words.ends_with(" K")) {
    reading->cache_type_k = cache_type_name(words.substr(0, words.size() - 2));
  } else {
    reading->cache_type_k = reading->cache_type_v = cache_type_name(words);
  }
}

Result<MeasuredRow> row_of(std::vector<std::string> cells, const CsvReader& reader) {
  MeasuredRow row;
  row.line = reader.line();
  row.source_id = cells[kSourceId];
  row.url = cells[kUrl];
  row.date = cells[kDate];
  row.device = cells[kDevice];
  row.backend = cells[kBackend];
  row.runtime = cells[kRuntime];
  row.model = cells[kModel];
  row.quant = cells[kQuant];
  row.notes = cells[kNotes];
  row.offload = cells[kOffload];

  Cells figures(cells);
  hwdb::SpeedReading& reading = row.reading;
  reading.source = hwdb::SpeedReading::Source::published;
  reading.where = row.url;
  reading.runtime = row.runtime;
  reading.build = cells[kRuntimeVersion];
  reading.measured_at = row.date;
  reading.model = row.model;
  reading.quant = row.quant;
  reading.device = row.device;
  reading.backend = backend_of(row.backend);

  const std::string& test = cells[kTest];
  row.both_phases = test == "pp+tg";
  if (test == "pp") {
    reading.test = hwdb::SpeedReading::Test::prefill;
  } else if (test == "tg" || row.both_phases) {
    reading.test = hwdb::SpeedReading::Test::decode;
  } else {
    figures.fail(kTest, "pp, tg or pp+tg was expected");
  }
  const std::string& flash = cells[kFlashAttn];
  if (flash == "0" || flash == "1") {
    reading.flash_attn = flash == "1";
  } else if (!flash.empty()) {
    figures.fail(kFlashAttn, "0 or 1 was expected");
  }

  reading.devices = std::max(1u, figures.count(kDeviceCount, 65'536, 1));
  row.vram_gb = figures.number(kVram, 1e6);
  row.params_b = figures.number(kParams, 1e5);
  const std::size_t point = cells[kParams].find('.');
  row.params_exact = point != std::string::npos && cells[kParams].size() - point > 2;
  row.is_moe = figures.number(kMoe, 1) > 0;
  row.model_size_gib = figures.number(kModelSize, 1e5);
  constexpr double kMostTokens = 1u << 31;
  reading.n_prompt = figures.count(kNPrompt, kMostTokens);
  reading.n_gen = figures.count(kNGen, kMostTokens);
  reading.depth = figures.count(kDepth, kMostTokens);
  reading.batch = std::max(1u, figures.count(kBatch, 1e6, 1));
  reading.tok_per_s = figures.number(kTokS, 1e9);
  if (reading.tok_per_s <= 0) figures.fail(kTokS, "a rate above 0 was expected");
  reading.deviation = figures.number(kTokSStd, 1e9);
  if (const double watts = figures.number(kPower, 1e7); watts > 0) reading.watts = watts;
  figures.number(kIdle, 1e7);
  if (!figures.error().empty()) return reader.error(figures.error());

  if (row.model_size_gib > 0) {
    reading.model_bytes =
        static_cast<std::uint64_t>(row.model_size_gib * static_cast<double>(hwdb::kGiB));
  }
  if (row.params_b > 0)
    reading.n_params = static_cast<std::uint64_t>(std::llround(row.params_b * 1e9));
  read_cache_types(cells[kKvType], &reading);
  row.cells = std::move(cells);
  read_notes(&row);
  return row;
}

void append_cell(std::string_view cell, std::string* out) {
  if (cell.find_first_of(",\"\r\n") == std::string_view::npos) {
    *out += cell;
    return;
  }
  *out += '"';
  for (const char c : cell) {
    if (c == '"') *out += '"';
    *out += c;
  }
  *out += '"';
}

}  // namespace

std::span<const std::string_view> measured_columns() {
  return kNames;
}

Result<std::vector<MeasuredRow>> parse_measured_rows(std::string_view text, std::string_view where,
                                                     std::vector<std::string>* header) {
  CsvReader reader(text, where);
  auto names = reader.record();
  if (!names) return names.error();
  const auto bad_header = [&](std::string what) {
    return Error{"csv.header", std::move(what), fmt::format("{} line 1", where),
                 "the columns are listed in hwdb/data/speed/README.md"};
  };
  std::array<std::size_t, kColumns> place{};
  for (std::size_t i = 0; i < kColumns; ++i) {
    const auto found = std::ranges::find(*names, kNames[i]);
    if (found == names->end())
      return bad_header(fmt::format("the column {} is missing", kNames[i]));
    if (std::find(found + 1, names->end(), kNames[i]) != names->end())
      return bad_header(fmt::format("the column {} is there twice", kNames[i]));
    place[i] = static_cast<std::size_t>(found - names->begin());
  }
  std::vector<MeasuredRow> rows;
  while (!reader.at_end()) {
    auto cells = reader.record();
    if (!cells) return cells.error();
    if (cells->size() == 1 && cells->front().empty()) continue;  // a blank line
    if (cells->size() != names->size())
      return reader.error(fmt::format("{} cells, {} were expected", cells->size(), names->size()));
    std::vector<std::string> ordered;
    ordered.reserve(kColumns);
    for (const std::size_t from : place) ordered.push_back(std::move((*cells)[from]));
    auto row = row_of(std::move(ordered), reader);
    if (!row) return row.error();
    rows.push_back(std::move(*row));
  }
  if (header != nullptr) *header = std::move(*names);
  return rows;
}

Result<std::vector<MeasuredRow>> read_measured_rows(const std::string& path,
                                                    std::vector<std::string>* header) {
  auto file = hwdb::FileReader::open(path);
  if (!file) return file.error();
  if (file->size() > kMaxFileBytes) {
    return file->error("csv.limit",
                       fmt::format("{} bytes, at most {} are read", file->size(), kMaxFileBytes));
  }
  auto text = file->read_text(kMaxFileBytes);
  if (!text) return text.error();
  return parse_measured_rows(*text, file->shown_path(), header);
}

std::string write_cleaned_csv(std::span<const Case> cases) {
  std::string out;
  for (std::size_t i = 0; i < kColumns; ++i) {
    if (i > 0) out += ',';
    out += kNames[i];
  }
  out += '\n';
  for (const Case& one : cases) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      if (i > 0) out += ',';
      if (i == kNotes) {
        append_cell(short_notes(one.row), &out);
      } else {
        append_cell(one.row.cells[i], &out);
      }
    }
    out += '\n';
  }
  return out;
}

}  // namespace fitting
