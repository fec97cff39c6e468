// SPDX-License-Identifier: MIT
#include "planner/cli/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/run/statistics.h"
#include "planner/cli/version.h"
#include "planner/report/escape.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using hwdb::Json;
using report::Align;
using report::Cell;
using report::Column;

std::vector<double> seconds_of(const BenchRow& row) {
  std::vector<double> out;
  for (const std::uint64_t ns : row.samples.samples_ns)
    out.push_back(static_cast<double>(ns) / 1e9);
  return out;
}

std::string size_text(std::uint64_t bytes) {
  const auto b = static_cast<double>(bytes);
  return b >= hwdb::kGiB ? fmt::format("{:.2f} GiB", b / hwdb::kGiB)
                         : fmt::format("{:.2f} MiB", b / hwdb::kMiB);
}

std::string params_text(std::uint64_t n) {
  const auto p = static_cast<double>(n);
  return p >= 1e9 ? fmt::format("{:.2f} B", p / 1e9) : fmt::format("{:.2f} M", p / 1e6);
}

std::string speed_text(const BenchFigures& f) {
  return fmt::format("{:.2f} ± {:.2f}", f.mean, f.deviation);
}

Json numbers(const std::vector<double>& values) {
  return Json::Array(values.begin(), values.end());
}

/// llama-bench's fields in its order. What it has for other backends says "none of it" here.
Json::Object llama_bench_fields(const BenchRow& row, const BenchMachine& machine) {
  const BenchFigures f = figures_of(row, machine);
  const std::vector<double> seconds = seconds_of(row);
  const auto whole_ns = [](double s) { return static_cast<std::uint64_t>(s * 1e9 + 0.5); };
  return {
      {"build_commit", "tokwatt " + std::string(kVersion)},
      {"build_number", 0},
      {"cpu_info", machine.cpu},
      {"gpu_info", ""},
      {"backends", "CPU"},
      {"model_filename", row.path},
      {"model_type", row.model_type},
      {"model_size", row.model_bytes},
      {"model_n_params", row.n_params},
      {"n_batch", std::uint64_t{row.what.test.n_batch}},
      {"n_ubatch", std::uint64_t{row.what.n_ubatch}},
      {"n_threads", std::uint64_t{row.what.n_threads}},
      {"cpu_mask", "0x0"},
      {"cpu_strict", true},
      {"poll", 50},
      {"type_k", row.what.type_k},
      {"type_v", row.what.type_v},
      {"n_gpu_layers", 0},
      {"n_cpu_moe", 0},
      {"split_mode", "none"},
      {"main_gpu", 0},
      {"no_kv_offload", false},
      {"flash_attn", 1},
      {"devices", "none"},
      {"tensor_split", "0.00"},
      {"tensor_buft_overrides", "none"},
      {"load_mode", machine.mapped ? "mmap" : "none"},
      {"lazy_mode", "off"},
      {"embeddings", false},
      {"no_op_offload", 0},
      {"no_host", false},
      {"fit_target", 0},
      {"fit_min_ctx", 0},
      {"n_prompt", std::uint64_t{row.what.test.n_prompt}},
      {"n_gen", std::uint64_t{row.what.test.n_gen}},
      {"n_depth", std::uint64_t{row.what.test.n_depth}},
      {"test_time", row.test_time},
      {"avg_ns", whole_ns(engine::mean_of(seconds))},
      {"stddev_ns", whole_ns(engine::deviation_of(seconds))},
      {"avg_ts", f.mean},
      {"stddev_ts", f.deviation},
      {"samples_ns", Json::Array(row.samples.samples_ns.begin(), row.samples.samples_ns.end())},
      {"samples_ts", numbers(f.tok_per_s)},
  };
}

