// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "hwdb/names.h"
#include "planner/cli/commands.h"
#include "planner/report/figures.h"
#include "planner/tariff_price.h"

namespace cli {
namespace {

using hwdb::Json;
using report::Align;
using report::Cell;
using report::Table;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// True when every word of the filter begins a word of id, name or an alias; from four letters on
/// it may also stand inside one ("us" is not "Ausgrid", but "coder" is in "qwen2.5coder").
class Filter {
 public:
  explicit Filter(std::string_view text) {
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find(' ', begin), text.size());
      if (end > begin) words_.push_back(lower(text.substr(begin, end - begin)));
      begin = end + 1;
    }
  }
  bool matches(std::initializer_list<std::string_view> names,
               const std::vector<std::string>& aliases = {}) const {
    std::string all;
    for (const std::string_view name : names) all += lower(name) + '\n';
    for (const std::string& alias : aliases) all += lower(alias) + '\n';
    return std::ranges::all_of(words_,
                               [&](const std::string& word) { return stands_in(all, word); });
  }

 private:
  static bool stands_in(const std::string& all, const std::string& word) {
    for (std::size_t at = all.find(word); at != std::string::npos; at = all.find(word, at + 1)) {
      if (word.size() >= 4 || at == 0 || !std::isalnum(static_cast<unsigned char>(all[at - 1]))) {
        return true;
      }
    }
    return false;
  }

  std::vector<std::string> words_;
};

/// Figures of one row: those that nobody found in a source carry a "?".
class RowCells {
 public:
  explicit RowCells(const hwdb::RowOrigin& origin) : origin_(origin) {}

  bool doubtful(std::string_view member) const {
    return !origin_.verified ||
           std::ranges::find(origin_.unverified, member) != origin_.unverified.end();
  }
  template <class T>
  Cell figure(std::string_view member, const std::optional<T>& value, double scale = 1) const {
    if (!value) return Cell("-");
    const double v = static_cast<double>(*value);
    // Trailing zeros of three digits would claim more than the row says.
    // Programs get counts with all their digits.
    Json exact(v);
    if constexpr (std::is_integral_v<T>) exact = Json(std::uint64_t{*value});
    return {fmt::format("{:.4g}{}", v / scale, doubtful(member) ? "?" : ""), std::move(exact)};
  }
  Cell text(std::string_view member, const std::string& value) const {
    if (value.empty()) return Cell("-");
    return {value + (doubtful(member) ? "?" : ""), Json(value)};
  }
  Cell verified() const { return {"", Json(origin_.verified)}; }
  Cell unverified() const {
    Json::Array members;
    for (const std::string& member : origin_.unverified) members.emplace_back(member);
    return {"", Json(std::move(members))};
  }
  Cell source() const {
    return {"", Json(origin_.source.empty() ? std::string() : origin_.source.front())};
  }
  Cell as_of() const { return {origin_.as_of, Json(origin_.as_of)}; }

 private:
  const hwdb::RowOrigin& origin_;
};

void add_origin_columns(Table* table) {
  for (const char* key : {"verified", "unverified", "source"}) {
    table->columns.push_back({.key = key, .title = {}});
  }
}
void add_origin_cells(const RowCells& cells, std::vector<Cell>* row) {
  row->insert(row->end(), {cells.verified(), cells.unverified(), cells.source()});
}

std::string sizes_text(const std::vector<std::uint64_t>& sizes) {
  std::string text;
  for (const std::uint64_t size : sizes) {
    text +=
        fmt::format("{}{:.4g}", text.empty() ? "" : "/", static_cast<double>(size) / hwdb::kGiB);
  }
  return text;
}

Json sizes_json(const std::vector<std::uint64_t>& sizes) {
  Json::Array list;
  for (const std::uint64_t size : sizes) list.emplace_back(size);
  return list;
}

Cell sizes_cell(const RowCells& cells, const std::vector<std::uint64_t>& sizes) {
  if (sizes.empty()) return Cell("shared");
  return {sizes_text(sizes) + (cells.doubtful("memory_bytes") ? "?" : ""), sizes_json(sizes)};
}

