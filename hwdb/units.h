// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "hwdb/result.h"

namespace hwdb {

/// A physical quantity in its base unit; only meaningful arithmetic compiles.
template <class Tag>
struct Quantity {
  double value = 0;
  constexpr Quantity() = default;
  constexpr explicit Quantity(double v) : value(v) {}
  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity operator+(Quantity o) const { return Quantity(value + o.value); }
  constexpr Quantity operator-(Quantity o) const { return Quantity(value - o.value); }
  constexpr Quantity operator*(double k) const { return Quantity(value * k); }
  constexpr Quantity operator/(double k) const { return Quantity(value / k); }
  constexpr double operator/(Quantity o) const { return value / o.value; }
  constexpr Quantity& operator+=(Quantity o) {
    value += o.value;
    return *this;
  }
};

using Seconds = Quantity<struct SecondsTag>;
using BytesPerSecond = Quantity<struct BytesPerSecondTag>;
using Flops = Quantity<struct FlopsTag>;
using FlopsPerSecond = Quantity<struct FlopsPerSecondTag>;
using Hertz = Quantity<struct HertzTag>;
using Watts = Quantity<struct WattsTag>;
using KilowattHours = Quantity<struct KilowattHoursTag>;
using TokensPerSecond = Quantity<struct TokensPerSecondTag>;

/// A size in memory or on disk. Unsigned 64-bit; checked_* below guard sizes that come from input.
struct Bytes {
  std::uint64_t value = 0;
  constexpr Bytes() = default;
  constexpr explicit Bytes(std::uint64_t v) : value(v) {}
  constexpr auto operator<=>(const Bytes&) const = default;
  constexpr Bytes operator+(Bytes o) const { return Bytes(value + o.value); }
  constexpr Bytes operator-(Bytes o) const { return Bytes(value - o.value); }
  constexpr Bytes operator*(std::uint64_t k) const { return Bytes(value * k); }
  constexpr Bytes& operator+=(Bytes o) {
    value += o.value;
    return *this;
  }
  constexpr Bytes& operator-=(Bytes o) {
    value -= o.value;
    return *this;
  }
  constexpr double as_double() const { return static_cast<double>(value); }
};

constexpr Seconds operator/(Bytes b, BytesPerSecond r) {
  return Seconds(b.as_double() / r.value);
}
constexpr Seconds operator/(Flops f, FlopsPerSecond r) {
  return Seconds(f.value / r.value);
}
constexpr KilowattHours energy(Watts w, Seconds s) {
  return KilowattHours(w.value * s.value / 3.6e6);
}

inline constexpr std::uint64_t kKiB = 1024, kMiB = kKiB * 1024, kGiB = kMiB * 1024;

/// a + b, a * b, and a rounded up to a multiple of `align`; false when the result does not fit 64
/// bits.
bool checked_add(std::uint64_t a, std::uint64_t b, std::uint64_t* out);
bool checked_mul(std::uint64_t a, std::uint64_t b, std::uint64_t* out);
bool checked_pad(std::uint64_t a, std::uint64_t align, std::uint64_t* out);
/// a rounded up to a multiple of `align`; for sizes already known to be small.
constexpr std::uint64_t pad_up(std::uint64_t a, std::uint64_t align) {
  return (a + align - 1) / align * align;
}

/// "4.58 GiB", "312 MiB": capacity as people read it, three significant digits.
std::string format_bytes(Bytes b);
/// "1008 GB/s": bandwidth, decimal prefix.
std::string format_bandwidth(BytesPerSecond r);
/// "165 TFLOPS".
std::string format_flops_rate(FlopsPerSecond r);
/// A number with a prefix and a unit, as "24GiB", "1008GB/s", "165T", "450W", "0.5 TB". `unit` is
/// the expected unit text
/// ("B", "B/s", "W", ""); the unit may be left out in the text. Errors: units.number, units.prefix.
Result<double> parse_quantity(std::string_view text, std::string_view unit);

}  // namespace hwdb
