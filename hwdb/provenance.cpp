// SPDX-License-Identifier: MIT
#include "hwdb/provenance.h"

#include <algorithm>
#include <array>

namespace hwdb {
namespace {

// In order of trust, strongest first: weaker() relies on it.
constexpr std::array<std::pair<Basis, std::string_view>, 7> kNames = {{
    {Basis::measured, "measured"},
    {Basis::calibrated, "calibrated"},
    {Basis::detected, "detected"},
    {Basis::spec, "spec"},
    {Basis::modelled, "modelled"},
    {Basis::unverified, "unverified"},
    {Basis::assumed, "assumed"},
}};

}  // namespace

std::string_view to_string(Basis basis) {
  return kNames[static_cast<std::size_t>(basis)].second;
}

bool parse_basis(std::string_view text, Basis* out) {
  const auto* it = std::ranges::find(kNames, text, [](const auto& name) { return name.second; });
  if (it == kNames.end()) return false;
  *out = it->first;
  return true;
}

Basis weaker(Basis a, Basis b) {
  return std::max(a, b);
}

}  // namespace hwdb
