// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "probes/measure/measure_steps.h"
#include "probes/measure/reading.h"

namespace probes {

struct DiskReadOptions {
  std::string file;    // read this one, for example a model; "": a file made for it
  std::string folder;  // where that is made, without a name, gone when the process is; "": here
  std::uint64_t max_bytes = std::uint64_t{1} << 30;     // read, at most
  std::uint64_t make_bytes = std::uint64_t{256} << 20;  // written, at most
  bool direct = true;  // tests only: false goes through the system's cache, which is emptied
};

/// disk.read_bandwidth, B/s: large blocks from front to back, four at a time, past the system's
/// cache where the file system lets (O_DIRECT), else after it was told to forget the file; the
/// method says which. Takes about `seconds`. skipped: cancelled, or no room for the file.
Reading measure_disk_read(const DiskReadOptions& options, double seconds, MeasureSteps* steps);

}  // namespace probes
