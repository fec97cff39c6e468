// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "hwdb/result.h"
#include "hwdb/speed_reading.h"
#include "planner/cli/session.h"
#include "probes/runtime/endpoint_speed.h"

namespace cli {

/// Speeds that another program told, and what is to be said about them.
struct SpeedSource {
  std::vector<hwdb::SpeedReading> readings;
  std::vector<probes::ClockAgreement> agreements;  // of a live server
  std::vector<std::string> notes;
  bool interrupted = false;  // by Ctrl-C; what was done is here
};

/// One source by what it is: a server's URL is measured (--model, -p, -n, -d and -r say how), a
/// file is read as what llama-bench printed or as a log, "-" is a log on standard input. Errors:
/// those of measure_endpoint_speed, read_llama_bench_file and read_log_speeds.
hwdb::Result<SpeedSource> read_speed_source(Session& session, const std::string& source);

/// All readings of llama-bench documents (`from`), a live server (`endpoint`) and a log; "" and
/// empty: not asked. Notes go to stderr. Errors: the first of any of them.
hwdb::Result<std::vector<hwdb::SpeedReading>> read_speed_sources(
    Session& session, const std::vector<std::string>& from, const std::string& endpoint,
    const std::string& log);

}  // namespace cli
