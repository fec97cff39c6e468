// SPDX-License-Identifier: MIT
#include "probes/runtime/llama_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "hwdb/file_reader.h"
#include "hwdb/json.h"
#include "hwdb/quant_name.h"
#include "hwdb/runtime_report.h"
#include "hwdb/text_escape.h"
#include "probes/runtime/csv_rows.h"
#include "probes/runtime/speed_samples.h"

namespace probes {
namespace {

using hwdb::Error;
using hwdb::Json;
using hwdb::Result;
using hwdb::SpeedReading;
using Text = std::string_view;

constexpr std::size_t kMaxText = 4096, kMaxSamples = 10'000;
constexpr double kMaxCount = 2147483648.0;

/// One row with its number, whatever it was written in: fields are numbers, truth values or text,
/// and from CSV always text.
class Row {
 public:
  Row(const Json& fields, std::size_t number, Text where)
      : fields_(fields), number_(number), where_(where) {}

  Error error(std::string what) const {
    return {
        "llama_bench.row", fmt::format("row {}: {}", number_, what), hwdb::escape_text(where_), {}};
  }
  bool has(Text key) const { return fields_.find(key) != nullptr; }
  /// "" where it is absent or no text.
  std::string text(Text key) const {
    const Json* value = fields_.find(key);
    const std::string* text = value != nullptr ? value->as_string() : nullptr;
    return text != nullptr ? text->substr(0, kMaxText) : std::string();
  }
  /// A finite number, in digits or as text; truth values count as 0 and 1.
  std::optional<double> number(Text key) const {
    const Json* value = fields_.find(key);
    if (value == nullptr) return std::nullopt;
    if (const auto truth = value->as_bool()) return *truth ? 1.0 : 0.0;
    std::optional<double> number = value->as_double();
    if (const std::string* text = value->as_string()) {
      double parsed = 0;
      const char* end = text->data() + text->size();
      const auto [at, failure] = std::from_chars(text->data(), end, parsed);
      if (failure == std::errc{} && at == end && !text->empty()) number = parsed;
    }
    return number && std::isfinite(*number) ? number : std::nullopt;
  }
  bool is_set(Text key) const {
    const Json* value = fields_.find(key);
    const std::string* text = value != nullptr ? value->as_string() : nullptr;
    return text != nullptr ? *text == "true" || *text == "1" : number(key).value_or(0) != 0;
  }
  /// Absent: not told. An error where it is no whole number of tokens, threads or layers.
  Result<std::optional<std::uint32_t>> count(Text key) const {
    if (!has(key)) return std::optional<std::uint32_t>();
    const auto value = number(key);
    if (!value || *value < 0 || *value >= kMaxCount || *value != std::floor(*value)) {
      return error(fmt::format("{} is no whole number from 0 to 2147483647", key));
    }
    return std::optional(static_cast<std::uint32_t>(*value));
  }
  /// Sizes of files; absent for nonsense.
  std::optional<std::uint64_t> size(Text key) const {
    const auto value = number(key);
    if (!value || *value < 1 || *value > 1e18) return std::nullopt;
    return static_cast<std::uint64_t>(*value);
  }
  const Json::Array* list(Text key) const {
    const Json* value = fields_.find(key);
    return value != nullptr ? value->as_array() : nullptr;
  }

