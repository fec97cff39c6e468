// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "hwdb/json.h"
#include "hwdb/result.h"
#include "planner/plan.h"

namespace planner {

/// The result object that `batch` writes a line of and `plan --json` prints. Unknown figures are
/// null with a `_reason` beside them. Appends; builds no document.
void append_result_json(hwdb::JsonWriter* writer, const Plan& plan);

/// The same for a scenario that was not answered: {"id", "schema", "ok": false, "error"}.
void append_failure_json(hwdb::JsonWriter* writer, const std::optional<hwdb::Json>& id,
                         const hwdb::Error& error);

/// The members of "error": code, message, and where and hint unless they are empty.
void append_error_json(hwdb::JsonWriter* writer, const hwdb::Error& error);

/// To six significant digits: more would only print the noise of the arithmetic.
double rounded(double value);

}  // namespace planner
