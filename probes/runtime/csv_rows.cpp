// SPDX-License-Identifier: MIT
#include "probes/runtime/csv_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "hwdb/text_escape.h"

namespace probes {
namespace {

using Fields = std::vector<std::string>;
constexpr std::size_t kMaxFields = 1000;

/// The fields of the next record, and `text` moves behind it; absent where a quote does not end or
/// there are too many.
std::optional<Fields> take_record(std::string_view* text) {
  Fields fields(1);
  bool quoted = false;
  std::size_t i = 0;
  for (; i < text->size(); ++i) {
    const char c = (*text)[i];
    if (quoted) {
      if (c != '"') {
        fields.back() += c;
      } else if (i + 1 < text->size() && (*text)[i + 1] == '"') {
        fields.back() += '"';
        ++i;
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      if (fields.size() == kMaxFields) return std::nullopt;
      fields.emplace_back();
    } else if (c == '\n') {
      break;
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  if (quoted) return std::nullopt;
  text->remove_prefix(std::min(i + 1, text->size()));
  return fields;
}

}  // namespace

hwdb::Result<std::vector<hwdb::Json>> read_csv_rows(std::string_view text, std::size_t limit,
                                                    std::string_view where) {
  const auto error = [&](std::string_view code, std::string what) {
    return hwdb::Error{std::string(code), std::move(what), hwdb::escape_text(where), {}};
  };
  const auto names = take_record(&text);
  if (!names) return error("llama_bench.format", "the header is no CSV");
  Fields sorted = *names;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) {
    return error("llama_bench.format", "the header names a column twice");
  }
  std::vector<hwdb::Json> rows;
  while (!text.empty() && rows.size() < limit) {
    auto fields = take_record(&text);
    const std::size_t number = rows.size() + 1;
    if (!fields) {
      return error("llama_bench.row", fmt::format("row {}: a quote does not end", number));
    }
    if (fields->size() == 1 && fields->front().empty()) continue;
    if (fields->size() != names->size()) {
      return error("llama_bench.row", fmt::format("row {}: {} fields, the header has {}", number,
                                                  fields->size(), names->size()));
    }
    hwdb::Json::Object row;
    for (std::size_t i = 0; i < fields->size(); ++i) {
      row.emplace_back((*names)[i], std::move((*fields)[i]));
    }
    rows.emplace_back(std::move(row));
  }
  return rows;
}

}  // namespace probes
