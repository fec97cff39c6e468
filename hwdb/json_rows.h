// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/result.h"
#include "hwdb/row_tables.h"

namespace hwdb {

/// What a row is told apart by: its id, or for tables without one the members that name it.
template <class Row>
std::string row_key(const Row& row);

/// The rows of one document, a list of objects whose keys are the members of `Row`. Keys that are
/// absent keep the member's default. Errors, each naming `where`, row and key: row.unknown_key (the
/// nearest key in the hint), row.type, row.duplicate.
template <class Row>
Result<std::vector<Row>> read_rows(const Json& document, std::string_view where);

/// One row as JSON; members at their default are left out, so that reading it back gives the same
/// row.
template <class Row>
Json row_to_json(const Row& row);

/// Reads every table found below `dir` (see kTables); absent files are empty tables. Errors: as
/// read_rows, and file.open, file.read, json.*.
Result<RowTables> read_row_tables(const std::string& dir);

}  // namespace hwdb
