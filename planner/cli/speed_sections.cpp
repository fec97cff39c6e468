// SPDX-License-Identifier: MIT
#include "planner/cli/speed_sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "planner/cli/describe.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using planner::Bound;
using report::Align;
using report::Cell;
using report::Section;
using report::Table;

/// Tokens of the workload's prompt that are not in the cache yet.
double new_tokens(const planner::Workload& w) {
  return std::max(1.0, std::round(w.n_prompt * (1 - std::clamp(w.cached_fraction, 0.0, 1.0))));
}

std::string sequences(std::uint32_t n) {
  return n == 1 ? "1 sequence" : fmt::format("{} sequences", n);
}

std::string situation_words(const std::string& situation) {
  if (situation.empty()) return "of any kind";
  if (situation == "plain") return "dense models on one GPU";
  if (situation == "depth") return "behind a long context";
  if (situation == "several_gpus") return "on several GPUs";
  if (situation == "experts") return "models with experts";
  if (situation == "offload") return "partly in RAM";
  if (situation == "cpu") return "on processors";
  if (situation == "batch") return "several sequences";
  return situation;
}

/// A line that says it of both phases when it is the same.
void add_band_lines(const std::string& decode, const std::string& prefill, Section* section) {
  if (decode == prefill) {
    section->lines.push_back({"", "90 % bands", decode});
    return;
  }
  section->lines.push_back({"", "band of decode", decode});
  section->lines.push_back({"", "band of prefill", prefill});
}

std::string_view kind_words(planner::TimeTerm::Kind kind) {
  using Kind = planner::TimeTerm::Kind;
  switch (kind) {
    case Kind::weights:
      return "weights";
    case Kind::experts:
      return "experts";
    case Kind::output:
      return "output matrix";
    case Kind::cache:
      return "attention";
    case Kind::activations:
      return "activations";
    case Kind::link:
      return "transfer";
    case Kind::dispatch:
      return "dispatch";
    case Kind::draft:
      return "drafting";
    case Kind::pass:
      return "each pass";
  }
  return "";
}

struct Arithmetic {
  std::string amount, ceiling, reached;
};

/// amount / (ceiling x reached) is the time; for overheads number x time of each.
Arithmetic arithmetic_of(const planner::TimeTerm& term) {
  const double ceiling = term.factor > 0 ? term.rate / term.factor : term.rate;
  switch (term.bound) {
    case Bound::overhead:
      return {fmt::format("{:.{}f}", term.amount, term.amount == std::round(term.amount) ? 0 : 1),
              term.amount > 0 ? report::seconds_text(term.seconds / term.amount) + " each" : "",
              ""};
    case Bound::compute:
      return {term.amount >= 1e12 ? fmt::format("{:.2f} TFLOP", term.amount / 1e12)
                                  : fmt::format("{:.2f} GFLOP", term.amount / 1e9),
              hwdb::format_flops_rate(hwdb::FlopsPerSecond(ceiling)),
              fmt::format("{:.2f}", term.factor)};
    case Bound::memory:
    case Bound::link:
      break;
  }
  return {report::decimal_bytes(term.amount), hwdb::format_bandwidth(hwdb::BytesPerSecond(ceiling)),
          fmt::format("{:.2f}", term.factor)};
}

/// Micro-batches of different sizes run at different rates: one line a kind, at their mean rate.
std::vector<planner::TimeTerm> by_kind(const std::vector<planner::TimeTerm>& terms) {
  std::vector<planner::TimeTerm> sums;
  for (const planner::TimeTerm& term : terms) {
    if (term.seconds <= 0) continue;
    const auto same = std::ranges::find_if(sums, [&](const planner::TimeTerm& sum) {
      return sum.kind == term.kind && sum.device == term.device && sum.bound == term.bound;
    });
    if (same == sums.end()) {
      sums.push_back(term);
      continue;
    }
    const double ceiling = same->factor > 0 ? same->rate / same->factor : same->rate;
    same->amount += term.amount;
    same->seconds += term.seconds;
    same->rate = same->amount / same->seconds;
    if (ceiling > 0) same->factor = same->rate / ceiling;
  }
  return sums;
}

