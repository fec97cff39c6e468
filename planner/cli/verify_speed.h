// SPDX-License-Identifier: MIT
#pragma once

#include "planner/cli/session.h"

namespace cli {

/// `verify --speed`: speeds that a log, a llama-bench document or a live server tells, held against
/// the plan for the same settings.
hwdb::Result<Outcome> verify_speed(Session& session);

}  // namespace cli
