// SPDX-License-Identifier: MIT
#include "hwdb/units.h"

#include <fmt/core.h>

#include <array>
#include <charconv>
#include <cmath>

namespace hwdb {
namespace {

struct Prefix {
  std::string_view text;
  double factor;
};

// The one table of prefixes. Binary ones first, so that "Gi" is not read as "G" followed by "i".
constexpr std::array kPrefixes = {
    Prefix{"Ki", 1024.0},       Prefix{"Mi", 1048576.0},
    Prefix{"Gi", 1073741824.0}, Prefix{"Ti", 1099511627776.0},
    Prefix{"k", 1e3},           Prefix{"K", 1e3},
    Prefix{"M", 1e6},           Prefix{"G", 1e9},
    Prefix{"T", 1e12},          Prefix{"P", 1e15},
};

std::string with_three_digits(double v) {
  return fmt::format("{:.{}f}", v, v >= 100 ? 0 : v >= 10 ? 1 : 2);
}

std::string scaled(double v, double step, const std::array<const char*, 5>& names) {
  std::size_t i = 0;
  while (v >= 0.9995 * step && i + 1 < names.size()) {
    v /= step;
    ++i;
  }
  return i == 0 ? fmt::format("{:.0f} {}", v, names[0]) : with_three_digits(v) + " " + names[i];
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

}  // namespace

bool checked_add(std::uint64_t a, std::uint64_t b, std::uint64_t* out) {
  return !__builtin_add_overflow(a, b, out);
}
bool checked_mul(std::uint64_t a, std::uint64_t b, std::uint64_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}
bool checked_pad(std::uint64_t a, std::uint64_t align, std::uint64_t* out) {
  const std::uint64_t rest = a % align;
  return checked_add(a, rest == 0 ? 0 : align - rest, out);
}

std::string format_bytes(Bytes b) {
  return scaled(b.as_double(), 1024, {"B", "KiB", "MiB", "GiB", "TiB"});
}

std::string format_bandwidth(BytesPerSecond r) {
  // People compare bandwidths in GB/s, so 1.79 TB/s stays 1792 GB/s.
  if (r.value >= 1e9) return fmt::format("{:.{}f} GB/s", r.value / 1e9, r.value >= 100e9 ? 0 : 1);
  return scaled(r.value, 1000, {"B/s", "kB/s", "MB/s", "GB/s", "TB/s"});
}

std::string format_flops_rate(FlopsPerSecond r) {
  return scaled(r.value, 1000, {"FLOPS", "kFLOPS", "MFLOPS", "GFLOPS", "TFLOPS"});
}

Result<double> parse_quantity(std::string_view text, std::string_view unit) {
  const std::string_view s = trim(text);
  double number = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), number);
  if (error != std::errc{} || !std::isfinite(number)) {
    return Error{"units.number",
                 fmt::format("\"{}\" is no number", text),
                 {},
                 fmt::format("write it as 24Gi{} or 1.5T{}", unit, unit)};
  }
  std::string_view rest = trim(s.substr(static_cast<std::size_t>(end - s.data())));
  double factor = 1;
  if (rest != unit) {
    for (const Prefix& prefix : kPrefixes) {
      if (rest.substr(0, prefix.text.size()) == prefix.text) {
        factor = prefix.factor;
        rest.remove_prefix(prefix.text.size());
        break;
      }
    }
  }
  if (!rest.empty() && rest != unit) {
    return Error{"units.prefix",
                 fmt::format("\"{}\": expected a prefix (k, M, G, T, Ki, Mi, Gi, Ti) and \"{}\"",
                             text, unit),
                 {},
                 {}};
  }
  return number * factor;
}

}  // namespace hwdb
