// SPDX-License-Identifier: MIT
#include <cstdlib>

#include "hwdb/hf_config.h"
#include "hwdb/json.h"
#include "hwdb/shape_check.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = hwdb::parse_json(text, "config.json");
  if (!json) return 0;
  const auto config = hwdb::read_hf_config(*json, "config.json");
  if (!config) return 0;
  // What was accepted can be spelled out layer by layer.
  if (hwdb::layers_of(config->reading.shape).size() != config->reading.shape.n_layers) std::abort();
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  return {
      R"({"model_type":"llama","num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,"intermediate_size":8,"vocab_size":96})",
      R"({"model_type":"gpt_oss","num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,"head_dim":8,"num_local_experts":4,"num_experts_per_tok":2,"intermediate_size":8,"sliding_window":8,"vocab_size":96,"layer_types":["sliding_attention","full_attention"],"quantization_config":{"bits":4,"group_size":32}})",
      R"({"model_type":"deepseek_v3","num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,"kv_lora_rank":8,"qk_nope_head_dim":8,"qk_rope_head_dim":4,"v_head_dim":8,"vocab_size":96,"n_routed_experts":4,"num_experts_per_tok":2,"moe_intermediate_size":8,"intermediate_size":8})"};
}
