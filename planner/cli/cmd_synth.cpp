// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "engine/synth/synthesize.h"
#include "hwdb/gguf.h"
#include "hwdb/model_stores.h"
#include "planner/cli/commands.h"
#include "planner/cli/making.h"
#include "planner/cli/progress.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using hwdb::Error;
using hwdb::Result;
using report::Cell;

/// The model whose shape is taken: a row of the catalogue, or files.
struct Source {
  std::string name;
  hwdb::ModelShape shape;
  std::optional<hwdb::GgufFile> gguf;
};

Result<Source> find_source(Session& session, const std::string& name) {
  Source source;
  const bool is_file = name.find('/') != std::string::npos || name.ends_with(".gguf") ||
                       name.ends_with(".json") || hwdb::is_store_name(name);
  if (!is_file) {
    auto row = session.catalog().find_model(name);
    if (!row) return row.error();
    source.name = (*row)->id;
    source.shape = (*row)->shape;
    return source;
  }
  auto file = session.model_file(name);
  if (!file) return file.error();
  source.shape = file->shape;
  source.name = file->name.empty() ? name.substr(name.find_last_of('/') + 1) : file->name;
  if (file->format == hwdb::ModelFile::Format::gguf) {
    auto opened = hwdb::FileReader::open(file->paths.front());
    if (!opened) return opened.error();
    auto gguf = hwdb::GgufFile::open(std::move(*opened));
    if (!gguf) return gguf.error();
    source.gguf.emplace(std::move(*gguf));
  }
  return source;
}

}  // namespace

Result<Outcome> cmd_synth(Session& session) {
  const Options& options = session.options();
  if (options.made_file.empty() || options.made_file == "-") {
    return Error{"usage.arguments", "synth needs -o FILE (see tokwatt synth --help)", {}, {}};
  }
  auto source = find_source(session, options.arguments.front());
  if (!source) return source.error();
  engine::SynthRequest request;
  request.preset = options.quant.value_or(request.preset);
  request.cuts = {options.n_layers, options.n_experts, options.n_vocab};
  request.name = source->name + " (random weights)";
  request.source = source->gguf ? &*source->gguf : nullptr;
  auto file = engine::plan_synth(source->shape, request);
  if (!file) return file.error();

  engine::SynthWriting writing;
  writing.seed = options.seed;
  writing.overwrite = options.force;
  const Environment& environment = session.environment();
  if (environment.catch_interrupt) writing.cancel = environment.catch_interrupt();
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t bytes = 0;
  {
    ProgressLine progress(environment, options.quiet, "writing");
    writing.on_progress = [&](std::uint64_t done, std::uint64_t total) {
      progress.show("random weights", static_cast<double>(done) /
                                          static_cast<double>(std::max<std::uint64_t>(total, 1)));
    };
    const auto pool = making_pool(session);
    auto written = engine::write_synth(*file, options.made_file, *pool, writing);
    if (!written) return written.error();
    bytes = *written;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;

  Outcome outcome;
  outcome.report.emplace();
  outcome.report->command = "synth";
  report::Section section;
  section.lines = {
      {"file", "file", Cell(options.made_file)},
      {"model", "shape of", Cell(source->name)},
      {"architecture", "architecture", Cell(file->shape.architecture)},
      {"quant", "quantization", Cell(request.preset)},
      {"layers", "layers",
       Cell(file->shape.n_layers == source->shape.n_layers
                ? fmt::format("{}", file->shape.n_layers)
                : fmt::format("{} of {}", file->shape.n_layers, source->shape.n_layers),
            hwdb::Json(std::uint64_t{file->shape.n_layers}))},
      {"vocabulary", "vocabulary", report::count_cell(file->shape.n_vocab)},
      {"seed", "seed", Cell(fmt::format("{}", options.seed), hwdb::Json(options.seed))},
      {"file_bytes", "size", report::bytes_cell(hwdb::Bytes(bytes))},
      {"seconds", "made in", Cell(report::seconds_text(took.count()), hwdb::Json(took.count()))},
  };
  section.tables.push_back(types_table(file->tensors));
  outcome.report->sections.push_back(std::move(section));
  return outcome;
}

}  // namespace cli
