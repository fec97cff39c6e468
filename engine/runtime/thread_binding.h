// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

namespace engine {

/// Pins the calling thread to one CPU (the system's number); false when the system refuses.
bool bind_this_thread(std::uint32_t cpu);
/// The same for several, to give a thread its old places back; false also for an empty list.
bool bind_this_thread(const std::vector<std::uint32_t>& cpus);
/// The CPUs that the calling thread may run on, ascending; empty when the system does not say.
std::vector<std::uint32_t> read_thread_binding();

/// How many threads of this process can run at the same moment: the smaller of the CPUs that the
/// calling thread may run on and the control groups' quota, at least 1.
unsigned read_usable_cpus();

}  // namespace engine
