// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/machine.h"
#include "hwdb/rows.h"
#include "planner/device_factors.h"

/// Which factors count for a class of devices, and the peaks they are shares of.
namespace planner {

/// "cuda", "rocm", "vulkan", "metal", "sycl": as the factor rows say it.
std::string_view to_string(hwdb::GpuInfo::Backend backend);

/// What factor rows are chosen by. Views into the records that it was made from.
struct DeviceClass {
  std::string_view runtime;  // "tokwatt" or "llama.cpp", which stands for all that build on it
  std::string_view backend, vendor, arch;
  std::string_view form;    // discrete, integrated, unified, laptop; processors: cpu or board
  std::string_view device;  // id of its catalogue row, "" none
  bool operator==(const DeviceClass&) const = default;
};
DeviceClass class_of(std::string_view runtime, const hwdb::GpuInfo& gpu,
                     hwdb::GpuInfo::Backend backend);
/// Of the processors: the architecture is the widest set of vector instructions.
DeviceClass cpu_class_of(std::string_view runtime, const hwdb::Machine& machine);

/// True when every member that the row names is the class's.
bool matches(const hwdb::SpeedFactorRow& row, const DeviceClass& device);

/// The product of all rows that match; the initial values of DeviceFactors where no row has an
/// absolute value.
DeviceFactors factors_of(const std::vector<hwdb::SpeedFactorRow>& rows, const DeviceClass& device);

/// factors_of, worked out once a class. Safe to share between threads; answers stay where they are.
class ClassFactors {
 public:
  /// The rows must outlive it.
  explicit ClassFactors(const std::vector<hwdb::SpeedFactorRow>* rows);
  ~ClassFactors();
  const DeviceFactors& of(const DeviceClass& device) const;

 private:
  struct Known;
  const std::vector<hwdb::SpeedFactorRow>* rows_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<const Known>> known_;
};

/// Arithmetic peak that shares are of: the larger of 16 bit (with matrix units where there are any)
/// and 32 bit. 0 when nobody knows.
hwdb::FlopsPerSecond gpu_peak(const hwdb::GpuInfo& gpu);
/// The processors' peak, 32 bit: as known, else cores x the widest vector unit named in the
/// instruction sets x 3 GHz (2 GHz on boards and phones). `assumed` tells that it is the latter.
hwdb::FlopsPerSecond cpu_peak(const hwdb::Machine& machine, bool* assumed);

}  // namespace planner
