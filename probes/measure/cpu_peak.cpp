// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_peak.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "engine/runtime/cpu_features.h"
#include "probes/measure/cpu_load.h"
#include "probes/measure/cpu_peak_reference.h"

namespace probes {
namespace {

constexpr std::string_view kFp32 = "cpu.fp32_rate", kInt8 = "cpu.int8_rate", kClock = "cpu.clock",
                           kShare = "cpu.int8_limit_share", kSustained = "cpu.sustained_fp32_rate";
constexpr std::size_t kMostSamples = 200;
constexpr double kStepSeconds = 50e-6;

/// Whether Linux lets this process use AMX's tile registers, which are too large to be saved for
/// everyone.
bool ask_for_tiles() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

std::string one_thread_id(std::string_view id) {
  return fmt::format("{}.threads_1", id);
}

/// One thread's operands, result and, after each look at it, the clock.
struct alignas(64) Worker {
  PeakInput input;
  PeakResult result;
  std::uint64_t steps = 1;
  std::uint32_t consumed = 0;
  unsigned since_clock = 0;
  std::vector<double> hertz;
};

/// One measurement of the clock: some 20 microseconds of additions that wait for each other.
std::optional<double> clock_now() {
  constexpr std::uint64_t kSteps = 1500;
  const double from = measure_clock();
  if (!run_add_chain(kSteps)) return std::nullopt;
  const double seconds = measure_clock() - from;
  if (seconds <= 0) return std::nullopt;
  return static_cast<double>(kSteps * kAddsPerStep) / seconds;
}

/// The clock from such measurements: an interruption can only make one too slow.
std::optional<double> clock_of(const std::vector<double>& hertz) {
  return quantile(hertz, 0.75);
}

struct PeakRun {
  LoadResult load;
  std::optional<double> hertz;  // at that load
};

class Peaks {
 public:
  Peaks(CpuSession* session, const CpuIdentity& identity)
      : s_(*session), limits_(find_port_limits(identity)) {}

  std::vector<Reading> run() {
    measure_clock_rate();
    for (const PeakFigure& figure : peak_figures()) measure(figure);
    if (s_.sustained_seconds > 0) hold();
    return std::move(readings_);
  }

 private:
  std::vector<std::uint32_t> cpus(std::size_t n) const {
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i < n; ++i) out.push_back(s_.places[i].cpu);
    return out;
  }

  void skip(std::string_view id, std::string_view unit) {
    readings_.push_back(failed_reading(id, unit, ReadingStatus::skipped, "cancelled"));
  }

  LoadOptions load_options(double seconds) const {
    LoadOptions o;
    o.warm_seconds = std::min(0.1, seconds / 4);
    o.run_seconds = std::max(0.0, seconds - o.warm_seconds);
    o.window_seconds = std::clamp(o.run_seconds / 40, 0.002, 0.02);
    o.cancel = s_.steps.cancel();
    o.tick = [this](double) { s_.steps.tick(); };
    return o;
  }

  void measure_clock_rate() {
    const double seconds = s_.steps.begin(kClock);
    if (s_.steps.cancelled()) return skip(kClock, "Hz");
    std::vector<double> hertz;
    run_once(cpus(1), [&](std::size_t) {
      const double until = measure_clock() + std::min(seconds, 0.3);
      while (measure_clock() < until || hertz.empty()) {
        const auto now = clock_now();
        if (!now) return;
        hertz.push_back(*now);
      }
    });
    if (hertz.empty()) {
      readings_.push_back(failed_reading(kClock, "Hz", ReadingStatus::unsupported,
                                         "no way to count clock cycles on this architecture"));
      return;
    }
    // Interrupted measurements are those below; the first third is the way up to the clock.
    hertz.erase(hertz.begin(), hertz.begin() + static_cast<std::ptrdiff_t>(hertz.size() / 3));
    const double value = *clock_of(hertz);
    Reading r =
        reading_of(kClock, "Hz",
                   "dependent 64-bit additions, one a cycle, one thread; upper quartile, as "
                   "interruptions only slow it",
                   thinned(std::move(hertz), kMostSamples));
    r.value = value;
    readings_.push_back(std::move(r));
  }

  PeakRun run_kernel(const PeakKernel& kernel, std::size_t threads, const LoadOptions& options) {
    std::vector<std::unique_ptr<Worker>> workers;
    for (std::size_t t = 0; t < threads; ++t) {
      workers.push_back(std::make_unique<Worker>());
      fill_peak_input(kernel.math, static_cast<std::uint32_t>(t + 1), &workers[t]->input);
    }
    const double operations = kernel.sequences_per_step * kernel.operations_per_sequence;
    PeakRun run;
    run.load = run_load(
        cpus(threads),
        [&](std::size_t t) {
          Worker& w = *workers[t];
          const double work = static_cast<double>(w.steps) * operations;
          const double from = measure_clock();
          kernel.run(&w.input, w.steps, &w.result);
          const double seconds = measure_clock() - from;
          w.consumed ^= w.result.lane[0];
          if (seconds < kStepSeconds / 2) {
            w.steps *= 2;
          } else if (w.hertz.size() < 4096 && ++w.since_clock % 64 == 0) {
            // Right behind the load, before the clock has time to change: 1 % of the time.
            if (const auto now = clock_now()) w.hertz.push_back(*now);
          }
          return work;
        },
        options);
    std::vector<double> hertz;
    for (const auto& w : workers) hertz.insert(hertz.end(), w->hertz.begin(), w->hertz.end());
    run.hertz = clock_of(hertz);
    return run;
  }

