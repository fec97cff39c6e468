// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "hwdb/names.h"
#include "planner/cli/commands.h"
#include "planner/cli/describe.h"
#include "planner/report/figures.h"
#include "planner/tariff_price.h"

namespace cli {
namespace {

using planner::kHoursPerMonth;
using report::Align;
using report::Cell;

/// Power of the ceiling: the GPUs at their limits, else the processors at their rated watts.
struct Ceiling {
  double watts = 0;
  std::string words;
};
Ceiling ceiling_of(const hwdb::Machine& machine) {
  Ceiling ceiling;
  for (const hwdb::GpuInfo& gpu : machine.gpus) {
    if (!gpu.power_limit) continue;
    ceiling.watts += gpu.power_limit->value.value;
    ceiling.words += fmt::format("{}{} at its {:.0f} W limit", ceiling.words.empty() ? "" : ", ",
                                 short_name(gpu.name), gpu.power_limit->value.value);
  }
  if (ceiling.watts == 0 && machine.cpu.tdp) {
    ceiling.watts = machine.cpu.tdp->value.value;
    ceiling.words = fmt::format("{} at its rated {:.0f} W", machine.cpu.name, ceiling.watts);
  }
  return ceiling;
}

struct Row {
  std::string what;
  double watts = 0, hours = 0;
};

report::Table duty_table(const std::vector<Row>& rows, const hwdb::TariffRow& tariff,
                         double price) {
  report::Table table;
  table.key = "duties";
  table.columns = {
      {.key = "what", .title = "what", .align = Align::left},
      {.key = "power_w", .title = "power", .unit = "W"},
      {.key = "hours", .title = "hours", .unit = "a month"},
      {.key = "kwh", .title = "energy", .unit = "kWh"},
      {.key = "price_per_kwh",
       .title = "price",
       .unit = fmt::format("{}/kWh", tariff.currency),
       .priority = 1},
      {.key = "cost", .title = "cost", .unit = fmt::format("{}/month", tariff.currency)},
  };
  for (const Row& row : rows) {
    const double kwh = row.watts * row.hours / 1000;
    const double cost = planner::cost_of(hwdb::Watts(row.watts), row.hours, tariff);
    // Tiered tariffs have another price for every quantity.
    const double mean = kwh > 0 ? cost / kwh : price;
    table.rows.push_back({row.what, Cell(report::short_number(row.watts), row.watts),
                          Cell(fmt::format("{:.4g}", row.hours), row.hours),
                          Cell(report::short_number(kwh), kwh),
                          Cell(fmt::format("{:.4g}", mean), mean),
                          Cell(report::money_text(cost), cost, report::Tone::strong)});
  }
  return table;
}

/// A model's name without the words that offers add to it: tuning, packaging, publisher.
std::string bare_name(const std::string& text) {
  constexpr std::array<std::string_view, 10> kAdded = {
      "instruct", "it", "chat", "instant", "versatile", "turbo", "lite", "fp8", "meta", "maas"};
  std::vector<std::string> words = hwdb::name_words(text);
  std::erase_if(words, [&](const std::string& word) {
    return std::ranges::find(kAdded, std::string_view(word)) != kAdded.end();
  });
  return hwdb::join_words(words);
}

/// API offers of the same model: what the month's tokens would cost there.
report::Section api_section(const hwdb::Catalog& catalog, const hwdb::ModelRow& model,
                            const planner::Workload& w, const planner::CostEstimate& own) {
  report::Section section;
  section.key = "api";
  section.title = "The same tokens from an API";
  report::Table table;
  table.key = "offers";
  table.columns = {
      {.key = "offer", .title = "offer", .align = Align::left},
      {.key = "input_per_mtok", .title = "input", .unit = "per Mtok"},
      {.key = "output_per_mtok", .title = "output", .unit = "per Mtok"},
      {.key = "cost_per_month", .title = "a month"},
      {.key = "currency", .title = "", .align = Align::left},
      {.title = "currency", .align = Align::left},
      {.key = "as_of", .title = "price of", .align = Align::left, .priority = 1},
  };
  std::vector<std::string> names = model.aliases;
  names.push_back(model.id);
  const double requests = w.requests_per_day * 30;
  for (const hwdb::ApiPriceRow& row : catalog.api_prices()) {
    const std::string offered = bare_name(row.model.substr(row.model.find_last_of('/') + 1));
    const bool same = std::ranges::any_of(
        names, [&](const std::string& name) { return bare_name(name) == offered; });
    if (!same) continue;
    const double cached = row.cached_input_per_mtok ? w.cached_fraction : 0;
    const double input = w.n_prompt * ((1 - cached) * row.input_per_mtok +
                                       cached * row.cached_input_per_mtok.value_or(0));
    const double cost = requests * (input + w.n_gen * row.output_per_mtok) / 1e6;
    table.rows.push_back(
        {fmt::format("{} {}", row.provider, row.name.empty() ? row.model : row.name),
         Cell(report::money_text(row.input_per_mtok), row.input_per_mtok),
         Cell(report::money_text(row.output_per_mtok), row.output_per_mtok),
         Cell(report::money_text(cost), cost), Cell("", row.currency), row.currency,
         row.origin.as_of});
  }
  if (table.rows.empty()) {
    section.sentences.emplace_back("No price of this model is in the catalogue.");
  } else {
    section.sentences.emplace_back(fmt::format(
        "Electricity alone is {} {} a month for {:.0f} requests of {:.0f} + {:.0f} tokens.",
        report::money_text(own.cost_per_month.likely), own.currency, requests, w.n_prompt,
        w.n_gen));
  }
  section.tables.push_back(std::move(table));
  return section;
}

}  // namespace

hwdb::Result<Outcome> cmd_bill(Session& session) {
  const Options& options = session.options();
  auto machine = session.machine(options.on);
  if (!machine) return machine.error();
  auto tariff = session.tariff(options.tariff);
  if (!tariff) return tariff.error();
  const double price = planner::marginal_price(**tariff, 0);

  Outcome outcome;
  outcome.report.emplace();
  report::Report& report = *outcome.report;
  report.command = "bill";
  report::Section head;
  head.lines = {{"on", "", Cell("", (*machine)->name)},
                {"tariff", "", Cell("", (*tariff)->id)},
                {"currency", "", Cell("", (*tariff)->currency)}};

  Ceiling ceiling = ceiling_of(**machine);
  if (options.watts) ceiling = {*options.watts, fmt::format("{:.4g} W", *options.watts)};
  std::vector<Row> rows;
  if (ceiling.watts > 0) {
    rows.push_back({fmt::format("{}, all month", ceiling.words), ceiling.watts, kHoursPerMonth});
    head.sentences.push_back({fmt::format("{:.4g} W x {:.0f} h x {:.4g} {} = {} {}", ceiling.watts,
                                          kHoursPerMonth, price, (*tariff)->currency,
                                          report::money_text(planner::marginal_cost(
                                              **tariff, ceiling.watts * kHoursPerMonth / 1000)),
                                          (*tariff)->currency),
                              hwdb::Json(), report::Tone::strong});
  } else {
    head.sentences.emplace_back(
        "The power limit of this machine is not known; give it as --watts.");
  }
  report::Section api;
  if (!options.full_power) {
    const std::string model = options.arguments.empty() ? "" : options.arguments.front();
    const planner::Workload& w = options.workload;
    if (model.empty()) {
      const double loaded = (*machine)->base_idle.value.value;
      double idle = loaded;
      for (const hwdb::GpuInfo& gpu : (*machine)->gpus) {
        idle += gpu.idle ? gpu.idle->value.value : 0;
      }
      rows.push_back({"at rest, all month", idle, kHoursPerMonth});
      rows.push_back(
          {fmt::format("at rest, {:.4g} h a day", w.hours_per_day), idle, w.hours_per_day * 30});
      if (ceiling.watts > 0) {
        rows.push_back({fmt::format("full power, {:.4g} h a day", w.hours_per_day), ceiling.watts,
                        w.hours_per_day * 30});
      }
    } else {
      auto plan = session.plan(session.scenario(model));
      if (!plan) return plan.error();
      if (plan->memory.fits == planner::Fits::no || !plan->speed_known) {
        outcome.warnings.push_back(
            fmt::format("{}: no duty can be worked out, {}", model,
                        plan->speed_known ? "it does not fit" : "its speed is not known"));
      } else {
        const planner::CostEstimate& cost = plan->cost;
        rows.push_back(
            {"model loaded, waiting", plan->energy.loaded_idle_w.likely, cost.loaded_idle_hours});
        rows.push_back({"reading prompts", plan->energy.prefill_w.likely, cost.prefill_hours});
        rows.push_back({"writing answers", plan->energy.decode_w.likely, cost.decode_hours});
        head.sentences.emplace_back(fmt::format(
            "{} {} as {}: {:.4g} h a day, {:.6g} requests a day: {} kWh, {} {} a month ({}-{}).",
            plan->model_name, plan->quant, w.use, w.hours_per_day, w.requests_per_day,
            report::short_number(cost.kwh_per_month.likely),
            report::money_text(cost.cost_per_month.likely), cost.currency,
            report::money_text(cost.cost_per_month.low),
            report::money_text(cost.cost_per_month.high)));
        head.lines.push_back(
            {"cost_per_month", "", Cell("", report::estimate_json(cost.cost_per_month))});
        head.lines.push_back(
            {"kwh_per_month", "", Cell("", report::estimate_json(cost.kwh_per_month))});
        if (auto row = session.catalog().find_model(model)) {
          api = api_section(session.catalog(), **row, w, cost);
        }
      }
    }
  }
  head.tables.push_back(duty_table(rows, **tariff, price));
  head.notes.push_back(fmt::format("tariff {}: {}{}", (*tariff)->id, (*tariff)->name,
                                   (*tariff)->effective_from.empty()
                                       ? ""
                                       : fmt::format(", from {}", (*tariff)->effective_from)));
  report.sections.push_back(std::move(head));
  if (!api.key.empty()) report.sections.push_back(std::move(api));
  return outcome;
}

}  // namespace cli
