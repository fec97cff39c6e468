// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hwdb/gguf.h"
#include "hwdb/model.h"
#include "hwdb/quant_format.h"

namespace hwdb::testing {

/// Writes GGUF files for tests: valid ones by default, and any field can be made wrong.
class GgufBuilder {
 public:
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> ne;
    std::uint32_t type = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };

  std::uint32_t magic = 0x46554747, version = 3;
  std::uint64_t alignment = 32;  // how tensors are laid out; add() the key to declare it
  // -1: as many as there are.
  std::int64_t n_tensors = -1, n_keys = -1;
  bool write_data = true;
  std::vector<Tensor> tensors;

  template <class T>
  static void put(std::string* out, T value) {
    out->append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  static void put_string(std::string* out, std::string_view text) {
    put<std::uint64_t>(out, text.size());
    out->append(text);
  }

  /// A key with raw value bytes.
  GgufBuilder& raw(std::string_view key, std::uint32_t type, std::string_view value) {
    put_string(&keys_, key);
    put(&keys_, type);
    keys_.append(value);
    ++key_count_;
    return *this;
  }
  /// Bytes in the place of a key.
  GgufBuilder& raw_key_bytes(std::string_view bytes) {
    keys_.append(bytes);
    ++key_count_;
    return *this;
  }
  GgufBuilder& u32(std::string_view key, std::uint32_t v) { return scalar(key, GgufType::u32, v); }
  GgufBuilder& i32(std::string_view key, std::int32_t v) { return scalar(key, GgufType::i32, v); }
  GgufBuilder& u16(std::string_view key, std::uint16_t v) { return scalar(key, GgufType::u16, v); }
  GgufBuilder& u64(std::string_view key, std::uint64_t v) { return scalar(key, GgufType::u64, v); }
  GgufBuilder& f32(std::string_view key, float v) { return scalar(key, GgufType::f32, v); }
  GgufBuilder& boolean(std::string_view key, bool v) {
    return scalar(key, GgufType::boolean, static_cast<std::uint8_t>(v));
  }
  GgufBuilder& text(std::string_view key, std::string_view v) {
    std::string value;
    put_string(&value, v);
    return raw(key, static_cast<std::uint32_t>(GgufType::string), value);
  }
  GgufBuilder& texts(std::string_view key, const std::vector<std::string>& list) {
    std::string value = array_head(GgufType::string, list.size());
    for (const std::string& item : list) put_string(&value, item);
    return raw(key, static_cast<std::uint32_t>(GgufType::array), value);
  }
  template <class T>
  GgufBuilder& array(std::string_view key, GgufType element, const std::vector<T>& list) {
    std::string value = array_head(element, list.size());
    for (const T item : list) put(&value, item);
    return raw(key, static_cast<std::uint32_t>(GgufType::array), value);
  }
  static std::string array_head(GgufType element, std::uint64_t count) {
    std::string value;
    put(&value, static_cast<std::uint32_t>(element));
    put(&value, count);
    return value;
  }

  /// A tensor laid out after the ones before it.
  GgufBuilder& tensor(std::string_view name, std::vector<std::uint64_t> ne,
                      std::string_view type = "F32") {
    const TensorFormat& format = *find_tensor_format(type);
    std::uint64_t rows = 1;
    for (std::size_t d = 1; d < ne.size(); ++d) rows *= ne[d];
    const std::uint64_t row = ne.empty() ? 1 : ne[0];
    const std::uint64_t bytes = *tensor_bytes(format, row, rows);
    tensors.push_back({std::string(name), std::move(ne), static_cast<std::uint32_t>(format.type),
                       data_bytes_, bytes});
    data_bytes_ += pad_up(bytes, alignment);
    return *this;
  }
  GgufBuilder& tensor(const TensorInfo& info) {
    return tensor(info.name, {info.ne[0], info.ne[1], info.ne[2], info.ne[3]},
                  format_of(info.type).name);
  }

  /// Bytes of all tensors, padded.
  std::uint64_t data_bytes() const { return data_bytes_; }

  std::string header() const {
    std::string out;
    put(&out, magic);
    put(&out, version);
    put(&out, n_tensors < 0 ? static_cast<std::uint64_t>(tensors.size())
                            : static_cast<std::uint64_t>(n_tensors));
    put(&out, n_keys < 0 ? key_count_ : static_cast<std::uint64_t>(n_keys));
    out += keys_;
    for (const Tensor& tensor : tensors) {
      put_string(&out, tensor.name);
      put(&out, static_cast<std::uint32_t>(tensor.ne.size()));
      for (const std::uint64_t n : tensor.ne) put(&out, n);
      put(&out, tensor.type);
      put(&out, tensor.offset);
    }
    return out;
  }
  std::string build() const {
    std::string out = header();
    if (!tensors.empty()) out.resize(pad_up(out.size(), alignment));
    if (write_data) out.resize(out.size() + data_bytes_);
    return out;
  }

 private:
  template <class T>
  GgufBuilder& scalar(std::string_view key, GgufType type, T v) {
    std::string value;
    put(&value, v);
    return raw(key, static_cast<std::uint32_t>(type), value);
  }

  std::string keys_;
  std::uint64_t key_count_ = 0, data_bytes_ = 0;
};

/// The sizes of a small Llama: change one and build.
struct TinyLlama {
  std::uint32_t n_layers = 2, n_embd = 64, n_heads = 4, n_kv_heads = 2, n_ff = 128, n_vocab = 96,
                n_ctx = 512;
  std::string architecture = "llama", type = "F32";

