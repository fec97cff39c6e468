// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/model.h"
#include "hwdb/result.h"

namespace hwdb {

/// What a tensor is for; decides where it goes and how often it is read.
enum class TensorRole {
  token_embedding,  // stays on the host; one row read per token
  position_embedding,
  output,          // the vocabulary matrix and its norm
  attention,       // projections, norms and biases of token mixing (recurrent layers too)
  dense_ffn,       // also shared experts and the router: read for every token
  routed_experts,  // 3-D expert matrices: a token reads n_experts_used of n_experts
  per_layer_embedding,
  mtp,         // built-in draft layers
  side_tower,  // a vision or audio encoder in the same file: no decode step reads it
  other        // small tables beside the blocks, read for every token
};

/// The part of a tensor's name that llama.cpp's quantizer looks at; `copied` tensors keep the type
/// of their source.
enum class QuantPart : std::uint8_t {
  copied,
  output,
  token_embedding,
  attn_v,
  attn_k,
  attn_q,
  attn_output,
  attn_qkv,
  attn_kv_b,
  ffn_down,
  ffn_gate,
  ffn_up,
  other
};

QuantPart quant_part(const TensorInfo& info);

/// A tensor of the real list, with its place. `layer` is -1 outside the blocks.
struct PlannedTensor {
  TensorInfo info;
  TensorRole role = TensorRole::other;
  std::int32_t layer = -1;
  QuantPart part = QuantPart::copied;  // set by tensor_list and classify_tensor
};

/// The tensors that llama.cpp's converter would write for this shape, in file order, with the types
/// of a 16-bit source
/// (`info.type` F16 for convertible matrices, F32 for the rest; `bytes` accordingly). Errors:
/// model.range. For an architecture that is not known the list is empty and the error is
/// model.unknown_architecture.
Result<std::vector<PlannedTensor>> tensor_list(const ModelShape& shape);

/// As tensor_list, and for an architecture without a known layout the tensors of a plain decoder
/// of that shape: for formats outside GGUF, where only sizes and roles count.
Result<std::vector<PlannedTensor>> plain_tensor_list(const ModelShape& shape);

/// The role and layer of a tensor of a GGUF or safetensors file, from its name.
PlannedTensor classify_tensor(const TensorInfo& info);

/// How a file was made: the preset, and whether an importance matrix was used.
struct QuantOptions {
  std::string preset;  // "Q4_K_M"; a community name such as "Q4_K_L" too
  bool imatrix = false;
  bool newer_rules = false;  // rules of 2026 instead of those most published files were made with
  bool pure = false;         // every matrix in the preset's own type
  /// Types by name for the token tables and the output, whatever the preset says; "": by the
  /// preset.
  std::string token_embedding_type, output_tensor_type;
};

/// Sets each tensor's type and bytes by llama.cpp's rules for that preset. Errors: quant.unknown
/// (nearest names in the hint), quant.not_divisible (rows that no type of the preset can hold).
Status apply_preset(const ModelShape& shape, const QuantOptions& options,
                    std::vector<PlannedTensor>* tensors);

/// Sum of tensor bytes, each padded to `alignment`; header not included. Error: model.overflow.
Result<Bytes> padded_tensor_bytes(const std::vector<PlannedTensor>& tensors,
                                  std::uint64_t alignment = 32);

/// Estimated GGUF header: the tensor directory exactly, the metadata by its usual keys, the
/// vocabulary by the tokenizer's kind.
Bytes estimate_header_bytes(const ModelShape& shape, const std::vector<PlannedTensor>& tensors);

}  // namespace hwdb
