// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hwdb/machine.h"

namespace hwdb {

/// A name for a detected machine that stays the same while its processor and GPUs do: what its
/// profile is filed under. Drivers, memory and settings are not in it.
std::string machine_key(const Machine& machine);

/// What measurements depend on, one line each: processor and its usable threads, memory, GPUs,
/// their drivers, the governor of the clock, the environment.
std::string machine_fingerprint(const Machine& machine);

/// What differs between two fingerprints, as "GPU driver: NVIDIA 550.1, was NVIDIA 535.2"; empty
/// when measurements of the one hold for the other. Memory may differ by 3 % (kernels keep some to
/// themselves); a driver that is not known on one side is no difference.
std::vector<std::string> fingerprint_differences(std::string_view here, std::string_view stored);

}  // namespace hwdb