 private:
  const Json& fields_;
  std::size_t number_;
  Text where_;
};

struct BackendWord {
  Text word, backend;
};
// As `backends` names them, and the truth columns of older builds and of ik_llama.cpp. GPUs first:
// a build with both ran on the GPU.
constexpr std::array kBackends = {
    BackendWord{"CUDA", "cuda"},     BackendWord{"ROCm", "rocm"}, BackendWord{"HIP", "rocm"},
    BackendWord{"Vulkan", "vulkan"}, BackendWord{"MTL", "metal"}, BackendWord{"Metal", "metal"},
    BackendWord{"SYCL", "sycl"},     BackendWord{"CPU", "cpu"},   BackendWord{"BLAS", "cpu"},
};
constexpr std::array kTruthColumns = {
    BackendWord{"cuda", "cuda"},
    BackendWord{"vulkan", "vulkan"},
    BackendWord{"metal", "metal"},
    BackendWord{"sycl", "sycl"},
};

bool is_amd(Text gpu) {
  return gpu.find("AMD") != Text::npos || gpu.find("Radeon") != Text::npos;
}

std::string backend_of(const Row& row) {
  if (row.has("backends")) {
    const std::string words = row.text("backends");
    for (const BackendWord& word : kBackends) {
      if (words.find(word.word) != std::string::npos) return std::string(word.backend);
    }
    return {};
  }
  for (const BackendWord& column : kTruthColumns) {
    if (!row.is_set(column.word)) continue;
    // Builds for AMD's HIP called themselves CUDA then.
    if (column.backend == "cuda" && is_amd(row.text("gpu_info"))) return "rocm";
    return std::string(column.backend);
  }
  return row.has("cuda") ? "cpu" : "";
}

/// "3.00/1.00"; zeros, and one number alone, say nothing.
std::vector<double> shares_of(Text text) {
  std::vector<double> shares;
  while (!text.empty() && shares.size() < 64) {
    const std::size_t end = std::min(text.find_first_of("/,;"), text.size());
    double share = 0;
    const auto [at, failure] = std::from_chars(text.data(), text.data() + end, share);
    if (failure != std::errc{} || at != text.data() + end || !(share >= 0) || share > 1e9) {
      return {};
    }
    shares.push_back(share);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  while (!shares.empty() && shares.back() == 0) shares.pop_back();
  if (shares.size() < 2) shares.clear();
  return shares;
}

/// The preset in "llama 8B Q4_K - Medium": the longest ending that names one.
std::string preset_of_model_type(Text type) {
  for (std::size_t at = type.find(' '); at != Text::npos; at = type.find(' ', at + 1)) {
    std::string preset = hwdb::preset_of_file_type(type.substr(at + 1));
    if (!preset.empty()) return preset;
  }
  return {};
}

std::optional<bool> flash_of(const Row& row) {
  const std::string text = row.text("flash_attn");
  if (text == "on" || text == "true") return true;
  if (text == "off" || text == "false") return false;
  const auto value = row.number("flash_attn");
  // -1 is auto.
  if (!value || *value < 0) return std::nullopt;
  return *value != 0;
}

void take_runtime(const Row& row, SpeedReading* reading) {
  const std::string commit = row.text("build_commit");
  if (commit.starts_with("tokwatt")) {
    reading->runtime = "tokwatt";
    reading->build = commit.size() > 8 ? commit.substr(8) : std::string();
    return;
  }
  const bool is_ik = row.has("fused_moe") || row.has("mla_attn") || row.has("ser");
  reading->runtime = is_ik ? "ik_llama.cpp" : "llama.cpp";
  const auto number = row.size("build_number");
  reading->build = number && !commit.empty() ? fmt::format("b{}-{}", *number, commit) : commit;
}

/// What it ran on.
void take_device(const Row& row, SpeedReading* reading) {
  reading->backend = backend_of(row);
  const std::string gpus = row.text("gpu_info");
  const bool on_gpu = !gpus.empty() && reading->backend != "cpu" && reading->n_gpu_layers != 0u;
  if (reading->backend == "cpu") reading->n_gpu_layers.reset();
  reading->device = on_gpu ? gpus : row.text("cpu_info");
  if (on_gpu && reading->split_mode != "none") {
    for (std::size_t at = gpus.find(", "); at != std::string::npos; at = gpus.find(", ", at + 2)) {
      ++reading->devices;
    }
  }
  if (on_gpu && row.is_set("no_kv_offload")) reading->flaw = "cache in RAM";
}

/// Speeds of the repetitions. Error: none that is a speed.
hwdb::Status take_speed(const Row& row, std::uint32_t tokens, SpeedReading* reading) {
  const Json::Array* told = row.list("samples_ts");
  const Json::Array* times = row.list("samples_ns");
  const Json::Array* list = told != nullptr ? told : times;
  if (list != nullptr && list->size() > kMaxSamples) {
    return row.error(fmt::format("{} samples, expected at most {}", list->size(), kMaxSamples));
  }
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const double value = (*list)[i].as_double().value_or(0);
    const double speed = told != nullptr ? value : value > 0 ? tokens * 1e9 / value : 0;
    if (!is_speed(speed)) return row.error("a sample is no speed");
    reading->samples.push_back(speed);
  }
  const auto average = row.number("avg_ts");
  if (reading->samples.empty() && !average) return row.error("avg_ts is no number");
  set_speed(reading, average.value_or(0));
  if (!is_speed(reading->tok_per_s)) {
    return row.error(fmt::format("{} tok/s is no speed", reading->tok_per_s));
  }
  const double deviation = row.number("stddev_ts").value_or(0);
  if (reading->samples.empty() && deviation > 0) reading->deviation = deviation;
  return hwdb::Ok{};
}

struct Skipped {
  std::size_t both = 0, neither = 0, embeddings = 0;
};

/// The row as a reading; absent when it is none of a prompt or an answer alone.
Result<std::optional<SpeedReading>> read_row(const Row& row, Text where, Skipped* skipped) {
  SpeedReading reading;
  reading.source = SpeedReading::Source::llama_bench;
  reading.where = where;
  struct Count {
    Text key;
    std::uint32_t* to;
  };
  for (const Count& one : {Count{"n_prompt", &reading.n_prompt}, Count{"n_gen", &reading.n_gen},
                           Count{"n_depth", &reading.depth}, Count{"n_parallel", &reading.batch}}) {
    const auto count = row.count(one.key);
    if (!count) return count.error();
    if (*count) *one.to = **count;
  }
  reading.batch = std::max(reading.batch, 1u);
  if (reading.n_prompt == 0 && reading.n_gen == 0) {
    ++skipped->neither;
    return std::optional<SpeedReading>();
  }
  if (reading.n_prompt > 0 && reading.n_gen > 0) {
    ++skipped->both;
    return std::optional<SpeedReading>();
  }
  if (row.is_set("embeddings")) {
    ++skipped->embeddings;
    return std::optional<SpeedReading>();
  }
  reading.test = reading.n_gen > 0 ? SpeedReading::Test::decode : SpeedReading::Test::prefill;
  struct Setting {
    Text key;
    std::optional<std::uint32_t>* to;
  };
  for (const Setting& one :
       {Setting{"n_batch", &reading.n_batch}, Setting{"n_ubatch", &reading.n_ubatch},
        Setting{"n_threads", &reading.n_threads}, Setting{"n_cpu_moe", &reading.n_cpu_moe}}) {
    const auto count = row.count(one.key);
    if (!count) return count.error();
    *one.to = *count;
  }
  // -1 leaves it to the program.
  if (row.number("n_gpu_layers").value_or(-1) >= 0) {
    const auto layers = row.count("n_gpu_layers");
    if (!layers) return layers.error();
    reading.n_gpu_layers = *layers;
  }
  reading.flash_attn = flash_of(row);
  reading.cache_type_k = row.text("type_k");
  reading.cache_type_v = row.text("type_v");
  reading.split_mode = row.text("split_mode");
  reading.tensor_split = shares_of(row.text("tensor_split"));
  for (const Text key : {Text("tensor_buft_overrides"), Text("override_tensor")}) {
    std::string rules = row.text(key);
    std::ranges::replace(rules, ';', ',');
    if (!rules.empty() && rules != "none") reading.override_tensor = std::move(rules);
  }
  take_runtime(row, &reading);
  take_device(row, &reading);
  reading.model = row.text("model_filename");
  reading.quant = preset_of_model_type(row.text("model_type"));
  if (reading.quant.empty()) reading.quant = hwdb::preset_in_file_name(reading.model);
  reading.model_bytes = row.size("model_size");
  reading.n_params = row.size("model_n_params");
  reading.measured_at = row.text("test_time");
  if (auto status = take_speed(row, std::max(reading.n_prompt, reading.n_gen), &reading); !status) {
    return status.error();
  }
  return std::optional(std::move(reading));
}

Error format_error(Text where, std::string what) {
  return {"llama_bench.format", std::move(what), hwdb::escape_text(where),
          "give what llama-bench printed with -o json, -o jsonl or -o csv"};
}

/// One JSON object a row.
Result<std::vector<Json>> rows_of_lines(Text text, Text where) {
  std::vector<Json> rows;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const Text line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == Text::npos) continue;
    if (rows.size() == kMaxBenchRows) break;
    auto row = hwdb::parse_json(line, fmt::format("{}: line {}", where, number));
    if (!row) return row.error();
    rows.push_back(std::move(*row));
  }
  return rows;
}

