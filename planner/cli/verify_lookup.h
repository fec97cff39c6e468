// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "hwdb/result.h"
#include "hwdb/runtime_report.h"
#include "hwdb/speed_reading.h"
#include "planner/cli/session.h"

/// What a runtime's words for a model and a machine stand for here.
namespace cli {

/// The model of --model; else the file that the load names, as it is found from here or from the
/// folder of `source`; else a store's entry where `is_ollama`; else the catalogue's row. `source`
/// names the log, document or server in errors. `quant`: a preset that is known, "" by the load's
/// words. Errors: name.unknown, and those of Session::model.
hwdb::Result<std::shared_ptr<const planner::ResolvedModel>> find_runtime_model(
    Session& session, const hwdb::RuntimeLoad& load, const std::string& quant,
    const std::string& source, bool is_ollama);

/// The machine of --on; else the one that a reading ran on: this one where it does not say or says
/// this one's name, or the cards or the processor that it names. Errors: usage.arguments where
/// nobody knows them.
hwdb::Result<std::shared_ptr<const hwdb::Machine>> find_reading_machine(
    Session& session, const hwdb::SpeedReading& reading);

/// True for a flag that was given on the command line.
bool is_given(const Options& options, std::string_view flag);

}  // namespace cli
