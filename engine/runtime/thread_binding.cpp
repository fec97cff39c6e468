// SPDX-License-Identifier: MIT
#include "engine/runtime/thread_binding.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace engine {
namespace {

#if defined(__linux__)
/// A kernel's set of CPUs, of any number of them.
class CpuSet {
 public:
  explicit CpuSet(std::size_t n_cpus) : n_(n_cpus), set_(CPU_ALLOC(n_cpus)) {
    if (set_ != nullptr) CPU_ZERO_S(bytes(), set_);
  }
  ~CpuSet() {
    if (set_ != nullptr) CPU_FREE(set_);
  }
  CpuSet(const CpuSet&) = delete;
  CpuSet& operator=(const CpuSet&) = delete;

  bool valid() const { return set_ != nullptr; }
  std::size_t bytes() const { return CPU_ALLOC_SIZE(n_); }
  cpu_set_t* get() { return set_; }
  void add(std::uint32_t cpu) {
    if (cpu < n_) CPU_SET_S(cpu, bytes(), set_);
  }
  bool has(std::size_t cpu) const { return cpu < n_ && CPU_ISSET_S(cpu, bytes(), set_) != 0; }

 private:
  std::size_t n_;
  cpu_set_t* set_;
};

constexpr std::size_t kMostCpus = 1u << 16;

/// CPUs of the time that one group's cpu.max grants, or `else_cpus` where it sets no limit.
double quota_of(const std::string& folder, double else_cpus) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return else_cpus;
  char* end = nullptr;
  const double granted = std::strtod(quota.c_str(), &end);
  return *end == '\0' && granted > 0 ? std::min(else_cpus, granted / period) : else_cpus;
}

/// The least quota of this process's control group (version 2) and of those around it.
double read_quota(double else_cpus) {
  std::ifstream groups("/proc/self/cgroup");
  double least = else_cpus;
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::/")) continue;
    for (std::string path = line.substr(3); !path.empty();) {
      least = quota_of("/sys/fs/cgroup" + path, least);
      path.erase(path.find_last_of('/'));
    }
    least = quota_of("/sys/fs/cgroup", least);
  }
  return least;
}
#endif

}  // namespace

bool bind_this_thread(std::uint32_t cpu) {
  return bind_this_thread(std::vector<std::uint32_t>{cpu});
}

#if defined(__linux__)

bool bind_this_thread(const std::vector<std::uint32_t>& cpus) {
  if (cpus.empty() || *std::ranges::max_element(cpus) >= kMostCpus) return false;
  CpuSet set(*std::ranges::max_element(cpus) + 1);
  if (!set.valid()) return false;
  for (const std::uint32_t cpu : cpus) set.add(cpu);
  return sched_setaffinity(0, set.bytes(), set.get()) == 0;
}

std::vector<std::uint32_t> read_thread_binding() {
  std::vector<std::uint32_t> cpus;
  // The kernel refuses a set that is smaller than its own.
  for (std::size_t n = 1024; n <= kMostCpus && cpus.empty(); n *= 4) {
    CpuSet set(n);
    if (!set.valid() || sched_getaffinity(0, set.bytes(), set.get()) != 0) continue;
    for (std::uint32_t cpu = 0; cpu < n; ++cpu) {
      if (set.has(cpu)) cpus.push_back(cpu);
    }
  }
  return cpus;
}

unsigned read_usable_cpus() {
  const std::size_t allowed = read_thread_binding().size();
  const double cpus =
      allowed != 0 ? static_cast<double>(allowed) : std::thread::hardware_concurrency();
  return std::max(1u, static_cast<unsigned>(read_quota(cpus)));
}

#else

bool bind_this_thread(const std::vector<std::uint32_t>& /*cpus*/) {
  return false;
}

std::vector<std::uint32_t> read_thread_binding() {
  return {};
}

unsigned read_usable_cpus() {
  return std::max(1u, std::thread::hardware_concurrency());
}

#endif

}  // namespace engine
