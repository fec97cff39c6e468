// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "probes/child_message.h"
#include "probes/detect_machine.h"
#include "probes/measure/measure_message.h"

namespace probes {
namespace {

constexpr std::string_view kMeasureGpu = "measure-gpu", kNvmlPower = "nvml-power";

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

int run_probe_child(const std::string& which) {
  if (which != "vulkan" && which != "nvml" && which != kMeasureGpu && which != kNvmlPower) return 2;
  // Drivers print banners to stdout: from here on they reach stderr instead.
  const int message_fd = ::dup(STDOUT_FILENO);
  if (message_fd < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return 1;
  if (which == kMeasureGpu) {
    const int status = run_measure_child(message_fd);
    ::close(message_fd);
    return status;
  }
  if (which == kNvmlPower) {
    // Until nobody reads any more; the parent ends it.
    const hwdb::Status status = engine::watch_nvml_devices([&](const engine::NvmlAnswer& answer) {
      return write_all(message_fd, write_nvml_message(answer) + "\n");
    });
    if (!status) write_all(message_fd, write_nvml_message(status.error()) + "\n");
    ::close(message_fd);
    return 0;
  }
  const std::string message = which == "vulkan"
                                  ? write_vulkan_message(engine::list_vulkan_devices())
                                  : write_nvml_message(engine::list_nvml_devices());
  const bool written = write_all(message_fd, message + "\n");
  ::close(message_fd);
  return written ? 0 : 1;
}

}  // namespace probes
