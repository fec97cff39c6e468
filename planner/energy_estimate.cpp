// SPDX-License-Identifier: MIT
#include "planner/energy_estimate.h"

#include <algorithm>
#include <cmath>

namespace planner {
namespace {

using hwdb::Basis;

// Watts of one phase: what the machine draws at rest, and what its parts take beyond that.
struct Load {
  double gpu_w = 0;   // of all GPUs, at their own connectors
  double host_w = 0;  // of the processors beyond rest
};

bool is_apple(const hwdb::GpuInfo& gpu) {
  return gpu.vendor == "Apple";
}

double own_power_limit(const hwdb::GpuInfo& gpu, const hwdb::Machine& machine,
                       const Assumptions& assumptions, Basis* basis) {
  if (gpu.power_limit) {
    *basis = weaker(*basis, gpu.power_limit->basis);
    return gpu.power_limit->value.value;
  }
  *basis = Basis::assumed;
  if (gpu.kind != hwdb::GpuInfo::Kind::discrete && machine.cpu.tdp)
    return machine.cpu.tdp->value.value;
  return gpu.kind == hwdb::GpuInfo::Kind::discrete ? assumptions.gpu_unknown_w
                                                   : assumptions.shared_gpu_unknown_w;
}

// What the user holds it to, where that is less.
double power_limit(const hwdb::GpuInfo& gpu, const PlanBasis& plan, Basis* basis) {
  const double own = own_power_limit(gpu, *plan.machine, *plan.assumptions, basis);
  return std::min(own, plan.settings->power_limit_w.value_or(own));
}

// Integrated and unified GPUs rest inside the machine's own idle watts.
double idle_watts(const hwdb::GpuInfo& gpu, const Assumptions& assumptions, Basis* basis) {
  if (gpu.kind != hwdb::GpuInfo::Kind::discrete) return 0;
  if (gpu.idle) {
    *basis = weaker(*basis, gpu.idle->basis);
    return gpu.idle->value.value;
  }
  *basis = Basis::assumed;
  return assumptions.gpu_idle_w;
}

// Share of the power limit while decoding: all of a memory-bound model's when nearly all of the
// time is reading, less when dispatches and links leave the GPU waiting.
double decode_fraction(const hwdb::GpuInfo& gpu, const PlanBasis& basis,
                       const SpeedEstimate& speed) {
  const Assumptions& a = *basis.assumptions;
  if (is_apple(gpu)) return a.decode_fraction_apple;
  if (gpu.form == "laptop" || basis.machine->form == "laptop") return a.decode_fraction_laptop;
  if (basis.machine->form == "server" && gpu.kind == hwdb::GpuInfo::Kind::discrete)
    return a.decode_fraction_server;
  double reading = 0, total = 0;
  for (const TimeTerm& term : speed.decode_terms) {
    total += term.seconds;
    if (term.bound == Bound::memory) reading += term.seconds;
  }
  const double share = total > 0 ? reading / total : 1;
  // Linear between half of the time, where the small models of the power table lie, and nearly all.
  const double x = std::clamp((share - 0.5) / 0.4, 0.0, 1.0);
  return a.decode_fraction_small_model +
         x * (a.decode_fraction_memory_bound - a.decode_fraction_small_model);
}

// Share of the phase's time that a device works; in a chain of devices each waits for the others.
// Without a known speed every device that holds something is taken as busy.
double busy_share(const std::vector<TimeTerm>& terms, std::int32_t device) {
  double own = 0, total = 0;
  for (const TimeTerm& term : terms) {
    total += term.seconds;
    if (term.device == device && term.kind != TimeTerm::Kind::link) own += term.seconds;
  }
  return total > 0 ? own / total : 1;
}

bool in_parallel(const PlanBasis& basis, const Placement& placement) {
  return placement.layers_on_gpu.size() > 1 && basis.settings->split_mode != SplitMode::layer;
}

double wall_watts(const PlanBasis& basis, const Load& load, double peak_w) {
  const hwdb::Machine& machine = *basis.machine;
  const double dc = load.gpu_w + load.host_w;
  const bool has_psu = machine.form == "desktop" || machine.form == "server";
  double efficiency = basis.assumptions->adapter_efficiency;
  if (has_psu) {
    // Supplies are bought with about half as much again as the machine can take.
    const double rest = machine.base_idle.value.value;
    const double rated = 1.5 * (peak_w + rest);
    efficiency = psu_efficiency(*basis.assumptions, (dc + rest) / rated);
  }
  return machine.base_idle.value.value + dc / efficiency;
}

Estimate band(double watts, const Assumptions& a, Basis basis) {
  return {watts * a.watts_low, watts, watts * a.watts_high, basis};
}

Estimate wh_per_mtok(const Estimate& watts, const Estimate& rate) {
  Estimate e;
  e.basis = weaker(watts.basis, rate.basis);
  if (rate.likely <= 0) return e;
  e.likely = watts.likely / rate.likely * 1e6 / 3600;
  // Independent errors: relative distances add in quadrature.
  const auto spread = [](double a, double b) { return std::sqrt(a * a + b * b); };
  const double down = spread(1 - watts.low / watts.likely, 1 - rate.likely / rate.high);
  const double up = spread(watts.high / watts.likely - 1, rate.likely / rate.low - 1);
  e.low = e.likely * std::max(0.0, 1 - down);
  e.high = e.likely * (1 + up);
  return e;
}

}  // namespace

double psu_efficiency(const Assumptions& assumptions, double load) {
  const auto& x = assumptions.psu_load;
  const auto& y = assumptions.psu_efficiency;
  if (x.empty() || x.size() != y.size()) return 1;
  if (load <= x.front()) return y.front();
  for (std::size_t i = 1; i < x.size(); ++i) {
    if (load > x[i]) continue;
    return y[i - 1] + (y[i] - y[i - 1]) * (load - x[i - 1]) / (x[i] - x[i - 1]);
  }
  return y.back();
}

EnergyEstimate estimate_energy(const PlanBasis& basis, const Placement& placement,
                               const SpeedEstimate& speed) {
  const Assumptions& a = *basis.assumptions;
  const hwdb::Machine& machine = *basis.machine;
  Basis idle_basis = weaker(Basis::modelled, machine.base_idle.basis);
  Load idle, loaded, prefill, decode;
  double peak_w = 0;
  // Every GPU of the machine rests, also those that the plan leaves alone.
  for (const hwdb::GpuInfo& gpu : machine.gpus) {
    const double rest = idle_watts(gpu, a, &idle_basis);
    idle.gpu_w += rest;
    if (gpu.kind == hwdb::GpuInfo::Kind::discrete && gpu.power_limit)
      peak_w += gpu.power_limit->value.value;
  }
  loaded = prefill = decode = idle;
  Basis load_basis = idle_basis;
  for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g) {
    if (placement.layers_on_gpu[g] == 0 && !placement.output_on_gpu) continue;
    if (placement.layers_on_gpu[g] == 0 && placement.layers_on_gpu.size() > 1) continue;
    const DeviceRates& rates = basis.gpus[g];
    const hwdb::GpuInfo& gpu = machine.gpus[static_cast<std::size_t>(rates.gpu)];
    const bool discrete = gpu.kind == hwdb::GpuInfo::Kind::discrete;
    Basis ignored = Basis::modelled;
    const double rest = idle_watts(gpu, a, &ignored);
    const double resident = rest + (discrete ? a.gpu_loaded_idle_w : 0);
    const double limit = power_limit(gpu, basis, &load_basis);
    if (!discrete) peak_w += limit;
    loaded.gpu_w += resident - rest;
    const bool parallel = in_parallel(basis, placement);
    const double at_decode = std::max(resident, limit * decode_fraction(gpu, basis, speed));
    const double at_prefill =
        std::max(resident, limit * (is_apple(gpu) ? a.prefill_fraction_apple : a.prefill_fraction));
    const double decode_busy = parallel ? 1 : busy_share(speed.decode_terms, rates.gpu);
    const double prefill_busy = parallel ? 1 : busy_share(speed.prefill_terms, rates.gpu);
    decode.gpu_w += resident - rest + decode_busy * (at_decode - resident);
    prefill.gpu_w += resident - rest + prefill_busy * (at_prefill - resident);
  }
  const bool host_works = !placement.output_on_gpu || placement.n_gpu_layers <= basis.n_layers() ||
                          placement.n_cpu_moe > 0;
  if (host_works) {
    const double host_decode = busy_share(speed.decode_terms, -1);
    const double host_prefill = busy_share(speed.prefill_terms, -1);
    double cpu_w = a.cpu_unknown_w;
    if (machine.cpu.tdp) {
      cpu_w = machine.cpu.tdp->value.value;
      load_basis = weaker(load_basis, machine.cpu.tdp->basis);
    } else {
      load_basis = Basis::assumed;
      if (machine.form == "board" || machine.form == "phone") cpu_w = a.board_cpu_unknown_w;
    }
    cpu_w *= a.cpu_load_fraction;
    peak_w += cpu_w;
    decode.host_w = host_decode * cpu_w;
    prefill.host_w = host_prefill * cpu_w;
  }
  EnergyEstimate e;
  e.idle_w = band(wall_watts(basis, idle, peak_w), a, idle_basis);
  e.loaded_idle_w = band(wall_watts(basis, loaded, peak_w), a, idle_basis);
  e.prefill_w = band(wall_watts(basis, prefill, peak_w), a, load_basis);
  e.decode_w = band(wall_watts(basis, decode, peak_w), a, load_basis);
  e.prefill_wh_per_mtok = wh_per_mtok(e.prefill_w, speed.prefill_tok_per_s);
  e.decode_wh_per_mtok = wh_per_mtok(e.decode_w, speed.decode_tok_per_s);
  return e;
}

}  // namespace planner
