// SPDX-License-Identifier: MIT
#include "planner/cli/verify_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planner/cli/describe.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using planner::VerifyRow;
using report::Align;
using report::Cell;
using report::Section;
using report::Tone;
using Verdict = VerifyRow::Verdict;

std::string term_words(const VerifyRow& row) {
  if (row.term == "kv_cache") return "KV cache";
  if (row.term == "context") return "cache and state";
  if (row.term == "gpu_total") return "total on GPUs";
  if (row.term == "all") return "total";
  if (row.term == "tensors") return "tensors in the file";
  return row.term;
}

std::string verdict_words(Verdict verdict) {
  switch (verdict) {
    case Verdict::equal:
      return "equal";
    case Verdict::explained:
      return "explained";
    case Verdict::within:
      return "close";
    case Verdict::differs:
      return "differs";
    case Verdict::not_predicted:
      return "not planned";
    case Verdict::not_told:
      return "not told";
  }
  return "";
}

Tone verdict_tone(Verdict verdict) {
  switch (verdict) {
    case Verdict::equal:
    case Verdict::explained:
      return Tone::good;
    case Verdict::within:
      return Tone::plain;
    case Verdict::differs:
      return Tone::bad;
    case Verdict::not_predicted:
    case Verdict::not_told:
      return Tone::dim;
  }
  return Tone::plain;
}

/// To the byte, for programs. Sizes from logs stay far below 63 bits.
hwdb::Json bytes_json(double bytes) {
  return static_cast<std::int64_t>(std::llround(bytes));
}

/// Megabytes with the digits that llama.cpp prints.
Cell mib_cell(const std::optional<double>& bytes) {
  if (!bytes) return Cell("-", hwdb::Json());
  return {fmt::format("{:.2f}", *bytes / hwdb::kMiB), bytes_json(*bytes)};
}

/// Signed; what rounds to nothing has no sign.
std::string signed_text(double value, const char* unit = "") {
  const std::string text = fmt::format("{:+.2f}{}", value, unit);
  return text.substr(1) == fmt::format("{:.2f}{}", 0.0, unit) ? text.substr(1) : text;
}

hwdb::Json reasons_json(const VerifyRow& row) {
  hwdb::Json::Array list;
  for (const planner::GapReason& reason : row.reasons) {
    list.push_back(
        hwdb::Json::Object{{"code", reason.code},
                           {"text", reason.text},
                           {"bytes", reason.bytes ? bytes_json(*reason.bytes) : hwdb::Json()}});
  }
  return list;
}

std::string device_words(const planner::Plan& plan, const VerifyRow& row) {
  if (row.index) return plan_device_names(plan)[*row.index];
  return row.device.empty() ? "all" : short_name(row.device);
}

Section rows_section(const planner::Plan& plan, const planner::Verification& verification) {
  Section section;
  section.key = "memory";
  section.title = "Memory";
  report::Table table;
  table.columns = {
      {.key = "device", .title = "device", .align = Align::left},
      {.key = "term", .title = "term", .align = Align::left},
      {.key = "labels", .title = "said as", .align = Align::left, .priority = 1},
      {.key = "predicted_bytes", .title = "planned", .unit = "MiB"},
      {.key = "actual_bytes", .title = "actual", .unit = "MiB"},
      {.key = "difference_bytes", .title = "gap", .unit = "MiB"},
      {.key = "relative", .title = "gap", .unit = "%", .priority = 2},
      {.key = "rounding_bytes"},
      {.key = "verdict", .title = "", .align = Align::left},
      {.title = "verdict", .align = Align::left},
      {.key = "reasons"},
  };
  for (const VerifyRow& row : verification.rows) {
    const bool both = row.predicted && row.actual;
    const auto if_both = [&](std::string text, hwdb::Json value) {
      return both ? Cell(std::move(text), std::move(value)) : Cell("-", hwdb::Json());
    };
    Cell verdict(verdict_words(row.verdict), hwdb::Json(), verdict_tone(row.verdict));
    Cell term(term_words(row), row.term, row.is_total ? Tone::strong : Tone::plain);
    table.rows.push_back(
        {Cell(device_words(plan, row)), std::move(term), Cell(row.labels), mib_cell(row.predicted),
         mib_cell(row.actual),
         if_both(signed_text(row.difference() / hwdb::kMiB), bytes_json(row.difference())),
         // Of an amount below the printed digits a share says nothing.
         if_both(row.verdict == Verdict::equal ? "" : signed_text(row.relative() * 100),
                 row.relative()),
         Cell("", bytes_json(row.rounding)), Cell("", to_string(row.verdict)), std::move(verdict),
         Cell("", reasons_json(row))});
  }
  section.tables.push_back(std::move(table));
  return section;
}