  /// The keys, with those whose end stands in `without` left out.
  void add_keys(GgufBuilder* b, const std::vector<std::string_view>& without = {}) const {
    const auto wanted = [&](std::string_view end) {
      for (const std::string_view name : without) {
        if (name == end) return false;
      }
      return true;
    };
    const auto put = [&](std::string_view end, std::uint32_t v) {
      if (wanted(end)) b->u32(architecture + "." + std::string(end), v);
    };
    if (wanted("general.architecture")) b->text("general.architecture", architecture);
    put("block_count", n_layers);
    put("context_length", n_ctx);
    put("embedding_length", n_embd);
    put("feed_forward_length", n_ff);
    put("attention.head_count", n_heads);
    put("attention.head_count_kv", n_kv_heads);
    if (wanted("rope.freq_base")) b->f32(architecture + ".rope.freq_base", 10000.0f);
    put("vocab_size", n_vocab);
  }
  void add_tensors(GgufBuilder* b) const {
    const std::uint64_t kv = std::uint64_t{n_embd} / n_heads * n_kv_heads;
    b->tensor("token_embd.weight", {n_embd, n_vocab}, type);
    for (std::uint32_t i = 0; i < n_layers; ++i) {
      const std::string blk = "blk." + std::to_string(i) + ".";
      b->tensor(blk + "attn_norm.weight", {n_embd});
      b->tensor(blk + "attn_q.weight", {n_embd, n_embd}, type);
      b->tensor(blk + "attn_k.weight", {n_embd, kv}, type);
      b->tensor(blk + "attn_v.weight", {n_embd, kv}, type);
      b->tensor(blk + "attn_output.weight", {n_embd, n_embd}, type);
      b->tensor(blk + "ffn_norm.weight", {n_embd});
      b->tensor(blk + "ffn_gate.weight", {n_embd, n_ff}, type);
      b->tensor(blk + "ffn_up.weight", {n_embd, n_ff}, type);
      b->tensor(blk + "ffn_down.weight", {n_ff, n_embd}, type);
    }
    b->tensor("output_norm.weight", {n_embd});
  }
  std::string build(const std::vector<std::string_view>& without = {}) const {
    GgufBuilder b;
    add_keys(&b, without);
    add_tensors(&b);
    return b.build();
  }
};

}  // namespace hwdb::testing