/// A column of a context's depths for programs that read CSV.
struct DepthColumn {
  std::string_view key;
  double share = 0;  // of the context
  planner::Estimate planner::SpeedAtDepth::*speed;
};
constexpr std::array kDepthColumns = {
    DepthColumn{"prefill_empty_tok_per_s", 0, &planner::SpeedAtDepth::prefill_tok_per_s},
    DepthColumn{"prefill_half_tok_per_s", 0.5, &planner::SpeedAtDepth::prefill_tok_per_s},
    DepthColumn{"prefill_full_tok_per_s", 1, &planner::SpeedAtDepth::prefill_tok_per_s},
    DepthColumn{"decode_empty_tok_per_s", 0, &planner::SpeedAtDepth::decode_tok_per_s},
    DepthColumn{"decode_half_tok_per_s", 0.5, &planner::SpeedAtDepth::decode_tok_per_s},
    DepthColumn{"decode_full_tok_per_s", 1, &planner::SpeedAtDepth::decode_tok_per_s},
};

/// The speed at that share of the context; null where the plan has none.
const planner::SpeedAtDepth* at_share(const planner::Plan& plan, double share) {
  const auto& speeds = plan.speed_by_depth;
  if (speeds.empty()) return nullptr;
  return &speeds[static_cast<std::size_t>(share * static_cast<double>(speeds.size() - 1))];
}

hwdb::Json depths_json(const planner::Plan& plan) {
  hwdb::Json::Array depths;
  for (const planner::SpeedAtDepth& at : plan.speed_by_depth) {
    depths.emplace_back(
        hwdb::Json::Object{{"depth", static_cast<std::uint64_t>(at.depth)},
                           {"prefill_tok_per_s", report::estimate_json(at.prefill_tok_per_s)},
                           {"decode_tok_per_s", report::estimate_json(at.decode_tok_per_s)}});
  }
  return depths;
}

double total_seconds(const std::vector<planner::TimeTerm>& terms) {
  double seconds = 0;
  for (const planner::TimeTerm& term : terms) seconds += term.seconds;
  return seconds;
}

Section why_section(const char* title, const std::vector<planner::TimeTerm>& terms, double tokens,
                    const hwdb::Machine& machine) {
  Section section;
  section.title = title;
  const double total = total_seconds(terms);
  Table table;
  table.columns = {
      {.title = "what", .align = Align::left},
      {.title = "on", .align = Align::left, .priority = 1},
      {.title = "amount"},
      {.title = "/ ceiling", .priority = 2},
      {.title = "x reached", .priority = 2},
      {.title = "= ms"},
      {.title = "of all"},
  };
  for (const planner::TimeTerm& term : by_kind(terms)) {
    const Arithmetic figures = arithmetic_of(term);
    table.rows.push_back({std::string(kind_words(term.kind)), device_name(machine, term.device),
                          figures.amount, figures.ceiling, figures.reached,
                          report::milliseconds_text(term.seconds),
                          report::percent_text(total > 0 ? term.seconds / total : 0)});
  }
  table.rows.push_back({"together", "", "", "", "",
                        Cell(report::milliseconds_text(total), hwdb::Json(), report::Tone::strong),
                        report::percent_text(1)});
  section.tables.push_back(std::move(table));
  if (total > 0) {
    section.lines.push_back(
        {"", "that is",
         fmt::format("{} / {} ms = {} tok/s",
                     tokens == 1 ? "1 token" : fmt::format("{:.0f} tokens", tokens),
                     report::milliseconds_text(total), report::short_number(tokens / total))});
  }
  return section;
}

}  // namespace

std::vector<std::uint32_t> batches_up_to(std::uint32_t most) {
  std::vector<std::uint32_t> counts;
  for (std::uint64_t n = 1; n < most; n *= 2) counts.push_back(static_cast<std::uint32_t>(n));
  counts.push_back(std::max(1u, most));
  return counts;
}

void add_speed_columns(Table* table) {
  auto& columns = table->columns;
  columns.push_back({.key = "prefill_tok_per_s",
                     .title = "prefill",
                     .unit = "tok/s",
                     .priority = 3,
                     .estimate = true});
  columns.push_back(
      {.key = "decode_tok_per_s", .title = "decode", .unit = "tok/s", .estimate = true});
  columns.push_back({.title = "90 %", .unit = "band", .priority = 6});
  columns.push_back({.title = "empty", .unit = "tok/s", .priority = 7});
  columns.push_back({.title = "full", .unit = "tok/s", .priority = 1});
  columns.push_back(
      {.key = "ttft_s", .title = "first", .unit = "token", .priority = 1, .estimate = true});
  columns.push_back(
      {.key = "request_s", .title = "whole", .unit = "request", .priority = 1, .estimate = true});
  columns.push_back({.key = "speed_by_depth", .title = {}, .csv = false});
  for (const DepthColumn& column : kDepthColumns)
    columns.push_back({.key = std::string(column.key), .title = {}, .json = false});
}