/// What llama-bench does not have.
Json::Object own_fields(const BenchRow& row, const BenchMachine& machine) {
  const BenchFigures f = figures_of(row, machine);
  const engine::OpCounts& counts = row.samples.counts;
  Json::Array outliers;
  for (std::size_t i = 0; i < f.outliers.size(); ++i) {
    if (f.outliers[i]) outliers.emplace_back(static_cast<std::uint64_t>(i));
  }
  const bool measured = machine.bandwidth && machine.bandwidth->basis == hwdb::Basis::measured;
  Json share, share_reason;
  if (f.bandwidth_share) {
    share = *f.bandwidth_share;
  } else {
    share_reason = measured ? "no runs" : "not measured: tokwatt probe --measure";
  }
  return {
      {"test", test_name(row.what.test)},
      {"n_parallel", std::uint64_t{row.what.test.n_seq}},
      {"storage", machine.mapped ? "mapped" : "repacked"},
      {"isa", machine.isa},
      {"median_ts", f.median},
      {"warm_up_ns", row.samples.warm_up_ns},
      {"outliers", std::move(outliers)},
      {"moved_bytes", counts.bytes()},
      {"weight_bytes_read", counts.weight_bytes_read},
      {"cache_bytes_read", counts.cache_bytes_read},
      {"cache_bytes_written", counts.cache_bytes_written},
      {"flops", counts.flops},
      {"moved_bytes_per_s", f.bytes_per_s},
      {"flops_per_s", f.flops_per_s},
      {"bandwidth_share", std::move(share)},
      {"bandwidth_share_reason", std::move(share_reason)},
  };
}

std::string csv_value(const Json& value) {
  // llama-bench writes truth values as 0 and 1, and quotes everything.
  if (const auto truth = value.as_bool()) return *truth ? "\"1\"" : "\"0\"";
  const std::string* text = value.as_string();
  std::string out = "\"";
  for (const char c : text != nullptr ? *text : hwdb::write_json(value)) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string csv_document(const std::vector<BenchRow>& rows, const BenchMachine& machine) {
  std::string out;
  for (const BenchRow& row : rows) {
    const Json::Object fields = llama_bench_fields(row, machine);
    std::string names, values;
    for (const auto& [key, value] : fields) {
      if (value.is_array()) continue;
      names += (names.empty() ? "" : ",") + key;
      values += (values.empty() ? "" : ",") + csv_value(value);
    }
    if (out.empty()) out = names + "\n";
    out += values + "\n";
  }
  return out;
}

/// One column of the table in Markdown; negative width: left.
struct MarkdownColumn {
  std::string title;
  int width = 10;
  bool left = false;
  std::string (*text)(const BenchRow&, const BenchFigures&);
  bool shown = true;
};

std::string markdown_document(const std::vector<BenchRow>& rows, const BenchMachine& machine) {
  const auto any = [&](auto&& differs) { return std::ranges::any_of(rows, differs); };
  const std::array<MarkdownColumn, 11> columns = {{
      {"model", 30, true, [](const BenchRow& r, const BenchFigures&) { return r.model_type; }},
      {"size", 10, false,
       [](const BenchRow& r, const BenchFigures&) { return size_text(r.model_bytes); }},
      {"params", 10, false,
       [](const BenchRow& r, const BenchFigures&) { return params_text(r.n_params); }},
      {"backend", 10, true,
       [](const BenchRow&, const BenchFigures&) { return std::string("CPU"); }},
      {"threads", 7, false,
       [](const BenchRow& r, const BenchFigures&) { return fmt::format("{}", r.what.n_threads); }},
      {"n_batch", 7, false,
       [](const BenchRow& r, const BenchFigures&) {
         return fmt::format("{}", r.what.test.n_batch);
       },
       any([](const BenchRow& r) { return r.what.test.n_batch != 2048; })},
      {"n_ubatch", 8, false,
       [](const BenchRow& r, const BenchFigures&) { return fmt::format("{}", r.what.n_ubatch); },
       any([](const BenchRow& r) { return r.what.n_ubatch != 512; })},
      {"type_k", 6, false, [](const BenchRow& r, const BenchFigures&) { return r.what.type_k; },
       any([](const BenchRow& r) { return r.what.type_k != "f16"; })},
      {"type_v", 6, false, [](const BenchRow& r, const BenchFigures&) { return r.what.type_v; },
       any([](const BenchRow& r) { return r.what.type_v != "f16"; })},
      {"test", 15, false,
       [](const BenchRow& r, const BenchFigures&) { return test_name(r.what.test); }},
      {"t/s", 20, false, [](const BenchRow&, const BenchFigures& f) { return speed_text(f); }},
  }};
  std::string head = "|", line = "|", body;
  const auto padded = [](const std::string& text, const MarkdownColumn& column) {
    const std::string safe = report::escape_terminal(text);
    const std::size_t wide = report::display_width(safe);
    const auto width = static_cast<std::size_t>(column.width);
    const std::string pad(wide < width ? width - wide : 0, ' ');
    return " " + (column.left ? safe + pad : pad + safe) + " |";
  };
  for (const MarkdownColumn& column : columns) {
    if (!column.shown) continue;
    head += padded(column.title, column);
    const auto width = static_cast<std::size_t>(column.width);
    line +=
        " " + (column.left ? std::string(width, '-') : std::string(width - 1, '-') + ":") + " |";
  }
  for (const BenchRow& row : rows) {
    const BenchFigures figures = figures_of(row, machine);
    body += "|";
    for (const MarkdownColumn& column : columns) {
      if (column.shown) body += padded(column.text(row, figures), column);
    }
    body += "\n";
  }
  return fmt::format("{}\n{}\n{}\nbuild: tokwatt {}\n", head, line, body, kVersion);
}

Json all_fields(const BenchRow& row, const BenchMachine& machine) {
  Json::Object fields = llama_bench_fields(row, machine);
  Json::Object own = own_fields(row, machine);
  fields.insert(fields.end(), own.begin(), own.end());
  return fields;
}

}  // namespace

