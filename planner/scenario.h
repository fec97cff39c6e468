// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/kv_cache.h"
#include "hwdb/machine.h"
#include "hwdb/result.h"

namespace planner {

/// What is taken for the power limit of a GPU: from small boards to the largest accelerators.
inline constexpr double kLeastPowerLimitW = 5, kMostPowerLimitW = 2000;

enum class SplitMode { none, layer, row, tensor };

/// How weights in RAM get there.
enum class LoadMode {
  automatic,  // mapped from the file
  mmap,
  none,   // read into memory of the program
  mlock,  // read, and kept from being swapped out
  mmap_mlock,
  direct_io
};

/// Speculative decoding: what it takes, and how much of it is of use.
struct DraftSettings {
  std::string model;  // a second model that drafts; "" none
  std::string quant;  // of a catalogue model; "" the one of the main model
  bool mtp = false;   // the main model's own draft layers (--spec-type draft-mtp)
  std::optional<std::uint32_t> n_gpu_layers;  // -ngld; absent: all
  std::uint64_t n_ctx = 0;  // -cd of older builds; 0: as the main model's, as newer ones do
  std::string cache_type_k = "f16", cache_type_v = "f16";
  std::uint32_t n_max = 3;  // tokens drafted at a time
  /// Share of the drafted tokens that the model takes over, 0 to 1; absent: nobody said.
  std::optional<double> acceptance;
  bool active() const { return mtp || !model.empty(); }
};

/// How the model is asked to run, in llama.cpp's words. The defaults are those of one user
/// chatting.
struct RunSettings {
  hwdb::Runtime runtime = hwdb::Runtime::llama_cpp;
  std::optional<hwdb::GpuInfo::Backend> backend;  // absent: each GPU's usual one
  bool cpu_only = false;                          // --backend cpu
  std::uint64_t n_ctx = 4096;
  std::uint32_t n_batch = 2048, n_ubatch = 512, n_seq = 1;
  /// Tokens of a micro-batch whose logits are kept; absent: as the runtime's server does.
  std::optional<std::uint32_t> n_outputs;
  bool flash_attn = true;
  bool swa_full = false;    // --swa-full: sliding layers keep the whole context
  bool kv_unified = false;  // -kvu: the sequences share one pool of cells
  std::string cache_type_k = "f16", cache_type_v = "f16";
  std::optional<std::uint32_t> n_gpu_layers, n_cpu_moe, n_threads;  // absent: choose the best
  std::string override_tensor;  // -ot, several joined by commas; "" none
  bool cpu_moe = false;         // --cpu-moe: the experts of all layers stay in RAM
  bool kv_on_host = false;      // -nkvo: cache and state stay in RAM
  std::uint32_t main_gpu = 0;   // -mg: the GPU of split mode none
  std::string mmproj;           // a projector's file, "catalogue" or "" none
  bool mmproj_on_gpu = true;
  std::vector<std::string> lora;  // files, or "rank=N" for an estimate
  DraftSettings draft;
  std::int64_t cache_ram_mib = 8192;   // the server's prompt cache at most; -1: no limit
  std::uint32_t ctx_checkpoints = 32;  // a slot at most
  LoadMode load_mode = LoadMode::automatic;
  bool repack = true;  // a second layout of CPU weights where the processor has one
  SplitMode split_mode = SplitMode::layer;
  std::vector<double> tensor_split;     // empty: by free memory
  std::optional<double> power_limit_w;  // each GPU is held to, watts; absent: its own limit
};

/// What is done with it. Decides speed at depth, time to first token, duty and money.
struct Workload {
  std::string use = "chat";  // chat, code, rag, agent, batch
  double n_prompt = 512, n_gen = 128;
  double cached_fraction = 0;  // of the prompt, already in the cache
  double depth = 0;            // tokens in the cache before the prompt
  std::uint32_t batch = 1;     // sequences decoded together
  double hours_per_day = 2;    // the machine is on and the model loaded
  double requests_per_day = 40;
  std::uint32_t users = 1;
  double min_decode_tok_per_s =
      10;  // below this the use is no pleasure (reading speed, agents' patience)
  std::uint64_t wanted_ctx = 8192;
};

/// The workload of a named use, with the figures that `--use` stands for. Error: usage.value with
/// the known uses.
hwdb::Result<Workload> workload_for(std::string_view use);

/// Tokens of context that one request needs: what is there before, the prompt and the answer.
/// Rounded up to 256, as caches are.
std::uint64_t context_needed(const Workload& workload);

/// One line of `batch`, or the arguments of `plan`: who runs what, where and how.
struct Scenario {
  std::optional<hwdb::Json> id;
  std::string model;
  std::string quant = "Q4_K_M";  // preset or format; "" : the file's own
  std::string on = "this";
  RunSettings settings;
  Workload workload;
  std::string tariff;          // id or alias; "" the default
  std::vector<double> depths;  // tokens of context at which speed is asked besides; empty: none
  bool calibrated = true;
};

/// Reads the JSON of a scenario. Errors: scenario.unknown_key (nearest key in the hint),
/// scenario.missing_key, scenario.type, scenario.range; `where` is the key.
hwdb::Result<Scenario> scenario_from_json(const hwdb::Json& json);

}  // namespace planner