void add_speed_cells(const planner::Plan& plan, std::vector<Cell>* row) {
  const bool known = plan.speed_known && plan.memory.fits != planner::Fits::no;
  if (!known) {
    row->insert(row->end(), {"-", "-", "", "-", "-", "-", "-"});
    row->resize(row->size() + 1 + kDepthColumns.size());
    return;
  }
  const planner::SpeedEstimate& speed = plan.speed;
  const auto decode_text = [&](double share) {
    const planner::SpeedAtDepth* at = at_share(plan, share);
    return Cell(at ? report::short_number(at->decode_tok_per_s.likely) : std::string("-"));
  };
  const auto seconds = [](const planner::Estimate& e) {
    return Cell(report::seconds_text(e.likely), report::estimate_json(e));
  };
  row->insert(row->end(),
              {report::estimate_cell(speed.prefill_tok_per_s),
               report::lettered_cell(speed.decode_tok_per_s),
               Cell(report::band_text(speed.decode_tok_per_s)), decode_text(0), decode_text(1),
               seconds(speed.ttft_s), seconds(speed.request_s), Cell("", depths_json(plan))});
  for (const DepthColumn& column : kDepthColumns) {
    const planner::SpeedAtDepth* at = at_share(plan, column.share);
    row->emplace_back("", at ? hwdb::Json((at->*column.speed).likely) : hwdb::Json());
  }
}

std::string speed_columns_words(const planner::Workload& workload,
                                const std::vector<hwdb::Basis>& used) {
  return fmt::format("Decode within a request of {}; full: behind a full context. Letters: {}.",
                     request_words(workload), report::basis_legend(used));
}

std::string request_words(const planner::Workload& w) {
  std::string words = fmt::format("{:.0f} + {:.0f} tokens", w.n_prompt, w.n_gen);
  if (w.cached_fraction > 0)
    words += fmt::format(", {:.3g} % of the prompt cached", 100 * w.cached_fraction);
  return words;
}

std::string band_words(const hwdb::SpeedAccuracyRow* accuracy, const planner::Estimate& estimate) {
  if (accuracy != nullptr) {
    return fmt::format("{} rows of {} devices left out of the fit ({}{}): median error {}",
                       accuracy->rows, accuracy->devices, situation_words(accuracy->situation),
                       accuracy->backend.empty() ? "" : ", " + accuracy->backend,
                       report::percent_text(accuracy->median_error));
  }
  if (estimate.basis == hwdb::Basis::calibrated || estimate.basis == hwdb::Basis::measured)
    return "what calibrating this machine left unexplained";
  return "a judgement: no measured rows were set apart for this";
}

Section speed_section(const planner::Plan& plan) {
  Section section;
  section.key = "speed";
  section.title = "Speed";
  Table table;
  table.key = "phases";
  table.columns = {
      {.key = "phase", .title = "", .align = Align::left},
      {.title = "phase", .align = Align::left},
      {.key = "value", .title = "likely", .estimate = true},
      {.title = "90 % band"},
      {.key = "unit", .title = "unit", .align = Align::left},
      {.key = "bound", .title = "limited by", .align = Align::left, .priority = 1},
  };
  const auto tokens_row = [&](const char* key, std::string name, const planner::Estimate& e,
                              Bound bound) {
    table.rows.push_back({key, std::move(name), report::lettered_cell(e), report::band_text(e),
                          "tok/s", std::string(to_string(bound))});
  };
  const auto seconds_row = [&](const char* key, std::string name, const planner::Estimate& e) {
    // Seconds choose their own unit: they run from microseconds to minutes.
    table.rows.push_back({key, std::move(name), report::seconds_cell(e), report::seconds_band(e),
                          Cell("", "s"), ""});
  };
  const planner::Workload& w = plan.scenario.workload;
  const planner::SpeedEstimate& speed = plan.speed;
  tokens_row("prefill",
             w.cached_fraction > 0
                 ? fmt::format("prefill of {:.0f} of {:.0f} tokens", new_tokens(w), w.n_prompt)
                 : fmt::format("prefill of {:.0f} tokens", w.n_prompt),
             speed.prefill_tok_per_s, speed.prefill_bound);
  seconds_row("ttft", "first token after", speed.ttft_s);
  tokens_row(
      "decode",
      w.batch > 1 ? fmt::format("decode, {} together", sequences(w.batch)) : std::string("decode"),
      speed.decode_tok_per_s, speed.decode_bound);
  if (w.batch > 1) {
    tokens_row("decode_each", "decode, each of them",
               planner::per_sequence(speed.decode_tok_per_s, w.batch), speed.decode_bound);
  }
  seconds_row("request", "the whole request", speed.request_s);
  section.tables.push_back(std::move(table));
  section.lines.push_back({"", "request", request_words(w)});
  add_band_lines(band_words(speed.decode_accuracy, speed.decode_tok_per_s),
                 band_words(speed.prefill_accuracy, speed.prefill_tok_per_s), &section);
  section.lines.push_back(
      {"", "letters",
       report::basis_legend({speed.prefill_tok_per_s.basis, speed.decode_tok_per_s.basis,
                             plan.energy.idle_w.basis, plan.energy.loaded_idle_w.basis,
                             plan.energy.prefill_w.basis, plan.energy.decode_w.basis})});
  return section;
}

