// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/row_tables.h"

/// The embedded form of the rows: texts once each, numbers in as few bytes as they need, each table
/// decodable by itself. Written at build time, read by the same program, so it is trusted.
namespace hwdb {

/// All tables as one string of bytes.
std::string encode_row_tables(const RowTables& tables);

/// Reads tables of such a string, which must outlive it.
class RowBlob {
 public:
  explicit RowBlob(std::string_view bytes);
  /// The rows of the table, decoded anew on each call.
  template <class Row>
  std::vector<Row> read(std::vector<Row> RowTables::*table) const;

 private:
  std::string_view bytes_;
};

/// The bytes of hwdb/data, made at build time.
std::string_view embedded_rows();

}  // namespace hwdb
