// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hwdb::testing {

/// A safetensors file of a header text and `data_bytes` zeros.
inline std::string safetensors(std::string_view header, std::uint64_t data_bytes) {
  std::string out(8, '\0');
  std::uint64_t length = header.size();
  for (int i = 0; i < 8; ++i, length >>= 8)
    out[static_cast<std::size_t>(i)] = static_cast<char>(length & 0xFF);
  out += header;
  out.resize(out.size() + data_bytes);
  return out;
}
/// One member of a header.
inline std::string st_tensor(std::string_view name, std::string_view dtype, std::string_view shape,
                             std::uint64_t begin, std::uint64_t end) {
  std::string out = "\"";
  out.append(name).append("\":{\"dtype\":\"").append(dtype).append("\",\"shape\":").append(shape);
  out.append(",\"data_offsets\":[")
      .append(std::to_string(begin))
      .append(",")
      .append(std::to_string(end))
      .append("]}");
  return out;
}

}  // namespace hwdb::testing
