// SPDX-License-Identifier: MIT
#include "engine/runtime/nvml_loader.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

namespace engine {
namespace {

// NVML's binary interface, as far as it is used: its header is not needed to build, and versioned
// names ("_v2", "_v3") never change their meaning.
using Device = void*;
struct Memory {
  unsigned long long total, free, used;
};
struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};
constexpr unsigned kMaxDevices = 256;
constexpr auto kPeriod = std::chrono::milliseconds(100);

struct LibraryCloser {
  void operator()(void* handle) const { ::dlclose(handle); }
};

class Nvml {
 public:
  explicit Nvml(void* handle) : handle_(handle) {}
  /// Calls the function of that name; false when the library lacks it or it fails.
  template <class... Args>
  bool call(const char* name, Args... args) {
    using Function = int (*)(Args...);
    const auto function = reinterpret_cast<Function>(::dlsym(handle_, name));
    last_ = function != nullptr ? function(args...) : -1;
    return last_ == 0;
  }
  int last() const { return last_; }

 private:
  void* handle_;
  int last_ = 0;
};

template <std::size_t N>
std::string text(const std::array<char, N>& field) {
  return std::string(field.data(), strnlen(field.data(), N));
}

NvmlDevice read_device(Nvml* nvml, Device device) {
  NvmlDevice out;
  std::array<char, 96> buffer{};
  const auto size = static_cast<unsigned>(buffer.size());
  if (nvml->call("nvmlDeviceGetName", device, buffer.data(), size)) out.name = text(buffer);
  buffer.fill(0);
  if (nvml->call("nvmlDeviceGetUUID", device, buffer.data(), size)) out.uuid = text(buffer);
  PciInfo pci{};
  if (nvml->call("nvmlDeviceGetPciInfo_v3", device, &pci)) {
    out.pci_address = fmt::format("{:04x}:{:02x}:{:02x}.0", pci.domain, pci.bus, pci.device);
    out.pci_id = pci.pci_device_id;
  }
  Memory memory{};
  if (nvml->call("nvmlDeviceGetMemoryInfo", device, &memory) && memory.total > 0) {
    out.memory_total_bytes = memory.total;
    out.memory_free_bytes = std::min(memory.free, memory.total);
  }
  unsigned value = 0;
  if (nvml->call("nvmlDeviceGetEnforcedPowerLimit", device, &value) && value > 0)
    out.power_limit_watts = value / 1000.0;
  if (nvml->call("nvmlDeviceGetPowerUsage", device, &value)) out.power_watts = value / 1000.0;
  unsigned long long millijoules = 0;
  if (nvml->call("nvmlDeviceGetTotalEnergyConsumption", device, &millijoules))
    out.energy_joules = static_cast<double>(millijoules) / 1000.0;
  if (nvml->call("nvmlDeviceGetMaxPcieLinkGeneration", device, &value)) out.max_pcie_gen = value;
  if (nvml->call("nvmlDeviceGetMaxPcieLinkWidth", device, &value)) out.max_pcie_width = value;
  if (nvml->call("nvmlDeviceGetCurrPcieLinkWidth", device, &value)) out.pcie_width = value;
  int major = 0, minor = 0;
  if (nvml->call("nvmlDeviceGetCudaComputeCapability", device, &major, &minor))
    out.compute_capability = fmt::format("{}.{}", major, minor);
  unsigned mode = 0, pending = 0;
  out.mig = nvml->call("nvmlDeviceGetMigMode", device, &mode, &pending) && mode == 1;
  return out;
}

}  // namespace

hwdb::Result<NvmlAnswer> list_nvml_devices(const std::string& library) {
  NvmlAnswer first;
  const hwdb::Status status = watch_nvml_devices(
      [&](const NvmlAnswer& answer) {
        first = answer;
        return false;
      },
      library);
  if (!status) return status.error();
  return first;
}

hwdb::Status watch_nvml_devices(const std::function<bool(const NvmlAnswer&)>& hear,
                                const std::string& library) {
  std::unique_ptr<void, LibraryCloser> handle(::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (handle == nullptr) {
    return hwdb::Error{"probe.nvml_missing", fmt::format("{} is not installed", library), "NVML",
                       ""};
  }
  Nvml nvml(handle.get());
  const auto failed = [&](const char* call) {
    return hwdb::Error{"probe.nvml", fmt::format("{} returned {}", call, nvml.last()), "NVML", ""};
  };
  if (!nvml.call("nvmlInit_v2")) return failed("nvmlInit_v2");
  NvmlAnswer answer;
  std::array<char, 96> version{};
  if (nvml.call("nvmlSystemGetDriverVersion", version.data(),
                static_cast<unsigned>(version.size())))
    answer.driver_version = text(version);
  for (;;) {
    unsigned n = 0;
    if (!nvml.call("nvmlDeviceGetCount_v2", &n)) return failed("nvmlDeviceGetCount_v2");
    answer.devices.clear();
    for (unsigned i = 0; i < std::min(n, kMaxDevices); ++i) {
      Device device = nullptr;
      if (nvml.call("nvmlDeviceGetHandleByIndex_v2", i, &device) && device != nullptr)
        answer.devices.push_back(read_device(&nvml, device));
    }
    if (!hear(answer)) break;
    std::this_thread::sleep_for(kPeriod);
  }
  nvml.call("nvmlShutdown");
  return hwdb::Ok{};
}

}  // namespace engine
