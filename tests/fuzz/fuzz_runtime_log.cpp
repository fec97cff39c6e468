// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <string_view>

#include "planner/verify.h"
#include "probes/runtime/log_reader.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  probes::LogReader reader;
  reader.feed({reinterpret_cast<const char*>(data), size});
  const auto report = reader.finish("fuzz");
  if (!report) {
    if (report.error().code.empty()) std::abort();
    return 0;
  }
  // What a log tells reaches the planner as settings.
  const planner::RunSettings settings = planner::settings_of_report(*report, {});
  if (settings.n_ctx == 0 || settings.n_seq == 0 || settings.n_ubatch == 0) std::abort();
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  return {
      "using device CUDA0 (A card) (0000:01:00.0) - 99 MiB free\n"
      "llama_model_loader: loaded meta data with 9 key-value pairs and 4 tensors from a (version "
      "3)\n"
      "print_info: file size = 0.99 MiB (32.00 BPW)\n"
      "load_tensors: offloaded 3/3 layers to GPU\n"
      "load_tensors:  CUDA0 model buffer size = 0.99 MiB\n"
      "llama_context: n_ctx = 512\n"
      "llama_kv_cache:  CUDA0 KV buffer size = 1.25 MiB\n"
      "llama_kv_cache: size = 1.25 MiB (512 cells, 5 layers, 4/1 seqs), K (f16): 0.62 MiB, V "
      "(f16): 0.62 MiB\n"
      "|   - CUDA0 (A card) | 99 = 9 + (5 = 3 + 1 + 1) + 85 |\n",
      "{\"type\":\"log\",\"msg\":\"sched_reserve:  CPU compute buffer size = 3.52 MiB\\n\"}\r\n"
      "\x1b[32mload_tensors: layer   0 assigned to device CUDA0, is_swa = 0\x1b[0m\r\n"
      "x: msg=\"kv cache\" device=CUDA0 size=\"4.3 GiB\"\n"
      "loading draft model 'b'\nload_tensors: CPU buffer size = 1.00 MiB\n",
  };
}
