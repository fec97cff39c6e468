// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "hwdb/architecture.h"
#include "hwdb/op_counts.h"
#include "planner/cli/commands.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using hwdb::Json;
using report::Cell;
using report::Section;

std::string per_layer(const hwdb::PerLayer& values) {
  if (values.empty()) return "not said";
  const auto [low, high] = std::ranges::minmax(values.values);
  return low == high ? fmt::format("{}", low) : fmt::format("{} to {} by layer", low, high);
}

std::string_view format_name(hwdb::ModelFile::Format format) {
  switch (format) {
    case hwdb::ModelFile::Format::gguf:
      return "GGUF";
    case hwdb::ModelFile::Format::safetensors:
      return "safetensors";
    case hwdb::ModelFile::Format::config_only:
      return "config.json alone";
  }
  return "";
}

Section file_section(const hwdb::ModelFile& file) {
  Section section;
  section.key = "file";
  std::string what(format_name(file.format));
  if (file.version > 0) what += fmt::format(" version {}", file.version);
  if (file.paths.size() > 1) what += fmt::format(", {} shards", file.paths.size());
  if (!file.general_type.empty() && file.general_type != "model") {
    what += fmt::format(", {}", file.general_type);
  }
  if (!file.name.empty() && file.name != ".") {
    section.lines.push_back({"name", "name", Cell(file.name, file.name)});
  }
  section.lines.push_back({"format", "format", Cell(what, Json(format_name(file.format)))});
  if (file.format != hwdb::ModelFile::Format::config_only) {
    section.lines.push_back({"file_size_bytes", "size", report::bytes_cell(file.file_bytes)});
    section.lines.push_back(
        {"metadata_bytes", "of it metadata", report::bytes_cell(file.metadata_bytes)});
    section.lines.push_back({"n_tensors", "tensors", report::count_cell(file.tensors.size())});
  }
  return section;
}

Section shape_section(const hwdb::ModelFile& file, const hwdb::ModelCosts* costs) {
  const hwdb::ModelShape& shape = file.shape;
  Section section;
  section.key = "model";
  section.title = "Model";
  const auto add = [&](const char* key, const char* label, Cell cell) {
    section.lines.push_back({key, label, std::move(cell)});
  };
  const hwdb::ArchitectureTraits* traits = hwdb::find_architecture(shape.architecture);
  add("architecture", "architecture",
      Cell(shape.architecture.empty() ? "not said"
           : traits == nullptr        ? shape.architecture + " (unknown to tokwatt: sizes only)"
                                      : fmt::format("{} ({})", shape.architecture, traits->display),
           shape.architecture));
  if (costs != nullptr && costs->params_total > 0) {
    const auto count = [](double n) {
      return n >= 1e9   ? fmt::format("{:.3g} billion", n / 1e9)
             : n >= 1e6 ? fmt::format("{:.3g} million", n / 1e6)
                        : fmt::format("{:.0f}", n);
    };
    std::string params = count(costs->params_total);
    if (costs->params_active > 0 && costs->params_active < costs->params_total) {
      params += fmt::format(", {} active for a token", count(costs->params_active));
    }
    add("params_total", "parameters",
        Cell(params, static_cast<std::uint64_t>(costs->params_total)));
  }
  add("n_layers", "layers", report::count_cell(shape.n_layers));
  add("n_embd", "width", report::count_cell(shape.n_embd));
  add("", "attention",
      Cell(fmt::format("{} heads, {} KV heads of {}", per_layer(shape.n_heads),
                       per_layer(shape.n_kv_heads), shape.head_dim_k)));
  if (shape.mla) {
    add("kv_lora_rank", "MLA latent",
        Cell(fmt::format("{} + {} rotary", shape.mla->kv_lora_rank, shape.mla->qk_rope_dim),
             static_cast<std::uint64_t>(shape.mla->kv_lora_rank)));
  }
  if (shape.sliding_window > 0) {
    add("sliding_window", "window",
        Cell(shape.all_layers_sliding
                 ? fmt::format("{} tokens on every layer", shape.sliding_window)
                 : fmt::format("{} tokens, {} of {} layers see all", shape.sliding_window,
                               shape.global_layers.size(), shape.n_layers),
             static_cast<std::uint64_t>(shape.sliding_window)));
  }
  if (shape.n_experts > 0) {
    add("n_experts", "experts",
        Cell(fmt::format(
                 "{} of which {} take part in a token{}", shape.n_experts, shape.n_experts_used,
                 shape.n_shared_experts > 0 ? fmt::format(", and {} shared", shape.n_shared_experts)
                                            : ""),
             static_cast<std::uint64_t>(shape.n_experts)));
  } else {
    add("", "feed-forward", Cell(per_layer(shape.n_ff)));
  }
  if (shape.hybrid) {
    add("", "recurrent layers",
        Cell(fmt::format("{} of {}", shape.n_layers - shape.attention_layers.size(),
                         shape.n_layers)));
  }
  add("n_ctx_train", "context",
      shape.n_ctx_train ? Cell(fmt::format("{} tokens", *shape.n_ctx_train), *shape.n_ctx_train)
                        : Cell("not said"));
  return section;
}

