// SPDX-License-Identifier: MIT
#include "planner/cli/speed_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planner/report/figures.h"

namespace cli {
namespace {

using hwdb::Json;
using hwdb::SpeedReading;
using planner::SpeedComparison;
using report::Align;
using report::Cell;
using report::Tone;

std::string file_name(const std::string& path) {
  return path.substr(path.find_last_of("/\\") + 1);
}

Json terms_json(const SpeedComparison& one) {
  Json::Array list;
  for (const planner::TimeTerm& term : one.terms) {
    list.push_back(Json::Object{{"term", planner::to_string(term.kind)},
                                {"device", std::int64_t{term.device}},
                                {"amount", term.amount},
                                {"rate_per_s", term.rate},
                                {"seconds", term.seconds}});
  }
  return list;
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

std::string measured_text(const SpeedReading& reading) {
  std::string text = report::short_number(reading.tok_per_s);
  // As many digits as tell something.
  if (reading.deviation > 0) {
    text += fmt::format(" ± {:.1f} %", 100 * reading.deviation / reading.tok_per_s);
  }
  return text;
}

Tone tone_of(const SpeedComparison& one, double tolerance) {
  if (!one.reading.flaw.empty()) return Tone::dim;
  if (!one.inside_band()) return Tone::bad;
  return std::fabs(one.error()) > tolerance ? Tone::warn : Tone::good;
}

/// "2 of 3 measured speeds are inside the predicted band; the median error is 4 %."
std::string verdict(const std::vector<SpeedComparison>& comparisons) {
  std::vector<double> errors;
  std::size_t inside = 0, flawed = 0;
  for (const SpeedComparison& one : comparisons) {
    if (!one.reading.flaw.empty()) {
      ++flawed;
      continue;
    }
    errors.push_back(std::fabs(one.error()));
    inside += one.inside_band() ? 1 : 0;
  }
  if (errors.empty()) return "None of these speeds measures the machine.";
  std::ranges::sort(errors);
  const std::size_t half = errors.size() / 2;
  const double median =
      errors.size() % 2 == 1 ? errors[half] : (errors[half - 1] + errors[half]) / 2;
  std::string text = fmt::format(
      "{} of {} measured speeds {} inside the predicted band; the median error is {:.1f} %", inside,
      errors.size(), errors.size() == 1 ? "lies" : "lie", median * 100);
  if (flawed > 0) text += fmt::format("; {} more do not measure the machine", flawed);
  return text + ".";
}

}  // namespace

std::string reading_name(const SpeedReading& reading) {
  const bool is_decode = reading.test == SpeedReading::Test::decode;
  const std::uint32_t tokens = is_decode ? reading.n_gen : reading.n_prompt;
  std::string name = is_decode ? "tg" : "pp";
  if (tokens > 0) name += fmt::format("{}", tokens);
  if (reading.batch > 1) name += fmt::format(" x{}", reading.batch);
  if (reading.depth > 0) name += fmt::format(" @ d{}", reading.depth);
  return name;
}

report::Section speed_section(const std::vector<SpeedComparison>& comparisons, double tolerance) {
  const auto differ = [&](auto&& value) {
    return std::ranges::any_of(comparisons, [&](const SpeedComparison& one) {
      return value(one.reading) != value(comparisons.front().reading);
    });
  };
  const bool models = differ([](const SpeedReading& r) { return r.model; });
  const bool quants = !models && differ([](const SpeedReading& r) { return r.quant; });
  const bool flaws = std::ranges::any_of(
      comparisons, [](const SpeedComparison& one) { return !one.reading.flaw.empty(); });
  report::Section section;
  section.key = "speed";
  section.title = "Predicted and measured speed";
  section.sentences.emplace_back(verdict(comparisons));
  report::Table table;
  table.columns = {
      {.key = "model", .title = models ? "model" : "", .align = Align::left, .priority = 2},
      {.key = "quant", .title = quants ? "quant" : "", .align = Align::left, .priority = 1},
      {.key = "test", .title = "test", .align = Align::left},
      {.key = "measured_tok_per_s", .title = "measured", .unit = "tok/s"},
      {.key = "predicted_tok_per_s", .title = "predicted", .unit = "tok/s", .estimate = true},
      {.key = "error", .title = "error"},
      {.key = "inside_band", .title = "band", .align = Align::left},
      {.key = "flaw", .title = flaws ? "flaw" : "", .align = Align::left},
      {.key = "phase"},
      {.key = "n_prompt"},
      {.key = "n_gen"},
      {.key = "depth"},
      {.key = "batch"},
      {.key = "deviation_tok_per_s"},
      {.key = "samples_tok_per_s"},
      {.key = "predicted_s"},
      {.key = "terms"},
      {.key = "runtime"},
      {.key = "build"},
      {.key = "device"},
      {.key = "backend"},
      {.key = "measured_at"},
  };
  for (const SpeedComparison& one : comparisons) {
    const SpeedReading& r = one.reading;
    const Tone tone = tone_of(one, tolerance);
    const bool is_decode = r.test == SpeedReading::Test::decode;
    const auto count = [](std::uint32_t n) { return Cell("", Json(std::uint64_t{n})); };
    table.rows.push_back(
        {Cell(file_name(r.model), r.model),
         Cell(r.quant, text_or_null(r.quant)),
         Cell(reading_name(r)),
         Cell(measured_text(r), r.tok_per_s),
         Cell(report::with_band(one.predicted), report::estimate_json(one.predicted)),
         Cell(fmt::format("{:+.1f} %", one.error() * 100), one.error(), tone),
         Cell(one.inside_band() ? "inside" : "outside", one.inside_band(), tone),
         Cell(r.flaw, text_or_null(r.flaw)),
         Cell("", is_decode ? "decode" : "prefill"),
         count(r.n_prompt),
         count(r.n_gen),
         count(r.depth),
         count(r.batch),
         Cell("", r.deviation > 0 ? Json(r.deviation) : Json()),
         Cell("", Json::Array(r.samples.begin(), r.samples.end())),
         Cell("", one.seconds),
         Cell("", terms_json(one)),
         Cell("", r.runtime),
         Cell("", text_or_null(r.build)),
         Cell("", text_or_null(r.device)),
         Cell("", text_or_null(r.backend)),
         Cell("", text_or_null(r.measured_at))});
  }
  section.tables.push_back(std::move(table));
  Json::Array sentences;
  bool first = true;
  for (std::string& text : planner::off_terms(comparisons, tolerance)) {
    sentences.emplace_back(text);
    section.lines.push_back({"", first ? "which term is off" : "", Cell(std::move(text))});
    first = false;
  }
  section.lines.push_back({"off_terms", "", Cell("", std::move(sentences))});
  return section;
}

report::Section clock_section(const std::vector<probes::ClockAgreement>& agreements) {
  report::Section section;
  if (agreements.empty()) return section;
  section.key = "clocks";
  section.title = "Measured from outside against the server's own clock";
  report::Table table;
  table.columns = {{.key = "n_prompt", .title = "prompt", .unit = "tokens"},
                   {.key = "prefill", .title = "prefill"},
                   {.key = "decode", .title = "decode"}};
  for (const probes::ClockAgreement& one : agreements) {
    const auto gap = [](bool known, double value) {
      return known ? Cell(fmt::format("{:+.2f} %", value * 100), value) : Cell("-", Json());
    };
    table.rows.push_back({Cell(fmt::format("{}", one.n_prompt), std::uint64_t{one.n_prompt}),
                          gap(one.has_prefill, one.prefill), gap(one.has_decode, one.decode)});
  }
  section.tables.push_back(std::move(table));
  return section;
}

double worst_error(const std::vector<SpeedComparison>& comparisons) {
  double worst = 0;
  for (const SpeedComparison& one : comparisons) {
    if (one.reading.flaw.empty()) worst = std::max(worst, std::fabs(one.error()));
  }
  return worst;
}

}  // namespace cli