  /// The fastest of several by a short trial with one thread; null when none computes right, which
  /// `fault` explains.
  const PeakKernel* choose(const std::vector<const PeakKernel*>& kernels, double seconds,
                           std::string* fault) {
    const PeakKernel* fastest = nullptr;
    double best = 0;
    for (const PeakKernel* kernel : kernels) {
      const std::string wrong = check_peak_kernel(*kernel);
      if (!wrong.empty()) {
        *fault = wrong;
        continue;
      }
      if (kernels.size() == 1) return kernel;
      const PeakRun run = run_kernel(*kernel, 1, load_options(seconds));
      const double rate = median(rates_by_cpu_time(run.load)).value_or(0);
      if (fastest != nullptr && rate <= best) continue;
      best = rate;
      fastest = kernel;
    }
    return fastest;
  }

  /// "92 % of what the ports can do (...)", or "" where nobody says what they can.
  std::string limit_words(const PeakKernel& kernel, const PeakRun& run, double rate,
                          std::size_t threads) const {
    if (!run.hertz) return "";
    const std::string clock = fmt::format("{:.2f} GHz measured between runs", *run.hertz / 1e9);
    const auto limit = port_limit(kernel, *run.hertz);
    if (!limit) return "; " + clock;
    return fmt::format("; {}; {:.0f} % of {} x {:.4g} a cycle (assumed: {})", clock,
                       100 * rate / (*limit * static_cast<double>(threads)), kernel.instruction,
                       *instructions_per_cycle(*limits_, kernel.instruction), limits_->name);
  }

  /// Operations per second that one core's ports allow at that clock.
  std::optional<double> port_limit(const PeakKernel& kernel, double hertz) const {
    if (limits_ == nullptr) return std::nullopt;
    const auto rate = instructions_per_cycle(*limits_, kernel.instruction);
    if (!rate) return std::nullopt;
    return *rate * kernel.operations_per_sequence * hertz;
  }

  void measure(const PeakFigure& figure) {
    const std::string id(figure.id), one_id = one_thread_id(figure.id);
    if (figure.kernels.empty()) {
      s_.steps.drop(one_id);
      s_.steps.drop(id);
      for (const std::string& each : {one_id, id})
        readings_.push_back(
            failed_reading(each, figure.unit, ReadingStatus::unsupported, figure.missing));
      if (figure.id == kInt8) share_unknown(figure.missing);
      return;
    }
    const double seconds = s_.steps.begin(one_id);
    std::string fault;
    const double trial =
        figure.kernels.size() > 1 ? seconds / 2 / static_cast<double>(figure.kernels.size()) : 0;
    const PeakKernel* kernel = choose(figure.kernels, trial, &fault);
    if (kernel == nullptr) {
      s_.steps.drop(id);
      for (const std::string& each : {one_id, id})
        readings_.push_back(failed_reading(each, figure.unit, ReadingStatus::error, fault));
      if (figure.id == kInt8) share_unknown(fault);
      return;
    }
    take(figure, one_id, *kernel, 1, trial > 0 ? seconds / 2 : seconds);
    take(figure, id, *kernel, s_.places.size(), s_.steps.begin(id));
  }

  void take(const PeakFigure& figure, const std::string& id, const PeakKernel& kernel,
            std::size_t threads, double seconds) {
    const bool share = figure.id == kInt8 && threads == 1 && id != figure.id;
    const double from = measure_clock();
    const PeakRun run = run_kernel(kernel, threads, load_options(seconds));
    if (s_.loaded && id == figure.id && !s_.steps.cancelled())
      s_.loaded(id == kInt8 ? "cpu_int8" : id == kFp32 ? "cpu_fp32" : "", from, measure_clock());
    std::vector<double> rates = thinned(rates_by_cpu_time(run.load), kMostSamples);
    if (s_.steps.cancelled() || rates.empty()) {
      const auto status = s_.steps.cancelled() ? ReadingStatus::skipped : ReadingStatus::error;
      const std::string why = s_.steps.cancelled() ? "cancelled" : "there was no time for it";
      readings_.push_back(failed_reading(id, figure.unit, status, why));
      if (share) share_unknown(why);
      return;
    }
    Reading r = reading_of(id, figure.unit, "", rates);
    r.method = fmt::format("{}, {} chains, {} thread{}, by processor time{}", kernel.instruction,
                           kernel.accumulators, threads, threads == 1 ? "" : "s",
                           limit_words(kernel, run, r.value, threads));
    readings_.push_back(std::move(r));
    if (share) take_share(kernel, run, std::move(rates));
  }

