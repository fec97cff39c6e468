// SPDX-License-Identifier: MIT
#pragma once

#include "hwdb/result.h"
#include "planner/cli/session.h"

/// One function a command, one file each. They look up, ask the planner and build a report; main
/// prints it.
namespace cli {

hwdb::Result<Outcome> cmd_fit(Session& session);
hwdb::Result<Outcome> cmd_plan(Session& session);
hwdb::Result<Outcome> cmd_quants(Session& session);
hwdb::Result<Outcome> cmd_bill(Session& session);
hwdb::Result<Outcome> cmd_verify(Session& session);
hwdb::Result<Outcome> cmd_inspect(Session& session);
hwdb::Result<Outcome> cmd_list(Session& session);
hwdb::Result<Outcome> cmd_batch(Session& session);
hwdb::Result<Outcome> cmd_probe(Session& session);
hwdb::Result<Outcome> cmd_run(Session& session);
hwdb::Result<Outcome> cmd_bench(Session& session);
hwdb::Result<Outcome> cmd_perplexity(Session& session);
hwdb::Result<Outcome> cmd_doctor(Session& session);
hwdb::Result<Outcome> cmd_synth(Session& session);
hwdb::Result<Outcome> cmd_quantize(Session& session);
hwdb::Result<Outcome> cmd_calibrate(Session& session);

/// Runs the command that the options name; "" is the short fit.
hwdb::Result<Outcome> run_command(Session& session);

}  // namespace cli
