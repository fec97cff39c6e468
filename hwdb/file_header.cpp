// SPDX-License-Identifier: MIT
#include <cmath>
#include <string_view>

#include "hwdb/weight_plan.h"

namespace hwdb {
namespace {

/// What a tokenizer weighs in a GGUF header: all its arrays over its entries, the few other keys
/// of a file included. `architecture` is the start of the architecture's name, "" for any.
struct TokenizerSize {
  std::string_view architecture;
  std::uint64_t n_vocab_min, n_vocab_max;
  double bytes_per_entry;
};

// Headers of ggml-org/llama.cpp models/ggml-vocab-*.gguf (de3ff815, 2026-09-28) divided by their
// entries; rows marked * from published files: file size less tensor bytes and directory.
constexpr TokenizerSize kTokenizers[] = {
    {"llama", 31'900, 32'200, 22.62},     // llama-spm: SentencePiece, no merges
    {"phi3", 32'000, 32'200, 22.64},      // phi-3
    {"", 31'900, 32'200, 22.62},          // llama-spm
    {"", 32'201, 32'400, 35.84},          // deepseek-coder
    {"", 32'401, 33'500, 22.62},          // llama-spm with added tokens
    {"", 49'000, 49'300, 34.98},          // starcoder
    {"", 50'000, 50'700, 35.16},          // gpt-2
    {"", 63'900, 64'100, 20.95},          // baichuan
    {"", 64'900, 65'100, 35.18},          // falcon
    {"", 100'000, 100'400, 39.02},        // cl100k-like: as qwen2
    {"", 102'300, 102'500, 38.77},        // deepseek-llm
    {"", 128'000, 128'300, 60.96},        // llama-bpe
    {"", 131'000, 131'100, 60.16},        // * Mistral Nemo 12B, 2024
    {"", 151'000, 152'100, 39.02},        // qwen2
    {"gemma4", 262'000, 262'500, 60.18},  // gemma-4
    {"gemma", 255'900, 263'000, 23.61},   // * Gemma 1 and 2: SentencePiece, no merges
    {"", 255'900, 256'100, 42.48},        // command-r
};

/// Byte-level BPE where nothing was measured: the middle of the BPE rows above.
constexpr double kOtherBytesPerEntry = 42.0;

double tokenizer_bytes(const ModelShape& shape) {
  const auto n = static_cast<double>(shape.n_vocab);
  for (const TokenizerSize& row : kTokenizers) {
    if (shape.n_vocab >= row.n_vocab_min && shape.n_vocab <= row.n_vocab_max &&
        std::string_view(shape.architecture).starts_with(row.architecture)) {
      return n * row.bytes_per_entry;
    }
  }
  return n * kOtherBytesPerEntry;
}

std::uint64_t stored_dims(const TensorInfo& info) {
  std::uint64_t n = 4;
  while (n > 1 && info.ne[n - 1] == 1) --n;
  return n;
}

}  // namespace

Result<Bytes> padded_tensor_bytes(const std::vector<PlannedTensor>& tensors,
                                  std::uint64_t alignment) {
  std::uint64_t total = 0;
  for (const PlannedTensor& tensor : tensors) {
    std::uint64_t padded = 0;
    if (!checked_pad(tensor.info.bytes, alignment, &padded) ||
        !checked_add(total, padded, &total) || total > (1ull << 63)) {
      return Error{"model.overflow", "the tensors exceed 2^63 bytes", tensor.info.name, {}};
    }
  }
  return Bytes(total);
}

Bytes estimate_header_bytes(const ModelShape& shape, const std::vector<PlannedTensor>& tensors) {
  // magic, version, counts; then for each tensor: name, dimensions, type, offset.
  std::uint64_t directory = 4 + 4 + 8 + 8;
  for (const PlannedTensor& tensor : tensors) {
    directory += 8 + tensor.info.name.size() + 4 + 8 * stored_dims(tensor.info) + 4 + 8;
  }
  const auto tokenizer = static_cast<std::uint64_t>(std::llround(tokenizer_bytes(shape)));
  return Bytes(pad_up(directory + tokenizer, 32));
}

}  // namespace hwdb