Table list_gpus(const hwdb::Catalog& catalog, const Filter& filter) {
  Table table;
  table.columns = {
      {.key = "id", .title = {}},
      {.key = "name", .title = "GPU", .align = Align::left},
      {.key = "memory_bytes", .title = "memory", .unit = "GiB"},
      {.key = "mem_bw_bytes_per_s", .title = "bandwidth", .unit = "GB/s"},
      {.key = "peak_fp16_matrix_flops_per_s", .title = "fp16", .unit = "TFLOPS", .priority = 1},
      {.key = "tdp_watts", .title = "limit", .unit = "W"},
      {.key = "price_usd", .title = "price", .unit = "USD", .priority = 3},
      {.key = "release_year", .title = "year", .priority = 2},
      {.key = "kind", .title = "kind", .align = Align::left, .priority = 4},
  };
  add_origin_columns(&table);
  for (const hwdb::GpuRow& row : catalog.gpus()) {
    if (!filter.matches({row.id, row.name, row.vendor}, row.aliases)) continue;
    const RowCells cells(row.origin);
    const bool matrix = row.peak_fp16_matrix_flops_per_s.has_value();
    auto& out = table.rows.emplace_back();
    out = {row.id,
           row.name,
           sizes_cell(cells, row.memory_bytes),
           cells.figure("mem_bw_bytes_per_s", row.mem_bw_bytes_per_s, 1e9),
           matrix ? cells.figure("peak_fp16_matrix_flops_per_s", row.peak_fp16_matrix_flops_per_s,
                                 1e12)
                  : cells.figure("peak_fp16_flops_per_s", row.peak_fp16_flops_per_s, 1e12),
           cells.figure("tdp_watts", row.tdp_watts),
           cells.figure("price_usd", row.price_usd),
           cells.figure("release_year", row.release_year),
           row.form.empty() ? row.kind : row.form};
    add_origin_cells(cells, &out);
  }
  return table;
}

Table list_cpus(const hwdb::Catalog& catalog, const Filter& filter) {
  Table table;
  table.columns = {
      {.key = "id", .title = {}},
      {.key = "name", .title = "CPU", .align = Align::left},
      {.key = "cores", .title = "cores"},
      {.key = "memory_type", .title = "memory", .align = Align::left},
      {.key = "memory_rate_mt_per_s", .title = "rate", .unit = "MT/s", .priority = 2},
      {.key = "memory_channels", .title = "channels", .priority = 1},
      {.key = "mem_bw_bytes_per_s", .title = "bandwidth", .unit = "GB/s"},
      {.key = "tdp_watts", .title = "rated", .unit = "W"},
      {.key = "release_year", .title = "year", .priority = 3},
  };
  add_origin_columns(&table);
  for (const hwdb::CpuRow& row : catalog.cpus()) {
    if (!filter.matches({row.id, row.name, row.vendor}, row.aliases)) continue;
    const RowCells cells(row.origin);
    auto& out = table.rows.emplace_back();
    out = {row.id,
           row.name,
           cells.figure("cores", row.cores),
           cells.text("memory_type", row.memory_type),
           cells.figure("memory_rate_mt_per_s", row.memory_rate_mt_per_s),
           cells.figure("memory_channels", row.memory_channels),
           cells.figure("mem_bw_bytes_per_s", row.mem_bw_bytes_per_s, 1e9),
           cells.figure("tdp_watts", row.tdp_watts),
           cells.figure("release_year", row.release_year)};
    add_origin_cells(cells, &out);
  }
  return table;
}

Table list_models(const hwdb::Catalog& catalog, const Filter& filter) {
  Table table;
  table.columns = {
      {.key = "id", .title = "model", .align = Align::left},
      {.key = "params_total", .title = "size", .unit = "B params"},
      {.key = "params_active", .title = "active", .unit = "B params"},
      {.key = "n_layers", .title = "layers", .priority = 2},
      {.key = "n_ctx_train", .title = "context", .unit = "tokens"},
      {.key = "kind", .title = "kind", .align = Align::left, .priority = 1},
      {.key = "release", .title = "released", .align = Align::left, .priority = 3},
      {.key = "license", .title = "license", .align = Align::left, .priority = 4},
  };
  add_origin_columns(&table);
  for (const hwdb::ModelRow& row : catalog.models()) {
    if (!filter.matches({row.id, row.family}, row.aliases)) continue;
    const RowCells cells(row.origin);
    const hwdb::ModelShape& shape = row.shape;
    const std::string kind =
        fmt::format("{}{}{}", shape.n_experts > 0 ? "MoE" : "dense", shape.hybrid ? ", hybrid" : "",
                    shape.vision ? ", vision" : "");
    auto& out = table.rows.emplace_back();
    out = {row.id,
           cells.figure("params_total", row.params_total, 1e9),
           row.params_active == row.params_total
               ? Cell("", row.params_active ? Json(*row.params_active) : Json())
               : cells.figure("params_active", row.params_active, 1e9),
           cells.figure("n_layers", std::optional<std::uint32_t>(shape.n_layers)),
           shape.n_ctx_train ? report::context_cell(*shape.n_ctx_train) : Cell("-"),
           kind,
           cells.text("release", row.release),
           cells.text("license", row.license)};
    add_origin_cells(cells, &out);
  }
  return table;
}

