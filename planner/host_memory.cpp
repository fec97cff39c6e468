// SPDX-License-Identifier: MIT
#include "planner/host_memory.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace planner {
namespace {

hwdb::Bytes to_bytes(double value) {
  return hwdb::Bytes(value <= 0 ? 0 : static_cast<std::uint64_t>(std::llround(value)));
}

bool has(const hwdb::CpuInfo& cpu, std::string_view feature) {
  return std::ranges::any_of(cpu.isa,
                             [&](const std::string& name) { return name.starts_with(feature); });
}

/// Weights that are copied into a second layout. With a GPU at hand the loader prefers memory that
/// the GPU can read, so this is for processors alone.
double repacked(const PlanBasis& basis) {
  if (!basis.settings->repack || !basis.gpus.empty()) return 0;
  const hwdb::CpuInfo& cpu = basis.machine->cpu;
  const hwdb::ModelCosts::RepackBytes& bytes = basis.model->repack;
  if (has(cpu, "avx512")) return static_cast<double>(bytes.avx512);
  if (has(cpu, "avx2")) return static_cast<double>(bytes.avx2);
  if (has(cpu, "neon_dotprod") || has(cpu, "neon_i8mm")) return static_cast<double>(bytes.neon);
  return 0;
}

}  // namespace

HostMemory host_memory(const PlanBasis& basis, const DeviceBytes& host) {
  const RunSettings& settings = *basis.settings;
  HostMemory memory;
  const LoadMode mode = settings.load_mode;
  const bool maps =
      mode == LoadMode::automatic || mode == LoadMode::mmap || mode == LoadMode::mmap_mlock;
  memory.locked = mode == LoadMode::mlock || mode == LoadMode::mmap_mlock;
  const double copied = std::min(repacked(basis), host.weights);
  memory.mapped = to_bytes(maps ? host.weights - copied : 0);
  memory.anonymous = to_bytes(maps ? copied : host.weights);
  if (settings.cache_ram_mib >= 0)
    memory.prompt_cache = hwdb::Bytes(static_cast<std::uint64_t>(settings.cache_ram_mib) << 20);
  // Kept for what cannot be cut back to an earlier token: recurrent states, and caches of sliding
  // windows, of one sequence each (PARTIAL_ONLY of the server's checkpoints).
  const double n_seq = std::max(1u, settings.n_seq);
  const double each = (basis.sums.back().state / basis.state_copies + basis.window_kv) / n_seq;
  memory.checkpoint = to_bytes(each);
  memory.checkpoints = to_bytes(each * n_seq * settings.ctx_checkpoints);
  return memory;
}

}  // namespace planner
