// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "hwdb/result.h"
#include "hwdb/runtime_report.h"
#include "probes/runtime/http_client.h"

namespace probes {

/// Asks a running llama-server, Ollama or LM Studio what it has loaded; nothing is loaded, changed
/// or unloaded by it. Which of them it is, is told by what it answers. What the server does not
/// tell is in `untold`. Errors: usage.url, endpoint.unreachable, .timeout, .limit, .status (an
/// error of the server; still loading), .protocol (none of the three), .no_model (nothing loaded).
hwdb::Result<hwdb::RuntimeReport> read_live_runtime(std::string_view url,
                                                    const HttpLimits& limits = {});

}  // namespace probes
