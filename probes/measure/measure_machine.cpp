// SPDX-License-Identifier: MIT
#include "probes/measure/measure_machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include "engine/runtime/child_process.h"
#include "probes/detect/scene.h"
#include "probes/measure/measure_message.h"

namespace probes {
namespace {

using hwdb::Basis;
using hwdb::GpuInfo;
using hwdb::Sourced;

// New children after a failure; more than a few faults are not worth the user's time.
constexpr int kMostStarts = 3;

/// The last line of what a driver printed, for the reason of a failure; "" when it was silent.
std::string last_words(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const std::size_t at = text.rfind('\n');
  if (at != std::string_view::npos) text.remove_prefix(at + 1);
  return std::string(text.substr(0, 200));
}

class GpuSession {
 public:
  GpuSession(const GpuInfo& gpu, const MeasureOptions& options,
             const std::function<void(const MeasureProgress&)>& progress,
             const std::atomic<bool>* cancel)
      : gpu_(gpu), options_(options), progress_(progress), cancel_(cancel) {
    request_.device.pci_address = gpu.pci_address;
    request_.device.uuid = gpu.uuid;
    request_.device.pci_id = gpu.pci_id;
    request_.device.allow_software = options.allow_software;
    request_.device.validate = options.validate;
    request_.budget_seconds = options.budget_seconds;
    request_.sustained_seconds = options.sustained_seconds;
    request_.max_buffer_bytes = options.max_buffer_bytes;
    request_.only = options.only;
    for (GpuReadingId& id : gpu_reading_ids(request_)) slots_.push_back({std::move(id), {}, {}});
  }

  std::vector<Reading> run() {
    drivers_ = options_.vulkan_drivers;
    measure_all();
    if (died_opening_) try_single_drivers();
    std::vector<Reading> readings;
    for (Slot& slot : slots_) readings.push_back(final_reading(slot));
    return readings;
  }

 private:
  struct Slot {
    GpuReadingId id;
    std::optional<Reading> reading;
    std::string failure;  // why its child ended, or the device was lost
  };

  void measure_all() {
    for (int start = 0; start < kMostStarts && !stopped() && missing(false) && !hopeless_; ++start)
      take(false);
    // Once more, gently, for what brought its child down.
    if (stopped() || hopeless_ || !missing(true)) return;
    const auto [run_seconds, memory_share] = std::pair(request_.run_seconds, request_.memory_share);
    request_.run_seconds /= 4;
    request_.memory_share /= 2;
    take(true);
    request_.run_seconds = run_seconds;
    request_.memory_share = memory_share;
  }

  /// All drivers together brought down the child before a device was open: one of them may be
  /// another device's.
  void try_single_drivers() {
    const auto manifests = drivers_.empty() ? vulkan_manifests(SysRoot()) : drivers_;
    if (manifests.size() < 2) return;
    const std::vector<Slot> together = slots_;
    for (const std::string& manifest : manifests) {
      if (stopped()) break;
      for (Slot& slot : slots_) slot = {slot.id, {}, {}};
      hopeless_ = died_opening_ = false;
      drivers_ = {manifest};
      measure_all();
      if (step_ != nullptr) return;
    }
    slots_ = together;
  }

  bool stopped() const { return cancel_ != nullptr && cancel_->load(std::memory_order_relaxed); }
  static bool is_missing(const Slot& slot, bool failed) {
    return !slot.reading && slot.failure.empty() != failed;
  }
  bool missing(bool failed) const {
    return std::ranges::any_of(slots_, [&](const Slot& s) { return is_missing(s, failed); });
  }
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  Slot* find(const std::string& id) {
    const auto it = std::ranges::find(slots_, id, [](const Slot& s) { return s.id.id; });
    return it != slots_.end() ? &*it : nullptr;
  }

