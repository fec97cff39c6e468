// SPDX-License-Identifier: MIT
#include "hwdb/speed_reading.h"

#include <array>

#include "hwdb/record_json.h"

namespace hwdb {
namespace {

// Beyond any machine of our time, with room.
constexpr double kMaxTokPerS = 1e9, kMaxSeconds = 1e6, kMaxWatts = 1e6, kMaxSplit = 1e12;
constexpr double kMaxSpread = 1e6;

constexpr std::array<std::string_view, 5> kSources = {"engine", "llama_bench", "endpoint", "log",
                                                      "published"};
constexpr std::array<std::string_view, 2> kTests = {"prefill", "decode"};

template <class V, class E, std::size_t N>
void enumeration(V& v, std::string_view key, E& value,
                 const std::array<std::string_view, N>& names) {
  auto place = static_cast<std::size_t>(value);
  v.choice(key, place, names);
  if constexpr (!std::is_const_v<E>) value = static_cast<E>(place);
}

constexpr auto kDescribeSpeed = [](auto& v, auto& r) {
  enumeration(v, "source", r.source, kSources);
  enumeration(v, "test", r.test, kTests);
  v.text("where", r.where);
  v.text("runtime", r.runtime);
  v.text("build", r.build);
  v.text("measured_at", r.measured_at);
  v.text("model", r.model);
  v.text("quant", r.quant);
  v.count("slice_layers", r.slice_layers);
  v.count("model_bytes", r.model_bytes);
  v.count("n_params", r.n_params);
  v.text("device", r.device);
  v.text("backend", r.backend);
  v.count("devices", r.devices);
  v.count("n_prompt", r.n_prompt);
  v.count("n_gen", r.n_gen);
  v.count("depth", r.depth);
  v.count("batch", r.batch);
  v.count("n_batch", r.n_batch);
  v.count("n_ubatch", r.n_ubatch);
  v.count("n_threads", r.n_threads);
  v.count("n_gpu_layers", r.n_gpu_layers);
  v.count("n_cpu_moe", r.n_cpu_moe);
  v.flag("flash_attn", r.flash_attn);
  v.text("cache_type_k", r.cache_type_k);
  v.text("cache_type_v", r.cache_type_v);
  v.text("split_mode", r.split_mode);
  v.numbers("tensor_split", r.tensor_split, 0, kMaxSplit);
  v.text("override_tensor", r.override_tensor);
  v.number("tok_per_s", r.tok_per_s, 0, kMaxTokPerS);
  v.numbers("samples_tok_per_s", r.samples, 0, kMaxTokPerS);
  v.number("deviation_tok_per_s", r.deviation, 0, kMaxTokPerS);
  v.number("watts", r.watts, 0, kMaxWatts);
  v.text("flaw", r.flaw);
};

constexpr auto kDescribeKernel = [](auto& v, auto& r) {
  v.tensor_type("type", r.type);
  v.count("rows", r.rows);
  v.count("ne0", r.ne0);
  v.count("tokens", r.tokens);
  v.number("median_s", r.seconds, 0, kMaxSeconds);
  v.number("spread", r.spread, 0, kMaxSpread);
  v.text("measured_at", r.measured_at);
  v.text("flaw", r.flaw);
};

Error out_of_range(std::string_view where, std::string_view key, std::string_view expected) {
  return {"machine.range", "expected " + std::string(expected),
          std::string(where) + ": " + std::string(key), ""};
}

}  // namespace

std::string_view to_string(SpeedReading::Source source) {
  return kSources[static_cast<std::size_t>(source)];
}

std::string_view to_string(SpeedReading::Test test) {
  return kTests[static_cast<std::size_t>(test)];
}

Json speed_reading_to_json(const SpeedReading& reading) {
  RecordWriter writer;
  kDescribeSpeed(writer, reading);
  return writer.take();
}

Result<SpeedReading> speed_reading_from_json(const Json& json, std::string_view where,
                                             bool strict) {
  SpeedReading reading;
  RecordReader reader(json, std::string(where), strict);
  kDescribeSpeed(reader, reading);
  if (auto status = reader.finish(); !status) return status.error();
  // What is divided by later.
  if (!(reading.tok_per_s > 0)) return out_of_range(where, "tok_per_s", "a speed above 0");
  if (reading.devices == 0) return out_of_range(where, "devices", "at least 1");
  if (reading.batch == 0) return out_of_range(where, "batch", "at least 1");
  return reading;
}

Json kernel_reading_to_json(const KernelReading& reading) {
  RecordWriter writer;
  kDescribeKernel(writer, reading);
  return writer.take();
}

Result<KernelReading> kernel_reading_from_json(const Json& json, std::string_view where,
                                               bool strict) {
  KernelReading reading;
  RecordReader reader(json, std::string(where), strict);
  kDescribeKernel(reader, reading);
  if (auto status = reader.finish(); !status) return status.error();
  if (!(reading.seconds > 0)) return out_of_range(where, "median_s", "a time above 0");
  if (reading.rows == 0 || reading.ne0 == 0 || reading.tokens == 0)
    return out_of_range(where, "rows, ne0, tokens", "at least 1");
  const TensorFormat& format = format_of(reading.type);
  if (format.block_weights == 0 || reading.ne0 % format.block_weights != 0)
    return out_of_range(where, "ne0", "a multiple of the type's block");
  return reading;
}

}  // namespace hwdb
