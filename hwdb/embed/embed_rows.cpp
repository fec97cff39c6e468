// SPDX-License-Identifier: MIT
// Build tool: hwdb/data -> one C++ file that holds the rows in their embedded form.
#include <fmt/core.h>

#include <fstream>
#include <string>

#include "hwdb/json_rows.h"
#include "hwdb/row_blob.h"

namespace {

/// The bytes as a string literal: short text compiles much faster than a list of numbers.
std::string literal_of(const std::string& bytes) {
  constexpr std::size_t kLine = 96;
  std::string out = "    \"";
  std::size_t line = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto b = static_cast<unsigned char>(bytes[i]);
    if (line >= kLine) {
      out += "\"\n    \"";
      line = 0;
    }
    if (b == '"' || b == '\\' || b == '?') {
      out += '\\';
      out += static_cast<char>(b);
      line += 2;
    } else if (b >= 0x20 && b < 0x7f) {
      out += static_cast<char>(b);
      line += 1;
    } else {
      // A digit behind a short octal escape would be read as part of it.
      const bool digit_follows = i + 1 < bytes.size() && bytes[i + 1] >= '0' && bytes[i + 1] <= '7';
      out += digit_follows ? fmt::format("\\{:03o}", b) : fmt::format("\\{:o}", b);
      line += 4;
    }
  }
  return out + "\"";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto tables = hwdb::read_row_tables(argv[1]);
  if (!tables) {
    const hwdb::Error& error = tables.error();
    fmt::print(stderr, "error[{}]: {}: {}\n", error.code, error.where, error.what);
    if (!error.hint.empty()) fmt::print(stderr, "hint: {}\n", error.hint);
    return 1;
  }
  const std::string bytes = hwdb::encode_row_tables(*tables);
  std::ofstream out(argv[2], std::ios::binary);
  out << "#include \"hwdb/row_blob.h\"\n\nnamespace hwdb {\nnamespace {\n\n"
      << "constexpr char kRows[] =\n"
      << literal_of(bytes) << ";\n\n}  // namespace\n\n"
      << "std::string_view embedded_rows() {\n  return {kRows, " << bytes.size()
      << "};\n}\n\n}  // namespace hwdb\n";
  out.close();
  return out ? 0 : 1;
}