Result<std::vector<Json>> rows_of_document(Text text, Text where) {
  auto document = hwdb::parse_json(text, where, kMaxBenchBytes);
  if (!document) return document.error();
  if (Json::Array* list = document->as_array()) return std::move(*list);
  // Our own bench --json keeps its rows in a member.
  const Json* tests = document->find("tests");
  if (tests != nullptr && tests->as_array() != nullptr) return *tests->as_array();
  std::vector<Json> one;
  one.push_back(std::move(*document));
  return one;
}

Result<std::vector<Json>> rows_of(Text text, Text where) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == Text::npos) return format_error(where, "it is empty");
  text.remove_prefix(begin);
  if (text.front() == '[') return rows_of_document(text, where);
  if (text.front() == '{') {
    // Lines, unless the first one alone is no whole object.
    const Text line = text.substr(0, text.find('\n'));
    const bool whole = hwdb::parse_json(line, where).has_value();
    return whole ? rows_of_lines(text, where) : rows_of_document(text, where);
  }
  if (text.starts_with("build_commit") || text.starts_with("\"build_commit\"")) {
    return read_csv_rows(text, kMaxBenchRows, where);
  }
  if (text.front() == '|') {
    return format_error(where, "a table for people: it does not tell the settings");
  }
  return format_error(where, "neither JSON nor a CSV that begins with build_commit");
}

}  // namespace