Table list_quants(const hwdb::Catalog& catalog, const Filter& filter) {
  Table table;
  table.columns = {
      {.key = "id", .title = "quant", .align = Align::left},
      {.key = "default_type", .title = "main type", .align = Align::left},
      {.key = "bits_per_weight", .title = "bits", .unit = "per weight"},
      {.key = "imatrix", .title = "imatrix", .align = Align::left, .priority = 2},
      {.key = "words", .title = "in words", .align = Align::left, .priority = 1},
  };
  add_origin_columns(&table);
  for (const hwdb::PresetRow& row : catalog.presets()) {
    if (!filter.matches({row.id, row.default_type, row.words})) continue;
    const RowCells cells(row.origin);
    const hwdb::TensorFormat* format = hwdb::find_tensor_format(row.default_type);
    auto& out = table.rows.emplace_back();
    out = {row.id, row.default_type,
           format != nullptr
               ? Cell(fmt::format("{:.4g}", format->bits_per_weight()), format->bits_per_weight())
               : Cell("-"),
           row.imatrix, row.words};
    add_origin_cells(cells, &out);
  }
  for (const hwdb::FormatRow& row : catalog.formats()) {
    if (!filter.matches({row.id, row.runtime, row.words})) continue;
    const RowCells cells(row.origin);
    auto& out = table.rows.emplace_back();
    out = {row.id, row.runtime, cells.figure("bits_per_weight", row.bits_per_weight), "",
           row.words};
    add_origin_cells(cells, &out);
  }
  return table;
}

Table list_tariffs(const hwdb::Catalog& catalog, const Filter& filter) {
  Table table;
  table.columns = {
      {.key = "id", .title = "tariff", .align = Align::left},
      {.key = "name", .title = "name", .align = Align::left, .priority = 2},
      {.key = "price_per_kwh", .title = "price", .unit = "per kWh"},
      {.key = "currency", .title = "in", .align = Align::left},
      {.key = "kind", .title = "kind", .align = Align::left, .priority = 1},
      {.key = "effective_from", .title = "from", .align = Align::left},
  };
  add_origin_columns(&table);
  for (const hwdb::TariffRow& row : catalog.tariffs()) {
    if (!filter.matches({row.id, row.name, row.country, row.region}, row.aliases)) continue;
    const RowCells cells(row.origin);
    auto& out = table.rows.emplace_back();
    const double price = planner::marginal_price(row, 0);
    out = {row.id,
           row.name,
           Cell(fmt::format("{:.4g}{}", price, cells.doubtful("price_per_kwh") ? "?" : ""), price),
           row.currency,
           row.kind,
           row.effective_from};
    add_origin_cells(cells, &out);
  }
  return table;
}

Table list_apis(const hwdb::Catalog& catalog, const Filter& filter) {
  Table table;
  table.columns = {
      {.key = "id", .title = {}},
      {.key = "provider", .title = "provider", .align = Align::left},
      {.key = "name", .title = "model", .align = Align::left},
      {.key = "input_per_mtok", .title = "input", .unit = "per Mtok"},
      {.key = "cached_input_per_mtok", .title = "cached", .unit = "per Mtok", .priority = 1},
      {.key = "output_per_mtok", .title = "output", .unit = "per Mtok"},
      {.key = "currency", .title = "in", .align = Align::left},
      {.key = "as_of", .title = "price of", .align = Align::left, .priority = 2},
  };
  add_origin_columns(&table);
  for (const hwdb::ApiPriceRow& row : catalog.api_prices()) {
    if (!filter.matches({row.id, row.provider, row.model, row.name})) continue;
    const RowCells cells(row.origin);
    auto& out = table.rows.emplace_back();
    out = {row.id,
           row.provider,
           row.name.empty() ? row.model : row.name,
           cells.figure("input_per_mtok", std::optional<double>(row.input_per_mtok)),
           cells.figure("cached_input_per_mtok", row.cached_input_per_mtok),
           cells.figure("output_per_mtok", std::optional<double>(row.output_per_mtok)),
           row.currency,
           cells.as_of()};
    add_origin_cells(cells, &out);
  }
  return table;
}

