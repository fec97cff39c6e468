// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hwdb/result.h"

namespace engine {

/// What NVIDIA's management library says about one GPU; absent where it does not know.
struct NvmlDevice {
  std::string name, uuid;
  std::string pci_address;   // "0000:01:00.0"
  std::uint32_t pci_id = 0;  // device << 16 | vendor, as NVML packs it
  std::optional<std::uint64_t> memory_total_bytes, memory_free_bytes;
  std::optional<double> power_limit_watts;
  std::optional<double> power_watts;    // now; on some cards the mean of the last second
  std::optional<double> energy_joules;  // since the driver was loaded
  std::optional<std::uint32_t> max_pcie_gen, max_pcie_width, pcie_width;
  std::string compute_capability;  // "8.9", "" unknown
  bool mig = false;                // cut into instances: the memory above is not one pool
};

struct NvmlAnswer {
  std::string driver_version;
  std::vector<NvmlDevice> devices;
};

/// Opens NVML and asks every GPU. Loads the vendor's library into this process, so only a child
/// process may call it. Errors: probe.nvml_missing, probe.nvml.
hwdb::Result<NvmlAnswer> list_nvml_devices(const std::string& library = "libnvidia-ml.so.1");

/// The same over and over, some ten times a second, until `hear` answers false. Errors as above, of
/// the start.
hwdb::Status watch_nvml_devices(const std::function<bool(const NvmlAnswer&)>& hear,
                                const std::string& library = "libnvidia-ml.so.1");

}  // namespace engine
