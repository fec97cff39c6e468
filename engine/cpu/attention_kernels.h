// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

/// What attention.cpp asks of one set of instructions. attention_<isa>.cpp holds it, compiled with
/// flags of its own; those files and the *-inl.h that they include keep everything in unnamed
/// namespaces and call no inline function of the standard library: the linker keeps one copy of
/// such a function for the whole program, and it could be one with instructions that the processor
/// lacks.
namespace engine::cpu {

/// How a row of the cache is stored; blocks are those of GGUF files.
enum class CacheType : std::uint8_t { f32, f16, bf16, q8_0, q4_0 };

/// Keys that are scored at a time; scratch memory counts in them. Tiles and parts begin at
/// multiples of their lengths, counted from position 0, so that the order of a token's sums does
/// not depend on which tokens are worked at with it.
inline constexpr std::uint32_t kTileKeys = 64;
/// Positions of a part: the results of parts are folded into one in the order of positions.
inline constexpr std::uint32_t kPartKeys = 256;

/// Where a task puts what it needs for a moment: 64-byte aligned, and never uninitialized.
struct AttentionScratch {
  std::size_t query_stride = 0;       // elements from one column's query to the next: whole vectors
  float* queries = nullptr;           // columns x query_stride, scaled
  std::byte* query_quants = nullptr;  // the same as int8
  float* query_scales = nullptr;      // columns x blocks of a key
  std::int32_t* query_offsets = nullptr;  // the same
  float* rows = nullptr;                  // kTileKeys x query_stride: keys as floats, or as int8
  float* keys = nullptr;                  // int8: a word of four elements x kTileKeys, transposed
  float* key_scales = nullptr;            // blocks x kTileKeys
  std::size_t value_stride = 0;           // floats from one row of values to the next
  float* values = nullptr;                // kTileKeys x value_stride, decoded
  float* value_scales = nullptr;          // blocks of a value row x kTileKeys
  float* scores = nullptr;                // columns x kTileKeys
};

/// Tokens of one sequence at consecutive positions, the query heads that share one KV head, and a
/// range of positions. A column is one query head of one token: column = token * n_group + head.
struct AttentionTask {
  CacheType type_k{}, type_v{};
  const std::byte* k = nullptr;  // cell 0 of the sequence and KV head
  const std::byte* v = nullptr;  // likewise; null: values are the first elements of the keys
  std::uint32_t head_dim_k = 0, head_dim_v = 0, n_cells = 0;
  std::uint32_t n_tokens = 0, n_group = 0;
  std::uint32_t first_position = 0;  // of the first token
  std::uint32_t begin = 0, end = 0;  // positions of keys; never empty
  std::uint32_t window = 0, chunk = 0;
  float scale = 0, softcap = 0;
  const float* q = nullptr;  // of token t, head h: q + t * q_stride + h * head_dim_k
  std::size_t q_stride = 0;
  const AttentionScratch* scratch = nullptr;
  /// The result: of each column the greatest score, the sum of exp(score - greatest), and the
  /// values weighted so (scratch->value_stride floats a column, 64-byte aligned).
  float* greatest = nullptr;
  float* total = nullptr;
  float* sums = nullptr;
};

/// Columns whose results so far take up those of one more part, or become the answer.
struct AttentionFold {
  std::size_t n_columns = 0, stride = 0;  // floats from one column's sums to the next
  const float* part_greatest = nullptr;
  const float* part_total = nullptr;
  const float* part_sums = nullptr;
  // In and out; before the first part no score, 0 and zeros.
  float* greatest = nullptr;
  float* total = nullptr;
  float* sums = nullptr;
};

/// The answer of one column.
struct AttentionAnswer {
  float greatest = 0, total = 0;
  const float* sums = nullptr;  // up to whole vectors
  std::uint32_t head_dim_v = 0;
  const float* sink = nullptr;  // a score without a value; or null
  float* out = nullptr;         // head_dim_v floats
};

struct AttentionKernels {
  /// Writes n floats (a multiple of the type's block) in the type.
  void (*store)(CacheType type, const float* from, std::size_t n, std::byte* to);
  /// The keys of one task lie in one part.
  void (*attend)(const AttentionTask& task);
  void (*fold)(const AttentionFold& fold);
  void (*answer)(const AttentionAnswer& answer);
};

/// Null where this build has none. Calling one that the processor lacks ends the program.
const AttentionKernels* plain_attention();  // never null
const AttentionKernels* avx2_attention();
const AttentionKernels* avx_vnni_attention();
const AttentionKernels* avx512_attention();
const AttentionKernels* avx512_vnni_attention();
const AttentionKernels* neon_attention();
const AttentionKernels* neon_dotprod_attention();

}  // namespace engine::cpu