/// Why each gap is there; "not explained" where no rule knows.
Section reasons_section(const planner::Plan& plan, const planner::Verification& verification) {
  Section section;
  section.title = "Why they differ";
  for (const VerifyRow& row : verification.rows) {
    if (row.is_total && row.predicted) continue;
    const bool gap = row.verdict == Verdict::differs || row.verdict == Verdict::within;
    std::string label = fmt::format("{} {}", device_words(plan, row), term_words(row));
    for (const planner::GapReason& reason : row.reasons) {
      std::string text = reason.text;
      if (reason.bytes) {
        text += fmt::format(" ({} MiB)", signed_text(*reason.bytes / hwdb::kMiB));
      }
      section.lines.push_back({"", std::move(label), Cell(std::move(text))});
      label.clear();
    }
    if (gap && row.reasons.empty()) {
      section.lines.push_back({"", std::move(label), Cell("not explained")});
    }
  }
  return section;
}

std::string run_sentence(const hwdb::RuntimeReport& run) {
  const hwdb::RuntimeLoad* load = run.main_load();
  std::string text = run.runtime;
  if (!run.build.empty()) text += " " + run.build;
  if (load == nullptr) return text + ".";
  const std::string model =
      load->path.empty() ? load->name : load->path.substr(load->path.find_last_of("/\\") + 1);
  if (!model.empty()) text += " with " + model;
  if (!load->file_type.empty()) text += fmt::format(" ({})", load->file_type);
  return text + ".";
}

std::string verdict_sentence(const planner::Verification& verification) {
  std::size_t open = 0, compared = 0, off = 0;
  for (const VerifyRow& row : verification.rows) {
    if (row.term == "overhead" || (row.is_total && !row.device.empty())) continue;
    if (!row.predicted || !row.actual) continue;
    ++compared;
    const bool gap = row.verdict == Verdict::within || row.verdict == Verdict::differs;
    off += gap ? 1 : 0;
    open += gap && row.reasons.empty() ? 1 : 0;
  }
  if (compared == 0) return "Nothing could be compared.";
  if (compared == 1 && off == 0) return "The one figure that both sides tell agrees.";
  if (off == 0) {
    return fmt::format("All {} figures that both sides tell agree.", compared);
  }
  std::string text = fmt::format("{} of {} figures agree", compared - off, compared);
  if (verification.worst_total) {
    text += fmt::format("; totals differ by at most {:.2f} %", *verification.worst_total * 100);
  }
  if (open > 0)
    text += fmt::format("; {} {} not explained", open, open == 1 ? "gap is" : "gaps are");
  return text + ".";
}

Section settings_section(const planner::Plan& plan, const hwdb::RuntimeReport& run) {
  const planner::RunSettings& s = plan.scenario.settings;
  Section section;
  section.key = "settings";
  section.lines = {
      {"model", "planned",
       Cell(fmt::format("{} {}", plan.model_name, plan.quant), hwdb::Json(plan.model_name))},
      {"quant", "", Cell("", plan.quant)},
      {"n_ctx", "context",
       Cell(fmt::format("{} tokens for {} {}{}", s.n_ctx, s.n_seq,
                        s.n_seq == 1 ? "sequence" : "sequences",
                        s.n_seq > 1 && s.kv_unified ? ", one pool for all" : ""),
            s.n_ctx)},
      {"n_seq", "", Cell("", static_cast<std::uint64_t>(s.n_seq))},
      {"kv_unified", "", Cell("", s.kv_unified)},
      {"n_ubatch", "micro-batch",
       Cell(fmt::format("{} of {}", s.n_ubatch, s.n_batch),
            static_cast<std::uint64_t>(s.n_ubatch))},
      {"flash_attn", "flash attention", Cell(s.flash_attn ? "on" : "off", s.flash_attn)},
      {"cache_type_k", "cache types",
       Cell(fmt::format("{} and {}", s.cache_type_k, s.cache_type_v), s.cache_type_k)},
      {"cache_type_v", "", Cell("", s.cache_type_v)},
      {"n_gpu_layers", "layers on GPUs",
       Cell(fmt::format("{}", plan.placement.n_gpu_layers),
            static_cast<std::uint64_t>(plan.placement.n_gpu_layers))},
      {"runtime", "", Cell("", run.runtime)},
      {"build", "", Cell("", run.build)},
  };
  return section;
}

}  // namespace

report::Report verify_report(const planner::Plan& plan, const hwdb::RuntimeReport& run,
                             const planner::Verification& verification) {
  report::Report report;
  report.command = "verify";
  Section head;
  head.sentences = {Cell(run_sentence(run)), Cell(verdict_sentence(verification))};
  if (verification.worst_total) {
    head.lines.push_back({"worst_total", "", Cell("", *verification.worst_total)});
  }
  report.sections.push_back(std::move(head));
  report.sections.push_back(settings_section(plan, run));
  report.sections.push_back(rows_section(plan, verification));
  if (Section why = reasons_section(plan, verification); !why.lines.empty()) {
    report.sections.push_back(std::move(why));
  }
  Section notes;
  notes.title = "Notes";
  notes.notes = verification.notes;
  notes.notes.insert(notes.notes.end(), run.notes.begin(), run.notes.end());
  if (!run.untold.empty()) {
    std::string text = "Not told: ";
    for (std::size_t i = 0; i < run.untold.size(); ++i) {
      text += fmt::format("{}{}", i == 0 ? "" : ", ", run.untold[i]);
    }
    notes.notes.push_back(text + ".");
  }
  if (!notes.notes.empty()) report.sections.push_back(std::move(notes));
  return report;
}

}  // namespace cli