Section vocabulary_section(const hwdb::ModelFile& file) {
  const hwdb::VocabularyInfo& vocabulary = file.vocabulary;
  Section section;
  section.key = "vocabulary";
  section.title = "Vocabulary";
  const std::uint64_t tokens = vocabulary.n_tokens > 0 ? vocabulary.n_tokens : file.shape.n_vocab;
  std::string kind = vocabulary.model;
  if (!vocabulary.pre.empty()) kind += fmt::format(", {}", vocabulary.pre);
  section.lines = {
      {"n_tokens", "tokens", report::count_cell(tokens)},
      {"tokenizer", "tokenizer", kind.empty() ? Cell("not said") : Cell(kind, vocabulary.model)},
      {"has_chat_template", "chat template",
       Cell(vocabulary.has_chat_template ? "yes" : "none", vocabulary.has_chat_template)},
  };
  return section;
}

Section types_section(const hwdb::Catalog& catalog, const hwdb::ModelFile& file,
                      const hwdb::ModelCosts* costs) {
  Section section;
  section.key = "weights";
  section.title = "Weights";
  if (!file.quantization.empty()) {
    section.lines.push_back({"quantization", "made as", file.quantization});
    if (auto preset = catalog.find_preset(file.quantization)) {
      section.lines.push_back({"words", "that means", (*preset)->words});
    }
  }
  if (costs != nullptr && costs->bits_per_weight > 0) {
    section.lines.push_back({"bits_per_weight", "mean",
                             Cell(fmt::format("{:.2f} bits per weight", costs->bits_per_weight),
                                  costs->bits_per_weight)});
  }
  report::Table table;
  table.key = "types";
  table.columns = {
      {.key = "type", .title = "type", .align = report::Align::left},
      {.key = "tensors", .title = "tensors"},
      {.key = "elements", .title = "weights", .unit = "million"},
      {.key = "bytes", .title = "size"},
      {.key = "share", .title = "share", .unit = "%"},
  };
  double total = 0;
  for (const auto& dtype : file.dtypes) total += static_cast<double>(dtype.bytes);
  for (const auto& dtype : file.dtypes) {
    const double share = total > 0 ? static_cast<double>(dtype.bytes) / total : 0;
    table.rows.push_back(
        {dtype.name, report::count_cell(dtype.tensors),
         Cell(report::short_number(static_cast<double>(dtype.elements) / 1e6), dtype.elements),
         report::bytes_cell(hwdb::Bytes(dtype.bytes)),
         Cell(fmt::format("{:.1f}", share * 100), share)});
  }
  section.tables.push_back(std::move(table));
  return section;
}

}  // namespace

hwdb::Result<Outcome> cmd_inspect(Session& session) {
  auto file = session.model_file(session.options().arguments.front());
  if (!file) return file.error();
  const auto costs = hwdb::model_costs_of_file(*file);
  const hwdb::ModelCosts* known = costs ? &*costs : nullptr;
  Outcome outcome;
  outcome.report.emplace();
  report::Report& report = *outcome.report;
  report.command = "inspect";
  report.sections.push_back(file_section(*file));
  report.sections.push_back(shape_section(*file, known));
  report.sections.push_back(types_section(session.catalog(), *file, known));
  report.sections.push_back(vocabulary_section(*file));
  Section notes;
  notes.title = "Notes";
  notes.notes = file->warnings;
  for (const std::string& term : file->unknown_terms) {
    notes.notes.push_back(fmt::format("not known for this architecture: {}", term));
  }
  if (!costs) notes.notes.push_back(costs.error().what);
  if (!notes.notes.empty()) report.sections.push_back(std::move(notes));
  return outcome;
}

}  // namespace cli
