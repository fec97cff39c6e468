// SPDX-License-Identifier: MIT
// Fits the class factors of the speed model to measured rows and says how well they predict devices
// that were left out. README.md of this folder tells how to run it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "hwdb/catalog.h"
#include "planner/fitting/class_fit.h"

namespace {

constexpr std::size_t kLeastRows = 20;  // of a class that gets a band of its own

int fail(const hwdb::Error& error) {
  fmt::print(stderr, "error[{}]: {}: {}\n", error.code, error.where, error.what);
  return 1;
}

bool write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return false;
  const bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  return std::fclose(file) == 0 && whole;
}

void print_accuracy(const std::vector<hwdb::SpeedAccuracyRow>& rows) {
  fmt::print("{:28} {:>5} {:>7} {:>7} {:>6} {:>7} {:>6} {:>6} {:>8}  {}\n", "class", "rows",
             "devices", "median", "p90", "by dev.", "low", "high", "coverage",
             "one constant: median, p90");
  for (const auto& row : rows) {
    fmt::print(
        "{:28} {:>5} {:>7} {:>6.1f}% {:>5.1f}% {:>6.1f}% {:>6.2f} {:>6.2f} {:>7.1f}%  {:.1f}% "
        "{:.1f}%\n",
        row.id, row.rows, row.devices, 100 * row.median_error, 100 * row.p90_error,
        100 * row.device_median_error, row.low, row.high, 100 * row.coverage,
        100 * *row.naive_median_error, 100 * *row.naive_p90_error);
  }
}

void print_cases(const std::vector<fitting::Case>& cases, const fitting::LeftOutResiduals& left_out,
                 const fitting::FitResult& all) {
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto& row = cases[i].row;
    fmt::print("case\t{}\t{}\t{}\t{}x{}\t{}\t{}\t{}\tp{} g{} d{} b{}\t{:.2f}\t{:+.3f}\t{:+.3f}\n",
               row.line, hwdb::to_string(row.reading.test), fitting::to_string(cases[i].situation),
               row.reading.devices, cases[i].device_key, row.reading.backend, cases[i].model->name,
               row.reading.quant, row.reading.n_prompt, row.reading.n_gen, row.reading.depth,
               row.reading.batch, row.reading.tok_per_s, left_out.residuals[i], all.residuals[i]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string rows_path, write_folder;
  bool with_cases = false, left_out_rules = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--write" && i + 1 < argc) {
      write_folder = argv[++i];
    } else if (word == "--cases") {
      with_cases = true;
    } else if (word == "--rules") {
      left_out_rules = true;
    } else if (rows_path.empty() && !word.starts_with("-")) {
      rows_path = word;
    } else {
      rows_path.clear();
      break;
    }
  }
  if (rows_path.empty()) {
    fmt::print(stderr, "usage: fit_speed_factors ROWS.csv [--write FOLDER] [--cases] [--rules]\n");
    return 2;
  }
  const auto rows = fitting::read_measured_rows(rows_path, nullptr);
  if (!rows) return fail(rows.error());
  const hwdb::Catalog& catalog = hwdb::Catalog::builtin();
  auto cleaned = fitting::clean_rows(*rows, catalog);
  std::map<std::string, std::size_t> rules;
  for (const auto& left : cleaned.left_out) ++rules[left.rule];
  fmt::print("{} rows, {} used", rows->size(), cleaned.cases.size());
  for (const auto& [rule, n] : rules) fmt::print(", {} {}", n, rule);
  fmt::print("\n");
  if (left_out_rules) {
    for (const auto& left : cleaned.left_out)
      fmt::print("left out\t{}\t{}\t{}\n", left.line, left.rule, left.words);
  }
  const std::string csv = fitting::write_cleaned_csv(cleaned.cases);
  planner::Assumptions assumptions = planner::assumptions_from(catalog);
  assumptions.class_factors = nullptr;
  const fitting::ClassFit fit(std::move(cleaned.cases), assumptions);
  const fitting::FitResult all = fit.fit(nullptr, {});
  fmt::print("{} cases, {} unknowns, {} steps{}\n", fit.cases().size(), all.values.size(),
             all.iterations, all.converged ? "" : " (not converged)");
  const auto left_out = fitting::leave_devices_out(fit, all);
  auto accuracy = fitting::accuracy_rows(fit.cases(), left_out, false, kLeastRows);
  const auto known =
      fitting::accuracy_rows(fit.cases(), fitting::leave_models_out(fit, all), true, kLeastRows);
  accuracy.insert(accuracy.end(), known.begin(), known.end());
  print_accuracy(accuracy);
  if (with_cases) print_cases(fit.cases(), left_out, all);
  if (write_folder.empty()) return 0;
  const auto factors = fit.rows(all);
  if (!write_file(write_folder + "/factors.json", fitting::factors_json(factors)) ||
      !write_file(write_folder + "/accuracy.json", fitting::accuracy_json(accuracy)) ||
      !write_file(write_folder + "/measured.csv", csv)) {
    fmt::print(stderr, "error[file.write]: {}: cannot be written\n", write_folder);
    return 1;
  }
  fmt::print("{} factor rows and {} accuracy rows written\n", factors.size(), accuracy.size());
  return 0;
}
