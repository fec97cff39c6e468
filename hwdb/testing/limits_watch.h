// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace hwdb::testing {

/// Peak resident memory of this process; reset by clear_peak_rss.
inline std::uint64_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}
/// Starts the peak anew from what is resident now; false where the kernel does not allow it.
inline bool clear_peak_rss() {
  std::ofstream refs("/proc/self/clear_refs");
  refs << "5" << std::flush;
  return refs.good();
}
inline std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

/// Fails the running test when its scope took longer than robustness allows a single file.
class Watchdog {
 public:
  explicit Watchdog(double seconds = 5) : seconds_(seconds) {}
  ~Watchdog() {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
    EXPECT_LT(spent.count(), seconds_) << "one case took too long";
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  double seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Measures how much the peak grew in its scope. Under a sanitizer, whose shadow counts too, 0.
class PeakMemory {
 public:
  PeakMemory() : cleared_(clear_peak_rss()), before_(resident_bytes()) {}
  std::uint64_t growth() const {
    if (kSanitized || !cleared_) return 0;
    const std::uint64_t peak = peak_rss_bytes();
    return peak > before_ ? peak - before_ : 0;
  }

 private:
  bool cleared_;
  std::uint64_t before_;
};

}  // namespace hwdb::testing
