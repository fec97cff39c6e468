// SPDX-License-Identifier: MIT
#include "planner/cli/utc_time.h"

#include <array>
#include <ctime>

namespace cli {

std::string utc_time(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  return std::string(text.data(), std::strftime(text.data(), text.size(), format, &utc));
}

std::string utc_now() {
  return utc_time("%Y-%m-%dT%H:%M:%SZ");
}

}  // namespace cli