std::string model_type_of(const hwdb::ModelCosts& costs) {
  const auto n = costs.params_total;
  return fmt::format("{} {} {}", costs.shape.architecture,
                     n >= 1e9 ? fmt::format("{:.2f}B", n / 1e9) : fmt::format("{:.2f}M", n / 1e6),
                     costs.quant);
}

BenchFigures figures_of(const BenchRow& row, const BenchMachine& machine) {
  BenchFigures f;
  const std::vector<double> seconds = seconds_of(row);
  const auto tokens = static_cast<double>(row.what.test.n_tokens());
  for (const double s : seconds) f.tok_per_s.push_back(tokens / s);
  f.mean = engine::mean_of(f.tok_per_s);
  f.deviation = engine::deviation_of(f.tok_per_s);
  f.median = engine::median_of(f.tok_per_s);
  f.outliers = engine::find_outliers(seconds);
  const double median_seconds = engine::median_of(seconds);
  if (!(median_seconds > 0)) return f;
  f.bytes_per_s = row.samples.counts.bytes() / median_seconds;
  f.flops_per_s = row.samples.counts.flops / median_seconds;
  if (machine.bandwidth && machine.bandwidth->basis == hwdb::Basis::measured)
    f.bandwidth_share = f.bytes_per_s / machine.bandwidth->value.value;
  return f;
}

