// SPDX-License-Identifier: MIT
#include "hwdb/quant_format.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <string>

#include "hwdb/units.h"

namespace hwdb {
namespace {

constexpr TensorFormat kFormats[] = {
#include "hwdb/tensor_types.inc"
};

constexpr std::uint32_t id_of(const TensorFormat& format) {
  return static_cast<std::uint32_t>(format.type);
}

// By id, because every tensor of every plan asks.
constexpr auto kById = [] {
  std::array<const TensorFormat*, id_of(*std::ranges::max_element(kFormats, {}, id_of)) + 1>
      table{};
  for (const TensorFormat& format : kFormats) table[id_of(format)] = &format;
  return table;
}();

}  // namespace

std::span<const TensorFormat> tensor_formats() {
  return kFormats;
}

const TensorFormat* find_tensor_format(std::uint32_t id) {
  return id < kById.size() ? kById[id] : nullptr;
}

const TensorFormat* find_tensor_format(std::string_view name) {
  const auto* it = std::ranges::find(kFormats, name, &TensorFormat::name);
  return it != std::end(kFormats) ? it : nullptr;
}

const TensorFormat& format_of(TensorType type) {
  const TensorFormat* format = find_tensor_format(static_cast<std::uint32_t>(type));
  assert(format != nullptr);
  return *format;
}

TensorType tensor_type(std::string_view name) {
  const TensorFormat* format = find_tensor_format(name);
  assert(format != nullptr);
  return format->type;
}

std::uint64_t row_bytes(TensorType type, std::uint64_t ne0) {
  const TensorFormat& format = format_of(type);
  return (ne0 + format.block_weights - 1) / format.block_weights * format.block_bytes +
         format.row_extra_bytes;
}

Result<std::uint64_t> tensor_bytes(const TensorFormat& format, std::uint64_t ne0,
                                   std::uint64_t rows) {
  if (ne0 % format.block_weights != 0) {
    return Error{"gguf.block",
                 "a row of " + std::to_string(ne0) + " weights does not divide into " +
                     std::string(format.name) + " blocks of " +
                     std::to_string(format.block_weights),
                 {},
                 {}};
  }
  std::uint64_t row = 0, total = 0;
  if (!checked_mul(ne0 / format.block_weights, format.block_bytes, &row) ||
      !checked_add(row, format.row_extra_bytes, &row) || !checked_mul(row, rows, &total)) {
    return Error{"gguf.size", "the tensor's bytes do not fit 64 bits", {}, {}};
  }
  return total;
}

}  // namespace hwdb
