// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/result.h"

namespace hwdb {

enum class ReadingStatus { ok, unsupported, not_permitted, skipped, error };
/// "ok", "unsupported", "not_permitted", "skipped", "error".
std::string_view to_string(ReadingStatus status);

/// One measured figure, or why there is none.
struct Reading {
  std::string id;      // "gpu.read_bandwidth"; stable
  double value = 0;    // the median of all samples, in `unit`; meaningless unless ok
  std::string unit;    // base units: "B/s", "FLOP/s", "OP/s"
  double spread = 0;   // (90th - 10th percentile) / median of the samples
  std::string method;  // one sentence: kernel, size, what is counted
  ReadingStatus status = ReadingStatus::ok;
  std::string reason;           // why not ok; may explain an ok as well ("throttled after 7 s")
  std::vector<double> samples;  // every repetition, in the order taken
  std::string device;           // PCI address, else UUID, else name of a GPU; "": the machine
  std::string as_of;            // the day it was taken, "2025-01-15"
};

/// One object; `value` and `spread` are left out unless ok. The reader trusts nothing; errors as
/// machine_from_json's. Both are in machine.cpp, as a machine holds readings.
Json reading_to_json(const Reading& reading);
Result<Reading> reading_from_json(const Json& json, std::string_view where);

}  // namespace hwdb
