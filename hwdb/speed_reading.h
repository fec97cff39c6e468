// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/quant_format.h"
#include "hwdb/result.h"

/// Speeds that somebody measured: our engine, another program's bench, a server, a log, a published
/// table. Nothing here is predicted; a fact that was not told is absent or empty.
namespace hwdb {

/// One measured speed of a model with the settings it ran with.
struct SpeedReading {
  enum class Source { engine, llama_bench, endpoint, log, published };
  enum class Test { prefill, decode };
  Source source = Source::published;
  Test test = Test::decode;
  std::string where;        // file, URL or address of the table
  std::string runtime;      // "tokwatt", "llama.cpp", "ollama", "lmstudio", "vllm"...
  std::string build;        // of the runtime, "" unknown
  std::string measured_at;  // "2026-11-20T10:58:00Z", or a day; "" unknown

  std::string model;               // path, catalogue id, or the source's words
  std::string quant;               // preset, "" the file's own
  std::uint32_t slice_layers = 0;  // only the model's first layers, random weights; 0: all of it
  std::optional<std::uint64_t> model_bytes, n_params;

  std::string device;   // the source's words; "" this machine
  std::string backend;  // "cpu", "cuda", "rocm", "vulkan", "metal", "sycl"; "" unknown
  std::uint32_t devices = 1;

  std::uint32_t n_prompt = 0, n_gen = 0;  // tokens of each sequence; 0: not told
  std::uint32_t depth = 0;                // tokens in the cache before
  std::uint32_t batch = 1;                // sequences at the same time
  std::optional<std::uint32_t> n_batch, n_ubatch, n_threads, n_gpu_layers, n_cpu_moe;
  std::optional<bool> flash_attn;
  std::string cache_type_k, cache_type_v;  // "f16", "" not told
  std::string split_mode;                  // "layer", "row", "tensor", "none"; "" not told
  std::vector<double> tensor_split;
  std::string override_tensor;

  double tok_per_s = 0;         // of all sequences together
  std::vector<double> samples;  // tok/s of each repetition; empty: not told
  double deviation = 0;         // of the samples, tok/s; 0: not told
  std::optional<double> watts;
  std::string flaw;  // why it is no measure of the machine ("outlier", "speculative"); "" none
};
std::string_view to_string(SpeedReading::Source source);
std::string_view to_string(SpeedReading::Test test);

/// One product of the engine timed by itself: a matrix of `rows` rows of `ne0` weights with
/// `tokens` columns, out of memory and not out of a cache.
struct KernelReading {
  TensorType type{};
  std::uint32_t rows = 0, ne0 = 0, tokens = 1;
  double seconds = 0;       // the median
  double spread = 0;        // (90th - 10th percentile) / median
  std::string measured_at;  // "2026-11-20T10:58:00Z"
  std::string flaw;         // as of a SpeedReading
};

/// Both as JSON objects, and back. The reader trusts nothing; errors as machine_from_json's. Not
/// `strict`: keys that a newer program wrote are skipped.
Json speed_reading_to_json(const SpeedReading& reading);
Result<SpeedReading> speed_reading_from_json(const Json& json, std::string_view where,
                                             bool strict = true);
Json kernel_reading_to_json(const KernelReading& reading);
Result<KernelReading> kernel_reading_from_json(const Json& json, std::string_view where,
                                               bool strict = true);

}  // namespace hwdb
