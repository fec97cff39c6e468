// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "probes/measure/cpu_kernels.h"

namespace probes {

/// Operands for this kind: small numbers of both signs, of which sums are exact in FP32 for at
/// least `kExactSteps` steps.
void fill_peak_input(PeakMath math, std::uint32_t seed, PeakInput* input);
inline constexpr std::uint64_t kExactSteps = 100;

/// What a kernel must answer after so many steps (at most kExactSteps where floats are added), one
/// word a lane; made by plain loops.
std::vector<std::uint32_t> peak_reference(const PeakKernel& kernel, const PeakInput& input,
                                          std::uint64_t steps);

/// Runs the kernel for a few steps and holds it to the reference: "" or what is wrong.
std::string check_peak_kernel(const PeakKernel& kernel);

}  // namespace probes
