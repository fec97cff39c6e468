// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

/// The loops that measuring the processor runs, one file for each instruction set, each with
/// compile flags of its own. This header and those files hold no inline function and include no
/// header of the standard library that has one: the linker keeps one copy of an inline function for
/// the whole program, and it could be one with instructions that the processor lacks.
namespace probes {

/// Loops over memory. All pointers are aligned to 64 bytes, all sizes are multiples of 4 KiB.
struct StreamKernels {
  const char* isa;     // "AVX-512"
  const char* stores;  // how copy and triad write: "non-temporal stores"
  /// Reads `bytes` of each of `streams` (1...8) streams that lie `stride` bytes apart, all side by
  /// side; answers with the sum of their 64-bit words.
  std::uint64_t (*read)(const std::uint8_t* first, std::size_t stride, unsigned streams,
                        std::size_t bytes);
  void (*copy)(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes);
  /// to = a + factor * b, of floats; whether with one rounding or two depends on the set.
  void (*triad)(float* to, const float* a, const float* b, float factor, std::size_t bytes);
};

inline constexpr std::size_t kPeakBytes = 1024;  // of an operand: one AMX tile
inline constexpr std::size_t kPeakLanes = 256;   // of a result

/// What a compute loop multiplies, over and over.
struct PeakInput {
  alignas(64) std::uint8_t a[kPeakBytes];
  alignas(64) std::uint8_t b[kPeakBytes];
};
/// Its accumulators, summed over all of them lane by lane, as 32-bit words.
struct PeakResult {
  alignas(64) std::uint32_t lane[kPeakLanes];
};

/// What is multiplied, and hence what the result must be (peak_reference).
enum class PeakMath {
  fp32_fma,    // accumulator i starts at 1 + i and gains a * b, both floats
  int8_u8s8,   // accumulator i starts at i; each 32-bit lane gains four products of u8 a and s8 b
  int8_s8s8,   // the same, both signed
  bf16_pairs,  // accumulators (floats) start at 0; each lane gains two products of bf16
  int8_tile,   // they start at 0 and gain 16x64 of a by 64x16 of b, four k packed in a lane (AMX)
  bf16_tile,   // they start at 0 and gain 16x32 of a by 32x16 of b, two k packed in a lane (AMX)
  int8_matrix  // accumulator i starts at i and gains 2x8 of a by the transposed 2x8 of b (NEON)
};

struct PeakKernel {
  const char* instruction;  // "vpdpbusd zmm"
  PeakMath math;
  unsigned lanes;                  // of the result
  unsigned accumulators;           // independent chains
  unsigned sequences_per_step;     // how often the instruction (or short sequence) runs in one step
  double operations_per_sequence;  // a multiplication and an addition are two
  void (*run)(const PeakInput* input, std::uint64_t steps, PeakResult* result);
};

/// The kernels of one set; null where this build has none. Calling those that the processor lacks
/// ends the program: ask engine::cpu_features first.
const StreamKernels* plain_stream_kernels();  // never null
const StreamKernels* avx2_stream_kernels();
const StreamKernels* avx512_stream_kernels();
const StreamKernels* neon_stream_kernels();

const PeakKernel* plain_fp32_kernel();  // never null
const PeakKernel* avx2_fp32_kernel();
const PeakKernel* avx2_int8_kernel();
const PeakKernel* avx_vnni_int8_kernel();
const PeakKernel* avx512_fp32_kernel();
const PeakKernel* avx512_vnni_int8_kernel();
const PeakKernel* avx512_bf16_kernel();
const PeakKernel* amx_int8_kernel();
const PeakKernel* amx_bf16_kernel();
const PeakKernel* neon_fp32_kernel();
const PeakKernel* neon_dotprod_int8_kernel();
const PeakKernel* neon_i8mm_int8_kernel();
const PeakKernel* neon_bf16_kernel();

/// Adds that wait for each other, `steps` times 32 of them, each one clock cycle. False where this
/// build does not know how.
bool run_add_chain(std::uint64_t steps);
inline constexpr unsigned kAddsPerStep = 32;

}  // namespace probes
