// SPDX-License-Identifier: MIT
#include "probes/measure/measure_all.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "probes/measure/load_times.h"
#include "probes/measure/measure_cpu.h"
#include "probes/measure/measure_machine.h"
#include "probes/measure/measure_steps.h"
#include "probes/measure/power.h"

namespace probes {
namespace {

constexpr double kShortestLoadSeconds = 0.5;  // below it a power sensor tells nothing

// One file for all users; it stays behind, empty.
constexpr const char* kLockFile = "/tmp/tokwatt-measuring.lock";

/// Sums the progress of parts up to one of the whole.
class Parts {
 public:
  Parts(std::vector<double> seconds, const std::function<void(const MeasureProgress&)>& progress)
      : seconds_(std::move(seconds)), progress_(progress) {
    for (const double s : seconds_) all_ += s;
  }
  std::function<void(const MeasureProgress&)> of(std::size_t part, std::string prefix) {
    double before = 0, after = 0;
    for (std::size_t i = 0; i < part; ++i) before += seconds_[i];
    for (std::size_t i = part + 1; i < seconds_.size(); ++i) after += seconds_[i];
    const double own = seconds_[part];
    return [this, before, after, own, prefix = std::move(prefix)](const MeasureProgress& p) {
      if (!progress_) return;
      const double f = std::clamp(p.fraction, 0.0, 1.0);
      progress_({prefix + p.step, (before + own * f) / all_, p.eta_seconds + after});
    };
  }

 private:
  std::vector<double> seconds_;
  const std::function<void(const MeasureProgress&)>& progress_;
  double all_ = 0;
};

/// The loads whose watts are worth a reading, and what they are called there.
constexpr std::array kGpuLoads = {std::pair{"gpu.read_bandwidth", "gpu_read"},
                                  std::pair{"gpu.fp32_rate", "gpu_fp32"},
                                  std::pair{"gpu.matrix_fp16_rate", "gpu_matrix"}};

/// One GPU's readings, and the watts of all sensors while it worked.
void measure_gpu_with_watts(const hwdb::GpuInfo& gpu, const MeasureOptions& how,
                            const std::function<void(const MeasureProgress&)>& progress,
                            const std::atomic<bool>* cancel, hwdb::Machine* machine) {
  const SysRoot sys;
  PowerMeter meter(sys);
  LoadTimes times;
  {
    const bool nvidia = gpu.backend == hwdb::GpuInfo::Backend::cuda;
    PowerSampler sampler(&meter, nvidia, how.child_program);
    const auto watched = [&](const MeasureProgress& p) {
      times.see(p.step, measure_clock());
      progress(p);
    };
    apply_readings(measure_gpu(gpu, how, watched, cancel), machine);
  }
  for (const auto& [step, load] : kGpuLoads) {
    const auto [from, to] = times.of(step);
    if (to - from < kShortestLoadSeconds) continue;
    std::vector<Reading> watts = meter.readings(load, from, to);
    for (Reading& reading : watts) reading.as_of = how.as_of.empty() ? today() : how.as_of;
    apply_readings(watts, machine);
  }
}

}  // namespace

void measure_machine(hwdb::Machine* machine, const MeasureAllOptions& options,
                     const std::function<void(const MeasureProgress&)>& progress,
                     const std::atomic<bool>* cancel) {
  const std::size_t n_gpus = machine->gpus.size();
  // The processor's part has the disk and the watts in it; a GPU without a driver costs nothing.
  const double cpu_share = n_gpus == 0 ? 1 : 0.5;
  constexpr double kHeldLoads = 2;
  const double held = kHeldLoads * options.sustained_seconds;
  std::vector<double> seconds = {cpu_share * options.budget_seconds + held};
  for (std::size_t i = 0; i < n_gpus; ++i)
    seconds.push_back((1 - cpu_share) * options.budget_seconds / static_cast<double>(n_gpus) +
                      held);
  Parts parts(seconds, progress);

  CpuMeasureOptions cpu;
  cpu.budget_seconds = cpu_share * options.budget_seconds;
  cpu.sustained_seconds = options.sustained_seconds;
  cpu.disk_folder = options.disk_folder;
  cpu.child_program = options.child_program;
  cpu.as_of = options.as_of;
  apply_readings(measure_cpu(*machine, cpu, parts.of(0, ""), cancel), machine);

  for (std::size_t i = 0; i < n_gpus; ++i) {
    const hwdb::GpuInfo gpu = machine->gpus[i];
    MeasureOptions how;
    how.budget_seconds = seconds[i + 1] - held;
    how.sustained_seconds = options.sustained_seconds;
    how.child_program = options.child_program;
    how.as_of = options.as_of;
    const std::string prefix = n_gpus > 1 ? fmt::format("GPU {}: ", i + 1) : "";
    measure_gpu_with_watts(gpu, how, parts.of(i + 1, prefix), cancel, machine);
  }
}

hwdb::Result<MeasureLock> MeasureLock::take(double timeout_seconds,
                                            const std::function<void()>& on_wait,
                                            const std::atomic<bool>* cancel) {
  // Another user's file in a folder for all may be opened, but not made anew.
  int fd = ::open(kLockFile, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT)
    fd = ::open(kLockFile, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
  if (fd < 0) return hwdb::Error{"state.write", std::strerror(errno), kLockFile, ""};
  MeasureLock lock(fd);
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(timeout_seconds);
  bool told = false;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return hwdb::Error{"state.write", std::strerror(errno), kLockFile, ""};
    const bool cancelled = cancel != nullptr && cancel->load();
    if (cancelled || Clock::now() >= end)
      return hwdb::Error{"state.locked", "another tokwatt is measuring on this machine", kLockFile,
                         "wait for it to end"};
    if (!std::exchange(told, true) && on_wait) on_wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return lock;
}

MeasureLock::MeasureLock(MeasureLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
MeasureLock& MeasureLock::operator=(MeasureLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
MeasureLock::~MeasureLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace probes
