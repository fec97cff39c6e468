// SPDX-License-Identifier: MIT
#include "planner/cli/flag_values.h"

#include <charconv>

namespace cli {

using hwdb::Ok;
using hwdb::Status;

hwdb::Error wrong_value(std::string_view value, const std::string& expected) {
  return {"usage.value", fmt::format("\"{}\", expected {}", value, expected), {}, {}};
}

hwdb::Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t least,
                                        std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (rest == "k" || rest == "K") {
    rest = {};
    if (value > most / 1024) return wrong_value(text, fmt::format("{} to {}", least, most));
    value *= 1024;
  }
  if (error != std::errc{} || !rest.empty() || value < least || value > most) {
    return wrong_value(text, fmt::format("a whole number from {} to {}", least, most));
  }
  return value;
}

Status read_number(std::string_view text, double least, double most, double* out) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // The comparison is written so that NaN fails it.
  if (error != std::errc{} || end != text.data() + text.size() ||
      !(value >= least && value <= most)) {
    return wrong_value(text, fmt::format("a number from {} to {}", least, most));
  }
  *out = value;
  return Ok{};
}

Status read_optional_number(std::string_view text, double least, double most,
                            std::optional<double>* out) {
  double value = 0;
  Status status = read_number(text, least, most, &value);
  if (status) *out = value;
  return status;
}

Status read_share(std::string_view text, double* out) {
  const bool percent = text.ends_with('%');
  double value = 0;
  if (!read_number(percent ? text.substr(0, text.size() - 1) : text, 0, percent ? 100 : 1, &value))
    return wrong_value(text, "a share such as 0.9 or 90%");
  *out = percent ? value / 100 : value;
  return Ok{};
}

Status read_text(std::string_view value, std::string* out) {
  if (value.empty()) return wrong_value(value, "text");
  *out = value;
  return Ok{};
}

}  // namespace cli