bool looks_like_llama_bench(Text text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == Text::npos) return false;
  text.remove_prefix(begin);
  if (text.front() == '[' || text.front() == '|') return true;
  if (text.starts_with("build_commit") || text.starts_with("\"build_commit\"")) return true;
  // A log of JSON lines begins with a brace too.
  return text.front() == '{' && (text.substr(0, 65536).find("\"build_commit\"") != Text::npos ||
                                 text.substr(0, 65536).find("\"avg_ts\"") != Text::npos);
}

Result<ToldSpeeds> read_llama_bench(Text text, Text where) {
  if (text.size() > kMaxBenchBytes) {
    return Error{"llama_bench.limit",
                 fmt::format("{} bytes, expected at most {}", text.size(), kMaxBenchBytes),
                 hwdb::escape_text(where),
                 {}};
  }
  auto rows = rows_of(text, where);
  if (!rows) return rows.error();
  if (rows->size() >= kMaxBenchRows) {
    return Error{"llama_bench.limit",
                 fmt::format("more than {} rows", kMaxBenchRows - 1),
                 hwdb::escape_text(where),
                 {}};
  }
  if (rows->empty()) return format_error(where, "it has no rows");
  ToldSpeeds told;
  Skipped skipped;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const Json& fields = (*rows)[i];
    const Row row(fields, i + 1, where);
    if (!fields.is_object()) return row.error(fmt::format("is {}", fields.type_name()));
    for (const Text key : {Text("model_filename"), Text("n_prompt"), Text("n_gen")}) {
      if (!row.has(key)) return format_error(where, fmt::format("row {} has no {}", i + 1, key));
    }
    auto reading = read_row(row, where, &skipped);
    if (!reading) return reading.error();
    if (*reading) told.readings.push_back(std::move(**reading));
  }
  const auto note = [&](std::size_t n, Text what) {
    if (n == 0) return;
    told.notes.push_back(
        fmt::format("{} {} left out: {}.", n, n == 1 ? "row is" : "rows are", what));
  };
  note(skipped.both, "prompt and answer timed as one");
  note(skipped.neither, "neither prompt nor answer");
  note(skipped.embeddings, "embeddings instead of an answer");
  return told;
}

Result<ToldSpeeds> read_llama_bench_file(const std::string& path) {
  auto file = hwdb::FileReader::open(path);
  if (!file) return file.error();
  auto text = file->read_text(kMaxBenchBytes);
  if (!text) return text.error();
  return read_llama_bench(*text, path);
}

}  // namespace probes
