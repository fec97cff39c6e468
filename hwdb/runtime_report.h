// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/units.h"

/// What a running or finished runtime said about itself, in its log or over HTTP. Nothing here is
/// predicted: a fact that was not told is absent. All text is as the runtime wrote it.
namespace hwdb {

/// A size as it was printed: `rounding_bytes` is half a unit of the last digit (0: to the byte).
struct ToldBytes {
  double bytes = 0, rounding_bytes = 0;
};

/// One "buffer size" line.
struct RuntimeBuffer {
  enum class Kind { model, kv_cache, state, compute, output, lora };
  Kind kind = Kind::model;
  std::string device;  // "CUDA0", "CPU_Mapped", "Vulkan_Host"...
  ToldBytes size;
  std::uint64_t line = 0;  // where it stands in the log, from 1
};
std::string_view to_string(RuntimeBuffer::Kind kind);

/// One summary line of a cache: attention's (K and V) or a recurrent state's (R and S).
struct RuntimeCache {
  bool recurrent = false;
  ToldBytes size;
  std::optional<std::uint64_t> cells, layers, sequences, streams;
  std::string type_first, type_second;  // of K and V, or of R and S
  ToldBytes first, second;
  std::uint64_t line = 0;
};

/// A loaded model with a context, or a further context on the same model.
struct RuntimeLoad {
  enum class Role { main, draft, projector, further_model, further_context };
  Role role = Role::main;
  std::string path, name, architecture, file_type;
  std::optional<ToldBytes> tensor_bytes;  // all tensors: llama.cpp calls it the file size
  std::optional<double> bits_per_weight;
  std::optional<double> n_params;
  std::optional<std::uint64_t> n_layers, n_tensors, n_ctx_train, n_embd, n_vocab;

  // What the context was made with.
  std::optional<std::uint64_t> n_ctx, n_ctx_seq, n_batch, n_ubatch, n_seq_max;
  std::optional<std::uint64_t> n_outputs;  // tokens of a micro-batch whose logits are kept
  std::optional<bool> flash_attn;          // as it was resolved
  bool flash_attn_auto = false;            // it was to be resolved
  std::optional<bool> kv_unified;
  std::string cache_type_k, cache_type_v;
  std::optional<std::uint64_t> offloaded_layers, offloadable_layers;  // "x/y layers to GPU"
  std::vector<std::string> layer_devices;  // by layer, output last; empty: not said
  std::optional<std::uint64_t> sched_copies;
  std::string load_mode;  // "mmap", "none"...

  std::vector<RuntimeBuffer> buffers;
  std::vector<RuntimeCache> caches;
};
std::string_view to_string(RuntimeLoad::Role role);

/// A device as the runtime listed it.
struct RuntimeDevice {
  std::string name, description;  // "CUDA0", "NVIDIA GeForce RTX 3090"
  std::optional<ToldBytes> total, free;
};

/// A row of the table that llama.cpp prints when it ends; whole MiB, cut off.
struct RuntimeTableRow {
  std::string name, description;
  bool is_host = false;
  std::optional<ToldBytes> total, free, unaccounted;  // of devices only
  ToldBytes model, context, compute;
  std::uint64_t line = 0;
};

struct RuntimeReport {
  enum class Source { log, llama_server, ollama, lmstudio };
  Source source = Source::log;
  std::string where;    // path or URL
  std::string runtime;  // "llama.cpp", "ik_llama.cpp", "Ollama", "LM Studio"
  std::string build;    // "b4748-38d4ef9", "0.33.0"; "" unknown
  std::optional<std::uint64_t> build_number;
  std::vector<RuntimeDevice> devices;
  std::vector<RuntimeLoad> loads;  // in their order; the first with role main is the model asked
  std::vector<RuntimeTableRow> table;
  std::optional<ToldBytes> total_bytes, gpu_bytes;  // Ollama: size and size_vram
  std::optional<std::uint64_t> n_slots, n_ctx_slot;
  std::vector<std::string> untold;  // what this source does not say, in words
  std::vector<std::string> notes;
  std::uint64_t lines = 0;  // of the log

  /// The model asked for; null when nothing was loaded.
  const RuntimeLoad* main_load() const;
};

/// The preset that a file type in llama.cpp's words stands for: "Q4_K - Medium" is Q4_K_M, "all
/// F32" is F32. "" when there is none.
std::string preset_of_file_type(std::string_view words);

}  // namespace hwdb
