// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "engine/runtime/thread_pool.h"
#include "hwdb/weight_plan.h"
#include "planner/cli/session.h"

namespace cli {

/// What the commands that make model files share: workers (--threads, else all processors that
/// this process may use), and the table of a file's types.
std::unique_ptr<engine::ThreadPool> making_pool(Session& session);
report::Table types_table(const std::vector<hwdb::PlannedTensor>& tensors);

}  // namespace cli
