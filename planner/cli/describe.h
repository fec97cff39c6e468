// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "hwdb/machine.h"
#include "planner/plan.h"
#include "planner/report/report.h"

/// Sentences and sections that several commands share.
namespace cli {

/// The machine in one sentence: "RTX 4090 with 24.0 GiB at 1008 GB/s; 64.0 GiB RAM at 83.2 GB/s".
std::string machine_sentence(const hwdb::Machine& machine);
/// The same as labelled figures with their sources, under the key "machine".
report::Section machine_section(const hwdb::Machine& machine);

/// Where the model goes, in one sentence without its speed.
std::string verdict_sentence(const planner::Plan& plan, const hwdb::Machine& machine);
/// Speed and money in one sentence; "" when speed is not known.
std::string speed_sentence(const planner::Plan& plan);

/// A device's name without the words that say nothing beside it: "RTX 4090", "RX 7900 XTX".
std::string short_name(const std::string& device);
/// The short name; GPUs of one name are numbered.
std::string device_name(const hwdb::Machine& machine, std::int32_t gpu);
/// Short names of the plan's devices; GPUs of one name are numbered.
std::vector<std::string> plan_device_names(const planner::Plan& plan);
/// Plan notes, without repeats and in their order.
std::vector<std::string> unique_notes(const std::vector<std::string>& notes);

}  // namespace cli