  /// One child for all that is missing: what has failed before, or what has not been tried.
  void take(bool failed) {
    request_.only.clear();
    double planned = 0;
    for (const Slot& slot : slots_) {
      if (!is_missing(slot, failed)) continue;
      request_.only.push_back(slot.id.id);
      const bool sustained = slot.id.id.starts_with("gpu.sustained");
      planned += sustained ? options_.sustained_seconds : 0;
    }
    const double left = options_.budget_seconds - (seconds() - lost_seconds_);
    request_.budget_seconds = std::max(left, 0.2 * static_cast<double>(request_.only.size()));
    planned += request_.budget_seconds;

    step_ = nullptr;
    done_ = false;
    fault_.clear();
    engine::ChildRequest child;
    child.program = options_.child_program.empty() ? engine::own_program() : options_.child_program;
    child.arguments = {"--probe-child", "measure-gpu"};
    child.input = write_measure_request(request_);
    // A slow device may take several times the budget, as each reading has its least number of
    // runs.
    child.deadline_seconds = 4 * planned + 2 * options_.opening_seconds;
    child.silence_seconds = options_.opening_seconds;
    // Layers that came with other programs (overlays, recorders) have no business here.
    child.environment = {{"VK_LOADER_LAYERS_DISABLE", "~implicit~"}};
    if (!drivers_.empty()) {
      std::string files;
      for (const std::string& path : drivers_) files += (files.empty() ? "" : ":") + path;
      child.environment.emplace_back("VK_DRIVER_FILES", files);
      child.environment.emplace_back("VK_ICD_FILENAMES", files);  // its name before 2022
    }
    // llvmpipe brings LLVM along, which takes long to load.
    if (!options_.allow_software)
      child.environment.emplace_back("VK_LOADER_DRIVERS_DISABLE", "*lvp_icd*,*swiftshader*");
    child.cancel = cancel_;
    child.on_line = [this](std::string_view line) {
      hear(line);
      return fault_.empty();
    };
    const double before = seconds();
    const engine::ChildOutcome outcome = engine::run_child(child);
    if (stopped() || done_) return;

    std::string reason = !fault_.empty() ? fault_ : "its process " + outcome.describe();
    const std::string words = last_words(outcome.diagnostics);
    if (!outcome.ok() && !words.empty()) reason += "; it said: " + words;
    if (step_ == nullptr) {
      // Not even the device was opened: trying again would end the same way.
      hopeless_ = died_opening_ = true;
      for (Slot& slot : slots_) {
        if (!slot.reading && slot.failure.empty()) slot.failure = reason;
      }
      return;
    }
    if (!step_->reading) step_->failure = reason;
    // The time lost in a hang is not the readings' fault.
    if (outcome.end == engine::ChildOutcome::End::silent) lost_seconds_ += seconds() - before;
  }

  void hear(std::string_view line) {
    if (done_ || !fault_.empty()) return;
    auto event = read_measure_event(line);
    if (!event) {
      fault_ = event.error().what;
      return;
    }
    if (event->error) {
      done_ = hopeless_ = true;
      const bool unsupported = event->error->code == "probe.gpu_unsupported" ||
                               event->error->code == "probe.vulkan_missing" ||
                               event->error->code == "probe.vulkan_driver";
      const std::string reason =
          unsupported ? event->error->what : event->error->code + ": " + event->error->what;
      for (Slot& slot : slots_) {
        if (!slot.reading)
          slot.reading = failed_reading(
              slot.id.id, slot.id.unit,
              unsupported ? ReadingStatus::unsupported : ReadingStatus::error, reason);
      }
    } else if (event->progress) {
      Slot* const slot = find(event->progress->step);
      if (slot == nullptr) {
        fault_ = "its message names a step that was not asked for";
        return;
      }
      step_ = slot;
      fraction_ = std::max(fraction_, event->progress->fraction);
      if (progress_) progress_({slot->id.id, fraction_, event->progress->eta_seconds});
    } else if (event->reading) {
      accept(*std::move(event->reading));
    } else {
      done_ = true;
      if (!event->validation_messages.empty()) complain(event->validation_messages.front());
    }
  }

  void accept(Reading reading) {
    Slot* const slot = find(reading.id);
    if (slot == nullptr || slot->reading || reading.unit != slot->id.unit) {
      fault_ = "its message has a reading that was not asked for";
      return;
    }
    const bool first_loss = ends_the_device(reading) && slot->failure.empty();
    if (first_loss) {
      slot->failure = reading.reason;
    } else {
      slot->reading = std::move(reading);
    }
  }

  /// What the validation layers found makes the figures worthless.
  void complain(const std::string& message) {
    for (Slot& slot : slots_)
      slot.reading = failed_reading(slot.id.id, slot.id.unit, ReadingStatus::error,
                                    "probe.validation: " + message);
  }

  Reading final_reading(Slot& slot) const {
    if (!slot.reading) {
      if (!slot.failure.empty()) {
        slot.reading = failed_reading(slot.id.id, slot.id.unit, ReadingStatus::error, slot.failure);
      } else {
        slot.reading = failed_reading(slot.id.id, slot.id.unit, ReadingStatus::skipped,
                                      stopped() ? "cancelled" : "the driver had failed too often");
      }
    }
    slot.reading->device = device_key(gpu_);
    slot.reading->as_of = options_.as_of.empty() ? today() : options_.as_of;
    return *std::move(slot.reading);
  }