  void take_share(const PeakKernel& kernel, const PeakRun& run, std::vector<double> rates) {
    const auto limit = run.hertz ? port_limit(kernel, *run.hertz) : std::nullopt;
    if (!limit) {
      share_unknown("nobody says how many of these the core starts each cycle");
      return;
    }
    for (double& rate : rates) rate /= *limit;
    readings_.push_back(reading_of(
        kShare, "1",
        fmt::format("{}, one thread, over {:.4g} a cycle (assumed: {}) at the measured {:.2f} GHz",
                    kernel.instruction, *instructions_per_cycle(*limits_, kernel.instruction),
                    limits_->name, *run.hertz / 1e9),
        std::move(rates)));
  }

  void share_unknown(const std::string& reason) {
    const auto status = s_.steps.cancelled() ? ReadingStatus::skipped : ReadingStatus::unsupported;
    readings_.push_back(failed_reading(kShare, "1", status, reason));
  }

  void hold() {
    const double seconds = s_.steps.begin(kSustained);
    std::string fault;
    const std::string id(kSustained);
    const PeakKernel* kernel = choose({peak_figures().front().kernels.front()}, 0, &fault);
    if (s_.steps.cancelled()) return skip(kSustained, "FLOP/s");
    if (kernel == nullptr) {
      readings_.push_back(failed_reading(id, "FLOP/s", ReadingStatus::error, fault));
      return;
    }
    LoadOptions o = load_options(seconds);
    o.warm_seconds = 0;  // the burst is part of it
    o.run_seconds = seconds;
    o.window_seconds = 0.05;
    const double from = measure_clock();
    const PeakRun run = run_kernel(*kernel, s_.places.size(), o);
    if (s_.steps.cancelled()) return skip(kSustained, "FLOP/s");
    if (s_.loaded) s_.loaded("cpu_sustained_fp32", from, measure_clock());
    readings_.push_back(held_reading(
        id, "FLOP/s", fmt::format("{}, {} threads", kernel->instruction, s_.places.size()),
        run.load));
  }

  CpuSession& s_;
  const PortLimits* limits_;
  std::vector<Reading> readings_;
};

}  // namespace

std::vector<PeakFigure> peak_figures() {
  const engine::CpuFeatures& f = engine::cpu_features();
  std::vector<PeakFigure> figures;
  const auto add = [&](std::string_view id, std::string_view unit, std::string missing,
                       std::initializer_list<std::pair<bool, const PeakKernel*>> kernels) {
    PeakFigure figure{id, unit, {}, std::move(missing)};
    for (const auto& [there, kernel] : kernels) {
      if (there && kernel != nullptr) figure.kernels.push_back(kernel);
    }
    figures.push_back(std::move(figure));
  };
  const bool vectors = f.avx2 || f.neon;
  add(kFp32, "FLOP/s", "",
      {{f.avx512f, avx512_fp32_kernel()},
       {f.avx2 && f.fma, avx2_fp32_kernel()},
       {f.neon, neon_fp32_kernel()},
       {!vectors, plain_fp32_kernel()}});
  add("cpu.bf16_rate", "FLOP/s", "the processor has no BF16 dot product",
      {{f.avx512_bf16, avx512_bf16_kernel()}, {f.neon && f.bf16, neon_bf16_kernel()}});
  add(kInt8, "OP/s", "the processor has no 8-bit dot product that we know",
      {{f.avx512_vnni, avx512_vnni_int8_kernel()},
       {f.avx_vnni, avx_vnni_int8_kernel()},
       {f.avx2 && !f.avx512_vnni && !f.avx_vnni, avx2_int8_kernel()},
       {f.neon_i8mm, neon_i8mm_int8_kernel()},
       {f.neon_dotprod, neon_dotprod_int8_kernel()}});
  const bool tiles = f.amx_tile && ask_for_tiles();
  const std::string missing = f.amx_tile ? "Linux does not let this process use AMX's tiles"
                                         : "the processor has no AMX, or it is hidden from here";
  add("cpu.amx_int8_rate", "OP/s", missing, {{tiles && f.amx_int8, amx_int8_kernel()}});
  add("cpu.amx_bf16_rate", "FLOP/s", missing, {{tiles && f.amx_bf16, amx_bf16_kernel()}});
  return figures;
}

void plan_cpu_peak(CpuSession* session) {
  session->steps.plan(std::string(kClock), 0.5);
  for (const PeakFigure& figure : peak_figures()) {
    if (figure.kernels.empty()) continue;
    session->steps.plan(one_thread_id(figure.id), figure.kernels.size() > 1 ? 2 : 1);
    session->steps.plan(std::string(figure.id), 1);
  }
  if (session->sustained_seconds > 0)
    session->steps.plan(std::string(kSustained), 0, session->sustained_seconds);
}

std::vector<Reading> measure_cpu_peak(CpuSession* session, const CpuIdentity& identity) {
  return Peaks(session, identity).run();
}

}  // namespace probes
