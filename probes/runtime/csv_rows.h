// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/result.h"

namespace probes {

/// Rows of a CSV with a header line (RFC 4180: quotes, doubled quotes, line ends in quotes) as
/// objects of text, at most `limit` of them. Errors: llama_bench.row (a row with another number of
/// fields than the header, or a quote that does not end), llama_bench.format (one name twice in
/// the header).
hwdb::Result<std::vector<hwdb::Json>> read_csv_rows(std::string_view text, std::size_t limit,
                                                    std::string_view where);

}  // namespace probes