report::Section bench_section(const std::vector<BenchRow>& rows, const BenchMachine& machine,
                              bool wide) {
  const auto differ = [&](auto&& value) {
    return std::ranges::any_of(rows,
                               [&](const BenchRow& r) { return value(r) != value(rows.front()); });
  };
  const bool models = wide || differ([](const BenchRow& r) { return r.path; });
  const bool threads = wide || differ([](const BenchRow& r) { return r.what.n_threads; });
  const bool batches = differ([](const BenchRow& r) { return r.what.test.n_batch; });
  const bool ubatches = differ([](const BenchRow& r) { return r.what.n_ubatch; });
  const bool caches = differ([](const BenchRow& r) { return r.what.type_k + r.what.type_v; });
  const auto column = [](bool shown, const char* title, Align align = Align::right,
                         int priority = 0, const char* unit = "") {
    return Column{.title = shown ? title : "", .unit = unit, .align = align, .priority = priority};
  };
  report::Table table;
  table.key = "tests";
  table.columns = {column(models, "model", Align::left, 5),
                   column(models, "size", Align::right, 7),
                   column(models, "params", Align::right, 8),
                   column(wide, "backend", Align::left, 9),
                   column(threads, "threads"),
                   column(batches, "batch"),
                   column(ubatches, "ubatch"),
                   column(caches, "cache", Align::left),
                   column(true, "test", Align::left),
                   column(true, "t/s"),
                   column(true, "median", Align::right, 1),
                   column(true, "moved", Align::right, 2, "GB/s"),
                   column(machine.bandwidth && machine.bandwidth->basis == hwdb::Basis::measured,
                          "of memory", Align::right, 3),
                   column(true, "GFLOP/s", Align::right, 4),
                   column(true, "outliers", Align::right, 6)};
  for (const BenchRow& row : rows) {
    const BenchFigures f = figures_of(row, machine);
    const auto far = std::ranges::count(f.outliers, true);
    std::vector<Cell> cells = {
        row.model_type,
        size_text(row.model_bytes),
        params_text(row.n_params),
        "CPU",
        fmt::format("{}", row.what.n_threads),
        fmt::format("{}", row.what.test.n_batch),
        fmt::format("{}", row.what.n_ubatch),
        row.what.type_k == row.what.type_v ? row.what.type_k
                                           : row.what.type_k + "/" + row.what.type_v,
        test_name(row.what.test),
        row.samples.samples_ns.empty() ? Cell("-") : Cell(speed_text(f)),
        report::short_number(f.median),
        fmt::format("{:.2f}", f.bytes_per_s / 1e9),
        f.bandwidth_share ? Cell(fmt::format("{:.0f} %", 100 * *f.bandwidth_share)) : Cell("-"),
        fmt::format("{:.1f}", f.flops_per_s / 1e9),
        far > 0 ? Cell(fmt::format("{} of {}", far, f.outliers.size()), Json(), report::Tone::warn)
                : Cell(""),
    };
    const Json fields = all_fields(row, machine);
    for (const auto& [key, value] : *fields.as_object()) {
      if (table.rows.empty()) table.columns.push_back({.key = key});
      cells.emplace_back("", value);
    }
    table.rows.push_back(std::move(cells));
  }
  report::Section section;
  section.tables.push_back(std::move(table));
  return section;
}

std::string as_llama_bench(std::string_view format, const std::vector<BenchRow>& rows,
                           const BenchMachine& machine) {
  if (format == "md") return markdown_document(rows, machine);
  if (format == "csv") return csv_document(rows, machine);
  std::string lines;
  Json::Array all;
  for (const BenchRow& row : rows) {
    all.push_back(all_fields(row, machine));
    lines += hwdb::write_json(all.back()) + "\n";
  }
  return format == "jsonl" ? lines : hwdb::write_json(all, 2) + "\n";
}

std::vector<std::string> bench_warnings(const std::vector<BenchRow>& rows) {
  std::vector<std::string> out;
  for (const BenchRow& row : rows) {
    const std::vector<double> seconds = seconds_of(row);
    const std::vector<bool> far = engine::find_outliers(seconds);
    if (far.empty()) continue;
    const double median = engine::median_of(seconds);
    const std::string name = test_name(row.what.test);
    if (far.front() && seconds.front() > median)
      out.push_back(
          fmt::format("{}: the first run took {:.2f} times the median; a second bench may "
                      "be steadier",
                      name, seconds.front() / median));
    const auto later = std::count(far.begin() + 1, far.end(), true);
    if (later > 0)
      out.push_back(fmt::format(
          "{}: {} of {} runs lie far from the others; the median tells more than the mean", name,
          later, far.size()));
  }
  return out;
}

}  // namespace cli