  const GpuInfo& gpu_;
  const MeasureOptions& options_;
  const std::function<void(const MeasureProgress&)>& progress_;
  const std::atomic<bool>* cancel_;
  GpuMeasureOptions request_;
  std::vector<std::string> drivers_;  // to restrict the loader to; empty: all
  std::vector<Slot> slots_;
  // Of the child that runs.
  Slot* step_ = nullptr;  // what it last began
  bool done_ = false;
  std::string fault_;      // of its message
  bool hopeless_ = false;  // the device cannot be opened
  bool died_opening_ = false;
  double fraction_ = 0, lost_seconds_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

const Reading* find_ok(std::span<const Reading> readings, std::string_view id,
                       std::string_view device) {
  const auto it = std::ranges::find_if(readings, [&](const Reading& r) {
    return r.id == id && r.device == device && r.status == ReadingStatus::ok;
  });
  return it != readings.end() ? &*it : nullptr;
}

template <class T>
Sourced<T> measured_value(const Reading& r) {
  return {T(r.value), Basis::measured,
          fmt::format("Vulkan: {}; spread {:.1f} %", r.method, 100 * r.spread), r.as_of};
}

void take_rate(const GpuInfo& gpu, const Reading* r,
               std::optional<Sourced<hwdb::FlopsPerSecond>>* value) {
  if (r == nullptr) return;
  const bool own = gpu.backend == GpuInfo::Backend::vulkan;
  // What an earlier reading put here gives way to a new one, whichever is higher.
  const bool older_reading = *value && (*value)->basis == Basis::measured;
  if (own || older_reading || !*value || (*value)->value.value < r->value)
    *value = measured_value<hwdb::FlopsPerSecond>(*r);
}

/// The faster of two ways to do the same; null when neither is there.
const Reading* faster(const Reading* a, const Reading* b) {
  if (a == nullptr || b == nullptr) return a != nullptr ? a : b;
  return a->value >= b->value ? a : b;
}

void take_values(std::span<const Reading> readings, GpuInfo* gpu) {
  const std::string key = device_key(*gpu);
  const auto ok = [&](std::string_view id) { return find_ok(readings, id, key); };
  if (const Reading* r = ok("gpu.read_bandwidth"))
    gpu->bandwidth = measured_value<hwdb::BytesPerSecond>(*r);
  // Where the matrix units are there but did not answer, nothing else speaks for them.
  const auto broken = [&](std::string_view id) {
    return std::ranges::any_of(readings, [&](const Reading& r) {
      return r.id == id && r.device == key && r.status == ReadingStatus::error;
    });
  };
  if (!broken("gpu.matrix_fp16_rate"))
    take_rate(*gpu, faster(ok("gpu.matrix_fp16_rate"), ok("gpu.fp16_rate")), &gpu->peak_fp16);
  if (!broken("gpu.matrix_int8_rate"))
    take_rate(*gpu, faster(ok("gpu.matrix_int8_rate"), ok("gpu.int8_dot_rate")), &gpu->peak_int8);
  take_rate(*gpu, ok("gpu.fp32_rate"), &gpu->peak_fp32);
  // One figure stands for both directions: the slower.
  const Reading* up = ok("gpu.upload_bandwidth");
  const Reading* down = ok("gpu.download_bandwidth");
  if (up != nullptr && down != nullptr)
    gpu->host_link = measured_value<hwdb::BytesPerSecond>(up->value <= down->value ? *up : *down);
}

template <class T>
Sourced<T> measured_here(const Reading& r) {
  return {T(r.value), Basis::measured, fmt::format("{}; spread {:.1f} %", r.method, 100 * r.spread),
          r.as_of};
}

void take_cpu_values(std::span<const Reading> readings, hwdb::Machine* machine) {
  const auto ok = [&](std::string_view id) { return find_ok(readings, id, ""); };
  // What it holds counts; a burst only where nobody tried to hold it.
  const Reading* held = ok("cpu.sustained_read_bandwidth");
  if (const Reading* r = held != nullptr ? held : ok("cpu.read_bandwidth"))
    machine->memory.bandwidth = measured_here<hwdb::BytesPerSecond>(*r);
  if (const Reading* r = ok("cpu.fp32_rate"))
    machine->cpu.peak_fp32 = measured_here<hwdb::FlopsPerSecond>(*r);
  if (const Reading* r = faster(ok("cpu.int8_rate"), ok("cpu.amx_int8_rate")))
    machine->cpu.peak_int8 = measured_here<hwdb::FlopsPerSecond>(*r);
}

}  // namespace

std::vector<Reading> measure_gpu(const GpuInfo& gpu, const MeasureOptions& options,
                                 const std::function<void(const MeasureProgress&)>& progress,
                                 const std::atomic<bool>* cancel) {
  return GpuSession(gpu, options, progress, cancel).run();
}

std::string device_key(const GpuInfo& gpu) {
  if (!gpu.pci_address.empty()) return gpu.pci_address;
  return !gpu.uuid.empty() ? gpu.uuid : gpu.name;
}

void apply_readings(const std::vector<Reading>& readings, hwdb::Machine* machine) {
  for (const Reading& r : readings) {
    const auto older = std::ranges::find_if(
        machine->readings, [&](const Reading& o) { return o.id == r.id && o.device == r.device; });
    if (older == machine->readings.end()) {
      machine->readings.push_back(r);
    } else if (r.status == ReadingStatus::ok || older->status != ReadingStatus::ok) {
      *older = r;
    }
  }
  for (GpuInfo& gpu : machine->gpus) take_values(readings, &gpu);
  take_cpu_values(readings, machine);
}

}  // namespace probes
