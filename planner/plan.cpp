// SPDX-License-Identifier: MIT
#include "planner/plan.h"

#include <algorithm>

namespace planner {

std::string_view to_string(Fits fits) {
  switch (fits) {
    case Fits::gpu:
      return "gpu";
    case Fits::gpu_tight:
      return "gpu_tight";
    case Fits::offload:
      return "offload";
    case Fits::cpu:
      return "cpu";
    case Fits::no:
      return "no";
  }
  return "no";
}

std::string_view to_string(Bound bound) {
  switch (bound) {
    case Bound::memory:
      return "memory";
    case Bound::compute:
      return "compute";
    case Bound::link:
      return "link";
    case Bound::overhead:
      return "overhead";
  }
  return "memory";
}

std::string_view to_string(TimeTerm::Kind kind) {
  using Kind = TimeTerm::Kind;
  switch (kind) {
    case Kind::weights:
      return "weights";
    case Kind::experts:
      return "experts";
    case Kind::output:
      return "output";
    case Kind::cache:
      return "cache";
    case Kind::activations:
      return "activations";
    case Kind::link:
      return "link";
    case Kind::dispatch:
      return "dispatch";
    case Kind::draft:
      return "draft";
    case Kind::pass:
      return "pass";
  }
  return "";
}

std::string_view to_string(AttachedMemory::Kind kind) {
  switch (kind) {
    case AttachedMemory::Kind::projector:
      return "projector";
    case AttachedMemory::Kind::adapter:
      return "adapter";
    case AttachedMemory::Kind::draft_model:
      return "draft model";
    case AttachedMemory::Kind::draft_layers:
      return "draft layers";
  }
  return "projector";
}

Estimate per_sequence(const Estimate& together, std::uint32_t n) {
  const double share = 1.0 / std::max(1u, n);
  return {together.low * share, together.likely * share, together.high * share, together.basis};
}

hwdb::Bytes MemoryPlan::total() const {
  hwdb::Bytes sum;
  for (const DeviceMemory& device : devices) sum += device.total();
  return sum;
}

}  // namespace planner