Section depth_section(const planner::Plan& plan) {
  Section section;
  section.key = "speed_by_depth";
  const std::uint32_t batch = plan.scenario.workload.batch;
  section.title = batch > 1 ? fmt::format("Speed by context, {} together", sequences(batch))
                            : std::string("Speed by context");
  Table table;
  table.columns = {
      {.title = "tokens before", .align = Align::left},
      {.key = "depth", .title = ""},
      {.key = "prefill_tok_per_s", .title = "prefill", .unit = "tok/s", .estimate = true},
      {.title = "90 % band", .unit = "tok/s", .priority = 1},
      {.key = "decode_tok_per_s", .title = "decode", .unit = "tok/s", .estimate = true},
      {.title = "90 % band", .unit = "tok/s", .priority = 1},
  };
  const planner::RunSettings& settings = plan.scenario.settings;
  const std::uint64_t full = settings.n_ctx / std::max(1u, settings.n_seq);
  for (const planner::SpeedAtDepth& at : plan.speed_by_depth) {
    const auto depth = static_cast<std::uint64_t>(at.depth);
    std::string name = depth == 0 ? "none" : fmt::format("{}", depth);
    if (depth > 0 && depth == full / 2) name += " (half of the context)";
    if (depth > 0 && depth == full) name += " (all of it)";
    table.rows.push_back(
        {std::move(name), Cell("", depth), report::lettered_cell(at.prefill_tok_per_s),
         report::band_text(at.prefill_tok_per_s), report::lettered_cell(at.decode_tok_per_s),
         report::band_text(at.decode_tok_per_s)});
  }
  section.tables.push_back(std::move(table));
  const planner::SpeedAtDepth* deepest =
      plan.speed_by_depth.empty() ? nullptr : &plan.speed_by_depth.back();
  // Only where the depth has figures of its own.
  if (deepest != nullptr && (deepest->decode_accuracy != plan.speed.decode_accuracy ||
                             deepest->prefill_accuracy != plan.speed.prefill_accuracy)) {
    add_band_lines(band_words(deepest->decode_accuracy, deepest->decode_tok_per_s),
                   band_words(deepest->prefill_accuracy, deepest->prefill_tok_per_s), &section);
  }
  return section;
}

Section batch_section(const planner::Plan& plan) {
  Section section;
  section.key = "speed_by_batch";
  section.title = "Several at once";
  const planner::Workload& w = plan.scenario.workload;
  Table table;
  table.columns = {
      {.key = "n_seq", .title = "sequences"},
      {.key = "decode_tok_per_s", .title = "all together", .unit = "tok/s", .estimate = true},
      {.title = "90 % band", .unit = "tok/s", .priority = 1},
      {.key = "each_tok_per_s", .title = "each", .unit = "tok/s", .estimate = true},
  };
  for (const planner::SpeedAtBatch& at : plan.speed_by_batch) {
    table.rows.push_back({report::count_cell(at.n_seq), report::lettered_cell(at.decode_tok_per_s),
                          report::band_text(at.decode_tok_per_s),
                          report::lettered_cell(at.each_tok_per_s)});
  }
  section.tables.push_back(std::move(table));
  if (w.users > 1) {
    const std::uint32_t slots = std::max(1u, plan.scenario.settings.n_seq);
    section.lines.push_back(
        {"", fmt::format("{} users", w.users),
         w.users <= slots
             ? fmt::format("{} sequences are kept: nobody waits for another", slots)
             : fmt::format("{} {} kept: whoever comes while all are busy waits, up to {} a request",
                           sequences(slots), slots == 1 ? "is" : "are",
                           report::seconds_text(plan.speed.request_s.likely))});
  }
  return section;
}

std::vector<Section> speed_why_sections(const planner::Plan& plan, const hwdb::Machine& machine) {
  const planner::Workload& w = plan.scenario.workload;
  std::vector<Section> sections;
  sections.push_back(
      why_section("Why: one decode step", plan.speed.decode_terms, std::max(1u, w.batch), machine));
  sections.push_back(
      why_section("Why: one prefill", plan.speed.prefill_terms, new_tokens(w), machine));
  return sections;
}

}  // namespace cli
