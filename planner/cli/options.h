// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hwdb/result.h"
#include "planner/cli/bench_flags.h"
#include "planner/cli/run_flags.h"
#include "planner/scenario.h"

namespace cli {

enum class Format { text, markdown, json, csv };
enum class Color { automatic, always, never };

/// The command line, read and checked for form. Names (rigs, models, tariffs) are looked up later.
struct Options {
  std::string command;                 // "" when tokwatt was called alone
  std::vector<std::string> arguments;  // what is no flag
  bool help = false, version = false;

  Format format = Format::text;
  std::string output;  // -o; "" or "-": stdout
  bool why = false, quiet = false;
  std::string check;
  Color color = Color::automatic;
  std::string hwdb_dir, state_dir;
  bool no_state = false;

  std::string on = "this";
  std::string save_machine;
  std::string sysroot;  // a recorded machine in place of this one
  std::string tariff;   // "" the default
  std::string price;    // of a kWh, in place of the tariff; "" none

  planner::RunSettings settings;  // n_ctx only when `n_ctx` is set
  planner::Workload workload;     // of --use, with what was given one by one
  bool use_given = false;         // else the scenario's defaults; fit and bill mean a chat
  std::optional<std::uint64_t> n_ctx;
  std::optional<std::string> quant;
  bool calibrated = true;

  std::vector<std::pair<std::string, std::string>> given;  // flags by name, with their values

  // fit
  std::optional<std::size_t> top;
  std::optional<double> min_tps;
  std::string model_filter;  // verify: the model
  // bill
  bool full_power = false;
  std::optional<double> watts;
  // verify
  std::optional<double> tolerance;  // a share
  bool speed = false;               // speeds in place of memory
  // calibrate: speeds that others told
  std::vector<std::string> from_files;
  std::string endpoint, from_log;
  // probe, calibrate
  bool measure = false, full = false, show = false, quick = false;
  std::optional<double> seconds;
  std::string save_file;
  // doctor
  std::string record_dir;
  // synth, quantize
  std::string made_file;  // -o of synth
  std::uint64_t seed = 1;
  std::optional<std::uint32_t> n_layers, n_experts;
  std::optional<std::uint64_t> n_vocab;
  bool force = false, dry_run = false, pure = false;
  std::string token_embedding_type, output_tensor_type;  // "" by the preset
  // the engine
  bool mapped_weights = false;  // read from the file's pages instead of a copy laid out anew
  BenchFlags bench;             // also what a live server is asked
  bool against_plan = false;    // bench: predicted beside measured
  RunFlags run;
  // perplexity, quants --measure
  std::string text_file;                 // -f; "" none
  std::optional<std::uint32_t> n_chunk;  // tokens of one
  std::uint32_t n_chunks = 0;            // 0: all
  std::string reference;                 // --kl-divergence: the other file
  std::vector<std::string> against;      // files that are compared with the one named
  std::vector<std::string> presets;      // made of the file and compared with it
};

/// Reads the arguments after the program's name. Errors: usage.unknown_command,
/// usage.unknown_flag, usage.value, usage.missing_value, usage.arguments; the text names the
/// nearest valid spelling.
hwdb::Result<Options> parse_arguments(const std::vector<std::string>& arguments);

/// Help of the program ("") or of one command, examples first.
std::string help_text(std::string_view command);

/// The format that was asked for, read without judging the rest: for errors in the rest.
bool wants_json(const std::vector<std::string>& arguments);

}  // namespace cli
