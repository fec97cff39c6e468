// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace hwdb {

/// How a number came to be. `spec` is a vendor's statement or a catalogue row that was read in its
/// source; `unverified` is a catalogue figure nobody found a source for; `assumed` is our own
/// stated default.
enum class Basis { measured, calibrated, detected, spec, modelled, unverified, assumed };

std::string_view to_string(Basis basis);
/// false when `text` names no basis.
bool parse_basis(std::string_view text, Basis* out);
/// The weaker of two: what a result rests on when it was made from both.
Basis weaker(Basis a, Basis b);

/// A value that knows where it came from. `source` is one short phrase ("catalogue:
/// nvidia-geforce-rtx-4090", "hwloc", "assumed: all channels filled"); `as_of` is a date or empty.
template <class T>
struct Sourced {
  T value{};
  Basis basis = Basis::assumed;
  std::string source;
  std::string as_of;
};

}  // namespace hwdb