Table list_links(const hwdb::Catalog& catalog, const Filter& filter) {
  Table table;
  table.columns = {
      {.key = "id", .title = {}},
      {.key = "name", .title = "link", .align = Align::left},
      {.key = "kind", .title = "kind", .align = Align::left, .priority = 1},
      {.key = "one_way_bytes_per_s", .title = "one way", .unit = "GB/s"},
      {.key = "practical_fraction", .title = "in practice", .unit = "share"},
  };
  add_origin_columns(&table);
  for (const hwdb::LinkRow& row : catalog.links()) {
    if (!filter.matches({row.id, row.name, row.kind})) continue;
    const RowCells cells(row.origin);
    auto& out = table.rows.emplace_back();
    out = {row.id, row.name, row.kind,
           cells.figure("one_way_bytes_per_s", std::optional<double>(row.one_way_bytes_per_s), 1e9),
           cells.figure("practical_fraction", std::optional<double>(row.practical_fraction))};
    add_origin_cells(cells, &out);
  }
  return table;
}

Table list_systems(const hwdb::Catalog& catalog, const Filter& filter) {
  Table table;
  table.columns = {
      {.key = "id", .title = {}},
      {.key = "name", .title = "system", .align = Align::left},
      {.key = "memory_bytes", .title = "memory", .unit = "GiB"},
      {.key = "idle_watts", .title = "idle", .unit = "W"},
      {.key = "max_watts", .title = "most", .unit = "W"},
      {.key = "price_usd", .title = "price", .unit = "USD", .priority = 1},
      {.key = "form", .title = "form", .align = Align::left, .priority = 2},
      {.key = "cpu_id", .title = "CPU", .align = Align::left, .priority = 3},
      {.key = "gpu_id", .title = "GPU", .align = Align::left, .priority = 4},
  };
  add_origin_columns(&table);
  for (const hwdb::SystemRow& row : catalog.systems()) {
    if (!filter.matches({row.id, row.name}, row.aliases)) continue;
    const RowCells cells(row.origin);
    auto& out = table.rows.emplace_back();
    out = {row.id,
           row.name,
           sizes_cell(cells, row.memory_bytes),
           cells.figure("idle_watts", row.idle_watts),
           cells.figure("max_watts", row.max_watts),
           cells.figure("price_usd", row.price_usd),
           row.form,
           row.cpu_id,
           row.gpu_id};
    add_origin_cells(cells, &out);
  }
  return table;
}

/// How far predictions lay from published speeds of devices that were left out of the fit.
Table list_accuracy(const hwdb::Catalog& catalog, const Filter& filter) {
  Table table;
  table.columns = {
      {.key = "id", .title = {}},
      {.key = "phase", .title = "phase", .align = Align::left},
      {.key = "situation", .title = "of", .align = Align::left},
      {.key = "backend", .title = "on", .align = Align::left},
      {.key = "rows", .title = {}},
      {.key = "devices", .title = {}},
      {.title = "rows of", .unit = "devices", .priority = 2},
      {.key = "median_error", .title = "error", .unit = "median"},
      {.key = "p90_error", .title = "error", .unit = "9 in 10"},
      {.key = "device_median_error", .title = "error", .unit = "device", .priority = 1},
      {.key = "low", .title = {}},
      {.key = "high", .title = {}},
      {.title = "90 % band"},
      {.key = "coverage", .title = "held", .priority = 3},
      {.key = "naive_median_error", .title = "naive", .unit = "median", .priority = 4},
      {.key = "naive_p90_error", .title = "naive", .unit = "9 in 10", .priority = 4},
  };
  add_origin_columns(&table);
  const auto percent = [](double share) { return Cell(report::percent_text(share), share); };
  const auto percent_or_none = [&](const std::optional<double>& share) {
    return share ? percent(*share) : Cell("-");
  };
  const auto word = [](const std::string& text) {
    return Cell(text.empty() ? "any" : text, Json(text));
  };
  for (const hwdb::SpeedAccuracyRow& row : catalog.speed_accuracy()) {
    if (!filter.matches({row.id, row.phase, row.backend, row.situation})) continue;
    auto& out = table.rows.emplace_back();
    out = {row.id,
           row.phase,
           word(row.situation),
           word(row.backend),
           report::count_cell(row.rows),
           report::count_cell(row.devices),
           fmt::format("{}/{}", row.rows, row.devices),
           percent(row.median_error),
           percent(row.p90_error),
           percent(row.device_median_error),
           Cell("", row.low),
           Cell("", row.high),
           fmt::format("{:.2f}-{:.2f}", row.low, row.high),
           percent(row.coverage),
           percent_or_none(row.naive_median_error),
           percent_or_none(row.naive_p90_error)};
    add_origin_cells(RowCells(row.origin), &out);
  }
  return table;
}

