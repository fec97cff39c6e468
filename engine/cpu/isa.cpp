// SPDX-License-Identifier: MIT
#include "engine/cpu/isa.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <vector>

#include "engine/runtime/cpu_features.h"

namespace engine::cpu {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
  bool (*runs)(const CpuFeatures& features);
};

#if defined(__x86_64__)
constexpr bool kX86 = true, kArm = false;
#elif defined(__aarch64__)
constexpr bool kX86 = false, kArm = true;
#else
constexpr bool kX86 = false, kArm = false;
#endif

bool has_avx2(const CpuFeatures& f) {
  return kX86 && f.avx2 && f.fma && f.f16c;
}

bool has_avx512(const CpuFeatures& f) {
  return has_avx2(f) && f.avx512f && f.avx512dq && f.avx512bw && f.avx512vl;
}

constexpr std::array kIsas = {
    IsaRow{Isa::plain, "plain", [](const CpuFeatures&) { return true; }},
    IsaRow{Isa::avx2, "avx2", has_avx2},
    IsaRow{Isa::avx_vnni, "avx_vnni",
           [](const CpuFeatures& f) { return has_avx2(f) && f.avx_vnni; }},
    IsaRow{Isa::avx512, "avx512", has_avx512},
    IsaRow{Isa::avx512_vnni, "avx512_vnni",
           [](const CpuFeatures& f) { return has_avx512(f) && f.avx512_vnni; }},
    IsaRow{Isa::neon, "neon", [](const CpuFeatures& f) { return kArm && f.neon; }},
    IsaRow{Isa::neon_dotprod, "neon_dotprod",
           [](const CpuFeatures& f) { return kArm && f.neon && f.neon_dotprod; }},
    IsaRow{Isa::neon_i8mm, "neon_i8mm",
           [](const CpuFeatures& f) { return kArm && f.neon && f.neon_dotprod && f.neon_i8mm; }},
};

constexpr int kBest = -1;
std::atomic<int> forced{kBest};

}  // namespace

std::string_view to_string(Isa isa) {
  return kIsas[static_cast<std::size_t>(isa)].name;
}

std::span<const Isa> available_isas() {
  static const std::vector<Isa> isas = [] {
    std::vector<Isa> found;
    for (const IsaRow& row : kIsas) {
      if (row.runs(cpu_features())) found.push_back(row.isa);
    }
    return found;
  }();
  return isas;
}

Isa current_isa() {
  const int isa = forced.load(std::memory_order_relaxed);
  return isa == kBest ? available_isas().back() : static_cast<Isa>(isa);
}

void force_isa(std::optional<Isa> isa) {
  forced.store(isa ? static_cast<int>(*isa) : kBest, std::memory_order_relaxed);
}

std::optional<Isa> find_isa(std::string_view name) {
  const auto* row = std::ranges::find(kIsas, name, &IsaRow::name);
  if (row == kIsas.end()) return std::nullopt;
  return row->isa;
}

}  // namespace engine::cpu
