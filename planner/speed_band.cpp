// SPDX-License-Identifier: MIT
#include "planner/speed_band.h"

#include <algorithm>
#include <cmath>

#include "planner/memory_plan.h"
#include "planner/plan_extras.h"

namespace planner {
namespace {

// Measured devices of a generation from which its own band is believed.
constexpr std::uint32_t kSiblings = 3;

// Half of a band that holds 90 % of a normal distribution, in its standard deviations.
constexpr double k90 = 1.645;

// Models that were no part of a calibration lie further off than those that were. Of six questions
// to three such models on one machine decode was off by 6 % and prefill by 7 % (root of the mean
// square).
constexpr double kUnseenDecode = 0.055, kUnseenPrefill = 0.065;

// True when the type of most of the model's weights was measured.
bool knows_types(const Calibration& calibration, const hwdb::ModelCosts& model) {
  const auto& shares = model.role_types.layers;
  if (shares.empty()) return true;
  const auto most = std::ranges::max_element(shares, {}, &hwdb::ModelCosts::TypeShare::bytes);
  const std::string_view name = hwdb::format_of(most->type).name;
  return std::ranges::any_of(calibration.errors, [&](const Calibration::Error& error) {
    return error.factor.starts_with(name) && error.factor.substr(name.size()).starts_with('.');
  });
}

// The widest spread of the devices that work; negative when one of them is not calibrated.
double calibrated_spread(const PlanBasis& basis, const Placement& placement, Phase phase) {
  double widest = 0;
  const auto take = [&](const DeviceRates& device) {
    if (device.calibration == nullptr) {
      widest = -1;
      return;
    }
    const double spread = phase == Phase::decode ? device.calibration->decode_spread
                                                 : device.calibration->prefill_spread;
    // That phase was not measured, or weights of that type were not.
    if (spread <= 0 || !knows_types(*device.calibration, *basis.model)) widest = -1;
    if (widest >= 0) widest = std::max(widest, spread);
  };
  if (uses_gpu(placement)) {
    for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g)
      if (placement.layers_on_gpu[g] > 0) take(basis.gpus[g]);
    if (uses_host(basis, placement)) take(basis.host);
  } else {
    take(basis.host);
  }
  return widest;
}

}  // namespace

std::string_view situation_of(const PlanBasis& basis, const Placement& placement) {
  if (!uses_gpu(placement)) return "cpu";
  if (uses_host(basis, placement)) return "offload";
  const auto used = std::ranges::count_if(placement.layers_on_gpu, [](auto n) { return n > 0; });
  if (used > 1) return "several_gpus";
  if (basis.model->shape.n_experts > 0) return "experts";
  if (basis.batch > 1) return "batch";
  return basis.decode_depth >= kDeepContext ? "depth" : "plain";
}

Estimate SpeedBand::rate(double tokens, double seconds, hwdb::Basis basis) const {
  if (seconds <= 0) return {0, 0, 0, basis};
  const double likely = tokens / seconds;
  return {likely * low, likely, likely * high, basis};
}

Estimate SpeedBand::time(double seconds, hwdb::Basis basis) const {
  return {seconds / high, seconds, seconds / low, basis};
}

SpeedBand find_band(const PlanBasis& basis, const Placement& placement, Phase phase) {
  if (double spread = calibrated_spread(basis, placement, phase); spread > 0) {
    spread = std::hypot(spread, phase == Phase::decode ? kUnseenDecode : kUnseenPrefill);
    return {std::exp(-k90 * spread), std::exp(k90 * spread), nullptr};
  }
  const Assumptions& a = *basis.assumptions;
  SpeedBand band{a.band_unknown_low, a.band_unknown_high, nullptr};
  if (a.speed_accuracy == nullptr) return band;
  const std::string_view situation = situation_of(basis, placement);
  const std::string_view words = phase == Phase::decode ? "decode" : "prefill";
  const std::string_view backend =
      !uses_gpu(placement)
          ? "cpu"
          : to_string(basis.settings->backend.value_or(
                basis.machine->gpus[static_cast<std::size_t>(basis.gpus.front().gpu)].backend));
  const DeviceFactors& factors = *(uses_gpu(placement) ? basis.gpus.front() : basis.host).factors;
  const bool known = factors.of_device;
  int best = -1;
  for (const hwdb::SpeedAccuracyRow& row : *a.speed_accuracy) {
    if (row.phase != words) continue;
    if (!row.situation.empty() && row.situation != situation) continue;
    if (!row.backend.empty() && row.backend != backend) continue;
    if (row.known_device && !known) continue;
    const int score = (row.known_device ? 4 : 0) + (row.situation.empty() ? 0 : 2) +
                      (row.backend.empty() ? 0 : 1);
    if (score <= best) continue;
    best = score;
    band = {row.low, row.high, &row};
  }
  // Of a generation that hardly anybody measured its siblings say little: the band of all devices,
  // where that is wider.
  if (!known && factors.generation_devices < kSiblings) {
    for (const hwdb::SpeedAccuracyRow& row : *a.speed_accuracy) {
      if (row.phase != words || row.known_device || !row.situation.empty()) continue;
      band.low = std::min(band.low, row.low), band.high = std::max(band.high, row.high);
    }
  }
  return band;
}

Estimate sum_of(const Estimate& first, const Estimate& second) {
  const double likely = first.likely + second.likely;
  const auto both = [](double a, double b) { return std::sqrt(a * a + b * b); };
  return {likely - both(first.likely - first.low, second.likely - second.low), likely,
          likely + both(first.high - first.likely, second.high - second.likely),
          weaker(first.basis, second.basis)};
}

}  // namespace planner