struct Named {
  std::string_view name;
  Table (*list)(const hwdb::Catalog&, const Filter&);
};
constexpr std::string_view kAccuracy = "accuracy";
constexpr std::array kTables = {
    Named{"gpus", list_gpus},     Named{"cpus", list_cpus},       Named{"models", list_models},
    Named{"quants", list_quants}, Named{"apis", list_apis},       Named{"tariffs", list_tariffs},
    Named{"links", list_links},   Named{"systems", list_systems}, Named{kAccuracy, list_accuracy},
};
constexpr std::string_view kMachines = "machines";

hwdb::Result<Table> list_machines(Session& session, const Filter& filter) {
  Table table;
  table.columns = {{.key = "name", .title = "saved machine", .align = Align::left}};
  if (hwdb::StateStore* store = session.store()) {
    auto names = store->list_machines();
    if (!names) return names.error();
    for (const std::string& name : *names) {
      if (filter.matches({name})) table.rows.push_back({name});
    }
  }
  return table;
}

}  // namespace

hwdb::Result<Outcome> cmd_list(Session& session) {
  const auto& arguments = session.options().arguments;
  const std::string& what = arguments.front();
  const std::string filter_text = arguments.size() > 1 ? arguments[1] : "";
  const Filter filter(filter_text);
  const auto named = std::ranges::find(kTables, std::string_view(what), &Named::name);
  Table table;
  if (what == kMachines) {
    auto machines = list_machines(session, filter);
    if (!machines) return machines.error();
    table = std::move(*machines);
  } else if (named != kTables.end()) {
    table = named->list(session.catalog(), filter);
  } else {
    std::vector<std::string> names;
    for (const Named& entry : kTables) names.emplace_back(entry.name);
    names.emplace_back(kMachines);
    const std::string hint = hwdb::nearest_hint(what, names, 1);
    return hwdb::Error{"usage.value",
                       fmt::format("unknown table \"{}\", {}", what,
                                   hint.empty() ? "expected " + hwdb::list_names(names) : hint),
                       {},
                       {}};
  }
  table.key = what;
  Outcome outcome;
  outcome.report.emplace();
  outcome.report->command = "list";
  report::Section section;
  const std::size_t rows = table.rows.size();
  bool doubts = false;
  for (const auto& row : table.rows) {
    doubts |= std::ranges::any_of(row, [](const Cell& cell) { return cell.text.ends_with('?'); });
  }
  if (rows == 0 && what == kAccuracy && filter_text.empty()) {
    section.sentences.emplace_back(
        "No table of accuracy is shipped: how far predicted speeds are off has not been judged.");
  } else if (rows == 0) {
    section.sentences.emplace_back(filter_text.empty()
                                       ? fmt::format("No {}.", what)
                                       : fmt::format("No {} match \"{}\".", what, filter_text));
  } else if (what == kAccuracy) {
    section.sentences.emplace_back(
        "Predicted speeds against published ones, each device left out of the fit that predicts "
        "it. Error: of one row in two, of nine in ten, and of a typical device. Band: "
        "measured over predicted, and the share of rows that it held. Naive: "
        "bandwidth / bytes x one constant on the same rows.");
  }
  section.tables.push_back(std::move(table));
  outcome.report->sections.push_back(std::move(section));
  if (!session.options().quiet && rows > 0) {
    report::Section tail;
    tail.sentences.push_back(
        {fmt::format("{} {}{}", rows,
                     what == kAccuracy ? (rows == 1 ? "row" : "rows")
                     : rows == 1       ? what.substr(0, what.size() - 1)
                                       : what,
                     doubts ? "; ? marks a figure that nobody found in a source" : ""),
         Json(), report::Tone::dim});
    outcome.report->sections.push_back(std::move(tail));
  }
  return outcome;
}

}  // namespace cli
