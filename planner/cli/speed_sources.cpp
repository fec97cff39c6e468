// SPDX-License-Identifier: MIT
#include "planner/cli/speed_sources.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "hwdb/file_reader.h"
#include "planner/cli/progress.h"
#include "planner/cli/utc_time.h"
#include "probes/runtime/llama_bench.h"
#include "probes/runtime/log_speed.h"

namespace cli {
namespace {

using hwdb::Result;

SpeedSource source_of(probes::ToldSpeeds told) {
  SpeedSource source;
  source.readings = std::move(told.readings);
  source.notes = std::move(told.notes);
  return source;
}

Result<SpeedSource> read_bench(const std::string& path) {
  auto told = probes::read_llama_bench_file(path);
  if (!told) return told.error();
  return source_of(std::move(*told));
}

Result<SpeedSource> read_log(const std::string& path) {
  auto told = path == "-" ? probes::read_log_speeds(STDIN_FILENO, "standard input")
                          : probes::read_log_speeds(path);
  if (!told) return told.error();
  return source_of(std::move(*told));
}

Result<SpeedSource> measure_endpoint(Session& session, const std::string& url) {
  const Options& options = session.options();
  probes::EndpointSpeedOptions how;
  how.model = options.model_filter;
  // What is behind a prompt is behind that many tokens of context.
  std::vector<std::uint32_t> lengths = options.bench.n_prompt;
  lengths.insert(lengths.end(), options.bench.n_depth.begin(), options.bench.n_depth.end());
  std::erase(lengths, 0u);
  if (!lengths.empty()) how.n_prompt = std::move(lengths);
  if (!options.bench.n_gen.empty()) how.n_gen = std::max(8u, options.bench.n_gen.front());
  how.repetitions = std::max(3u, options.bench.repetitions);
  if (options.seconds) how.budget_s = *options.seconds;
  if (session.environment().catch_interrupt) how.cancel = session.environment().catch_interrupt();
  ProgressLine progress(session.environment(), options.quiet, "asking");
  how.on_step = [&](std::string_view step, double done) { progress.show(step, done); };
  auto speed = probes::measure_endpoint_speed(url, how);
  progress.clear();
  if (!speed) return speed.error();
  SpeedSource source;
  source.readings = std::move(speed->readings);
  for (hwdb::SpeedReading& reading : source.readings) reading.measured_at = utc_now();
  source.agreements = std::move(speed->agreements);
  source.notes = std::move(speed->notes);
  source.interrupted = speed->interrupted;
  return source;
}

/// Whether a file is what llama-bench printed; an error when it cannot be read.
Result<bool> is_bench_document(const std::string& path) {
  auto file = hwdb::FileReader::open(path);
  if (!file) return file.error();
  std::string head(static_cast<std::size_t>(std::min<std::uint64_t>(file->size(), 65536)), '\0');
  if (auto status = file->read(0, std::as_writable_bytes(std::span(head))); !status) {
    return status.error();
  }
  return probes::looks_like_llama_bench(head);
}

}  // namespace

Result<SpeedSource> read_speed_source(Session& session, const std::string& source) {
  if (source.find("://") != std::string::npos) return measure_endpoint(session, source);
  if (source == "-") return read_log(source);
  const auto is_bench = is_bench_document(source);
  if (!is_bench) return is_bench.error();
  return *is_bench ? read_bench(source) : read_log(source);
}

Result<std::vector<hwdb::SpeedReading>> read_speed_sources(Session& session,
                                                           const std::vector<std::string>& from,
                                                           const std::string& endpoint,
                                                           const std::string& log) {
  std::vector<hwdb::SpeedReading> readings;
  const auto add = [&](Result<SpeedSource> source) -> hwdb::Status {
    if (!source) return source.error();
    for (hwdb::SpeedReading& reading : source->readings) readings.push_back(std::move(reading));
    const Environment& environment = session.environment();
    if (!session.options().quiet && environment.message) {
      for (const std::string& note : source->notes) environment.message(note + "\n");
    }
    return hwdb::Ok{};
  };
  for (const std::string& path : from) {
    if (auto status = add(read_bench(path)); !status) return status.error();
  }
  if (!log.empty()) {
    if (auto status = add(read_log(log)); !status) return status.error();
  }
  if (!endpoint.empty()) {
    if (auto status = add(measure_endpoint(session, endpoint)); !status) return status.error();
  }
  return readings;
}

}  // namespace cli
