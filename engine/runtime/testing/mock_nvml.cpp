// SPDX-License-Identifier: MIT
// NVIDIA's management library for tests: two cards, the second of which keeps most to itself.
#include <cstdint>
#include <cstring>

namespace {

struct Memory {
  unsigned long long total, free, used;
};
struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};
constexpr int kNotSupported = 3;

std::uintptr_t index_of(void* device) {
  return reinterpret_cast<std::uintptr_t>(device) - 1;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int nvmlInit_v2() {
  return 0;
}
EXPORT int nvmlShutdown() {
  return 0;
}
EXPORT int nvmlSystemGetDriverVersion(char* out, unsigned size) {
  std::strncpy(out, "550.163.01", size);
  return 0;
}
EXPORT int nvmlDeviceGetCount_v2(unsigned* n) {
  *n = 2;
  return 0;
}
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned i, void** device) {
  *device = reinterpret_cast<void*>(std::uintptr_t{i} + 1);
  return 0;
}
EXPORT int nvmlDeviceGetName(void* device, char* out, unsigned size) {
  std::strncpy(out, index_of(device) == 0 ? "NVIDIA GeForce RTX 4090" : "NVIDIA GB10", size);
  return 0;
}
EXPORT int nvmlDeviceGetUUID(void* device, char* out, unsigned size) {
  std::strncpy(out, index_of(device) == 0 ? "GPU-0" : "GPU-1", size);
  return 0;
}
EXPORT int nvmlDeviceGetPciInfo_v3(void* device, PciInfo* out) {
  *out = {};
  out->domain = index_of(device) == 0 ? 0 : 0xf;
  out->bus = 1;
  out->pci_device_id = index_of(device) == 0 ? 0x268410de : 0x2e1210de;
  return 0;
}
EXPORT int nvmlDeviceGetMemoryInfo(void* device, Memory* out) {
  if (index_of(device) == 1) return kNotSupported;
  *out = {25757220864ull, 25000000000ull, 757220864ull};
  return 0;
}
EXPORT int nvmlDeviceGetEnforcedPowerLimit(void* device, unsigned* milliwatts) {
  if (index_of(device) == 1) return kNotSupported;
  *milliwatts = 450000;
  return 0;
}
EXPORT int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  if (index_of(device) == 1) return kNotSupported;
  *milliwatts = 21500;
  return 0;
}
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  static unsigned long long counted = 5000;
  if (index_of(device) == 1) return kNotSupported;
  *millijoules = counted += 1000;
  return 0;
}
EXPORT int nvmlDeviceGetMaxPcieLinkGeneration(void* device, unsigned* generation) {
  if (index_of(device) == 1) return kNotSupported;
  *generation = 4;
  return 0;
}
EXPORT int nvmlDeviceGetCurrPcieLinkWidth(void* device, unsigned* width) {
  if (index_of(device) == 1) return kNotSupported;
  *width = 8;
  return 0;
}
EXPORT int nvmlDeviceGetCudaComputeCapability(void* device, int* major, int* minor) {
  *major = index_of(device) == 0 ? 8 : 12;
  *minor = index_of(device) == 0 ? 9 : 1;
  return 0;
}
