// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_bandwidth.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "probes/measure/cpu_arrays.h"
#include "probes/measure/cpu_load.h"
#include "probes/measure/gpu_bench.h"

namespace probes {
namespace {

constexpr std::string_view kRead = "cpu.read_bandwidth", kCopy = "cpu.copy_bandwidth",
                           kTriad = "cpu.triad_bandwidth", kFill = "cpu.fill",
                           kSustained = "cpu.sustained_read_bandwidth", kUnit = "B/s";
constexpr std::size_t kMostSamples = 200;
constexpr std::size_t kMatrixNodes = 4;  // more nodes: only from the first to each

std::string threads_id(std::size_t n) {
  return fmt::format("{}.threads_{}", kRead, n);
}

struct NodePair {
  std::uint32_t reader = 0, memory = 0;
  std::string id() const { return fmt::format("{}.node_{}_from_{}", kRead, reader, memory); }
};

/// Which nodes are measured from which.
std::vector<NodePair> node_pairs(const std::vector<CpuPlace>& places) {
  std::vector<std::uint32_t> nodes;
  for (const CpuPlace& p : places) nodes.push_back(p.node);
  std::ranges::sort(nodes);
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  std::vector<NodePair> pairs;
  if (nodes.size() < 2) return pairs;
  for (const std::uint32_t reader : nodes) {
    for (const std::uint32_t memory : nodes) {
      if (nodes.size() <= kMatrixNodes || reader == memory || reader == nodes[0])
        pairs.push_back({reader, memory});
    }
  }
  return pairs;
}

class Bandwidth {
 public:
  explicit Bandwidth(CpuSession* session) : s_(*session) {}

  std::vector<Reading> run() {
    const BufferPlan plan = plan_buffer(s_.machine.cpu, s_.machine.memory, s_.memory_share);
    remark_ = plan.reason;
    const double fill_seconds = s_.steps.begin(kFill);
    if (plan.bytes == 0) return none(ReadingStatus::skipped, plan.reason);
    arrays_.emplace(plan.bytes, s_.places);
    if (!arrays_->allocated())
      return none(ReadingStatus::error, "the system gives no memory for the arrays");
    arrays_->fill(fill_seconds, s_.steps.cancel());
    const std::uint64_t caches = s_.machine.cpu.last_level_cache_total_bytes;
    if (arrays_->bytes() < std::max<std::uint64_t>(caches, 1))
      return none(ReadingStatus::skipped,
                  s_.steps.cancelled() ? "cancelled" : "writing the arrays took too long");
    if (arrays_->bytes() < plan.bytes / 4 * 3 && remark_.empty())
      remark_ = fmt::format("read from {} only, as there was no time to write more",
                            hwdb::format_bytes(hwdb::Bytes(arrays_->bytes())));
    read_by_threads();
    for (const NodePair& pair : node_pairs(s_.places)) read_remote(pair);
    if (s_.sustained_seconds > 0) hold();
    write(kCopy);
    write(kTriad);
    return std::move(readings_);
  }

  static std::vector<std::string> ids(const CpuSession& s) {
    std::vector<std::string> ids;
    for (const std::size_t n : thread_counts(s.places.size())) ids.push_back(threads_id(n));
    ids.emplace_back(kRead);
    for (const NodePair& pair : node_pairs(s.places)) ids.push_back(pair.id());
    if (s.sustained_seconds > 0) ids.emplace_back(kSustained);
    ids.emplace_back(kCopy);
    ids.emplace_back(kTriad);
    return ids;
  }

 private:
  std::vector<Reading> none(ReadingStatus status, const std::string& reason) {
    for (const std::string& id : ids(s_)) {
      s_.steps.drop(id);
      readings_.push_back(failed_reading(id, kUnit, status, reason));
    }
    return std::move(readings_);
  }

  LoadOptions load_options(double seconds) const {
    LoadOptions o;
    o.warm_seconds = std::min(0.15, seconds / 4);
    o.run_seconds = std::max(0.0, seconds - o.warm_seconds);
    // Short, so that on a busy machine some fall between the others' turns.
    o.window_seconds = 0.002;
    o.cancel = s_.steps.cancel();
    o.tick = [this](double) { s_.steps.tick(); };
    return o;
  }

  std::vector<std::uint32_t> cpus(std::size_t n) const {
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i < n; ++i) out.push_back(s_.places[i].cpu);
    return out;
  }

  /// Makes a reading of a load; `what` is said in the method.
  void take(const std::string& id, std::string what, const LoadResult& result,
            const std::string& fault) {
    if (s_.steps.cancelled()) {
      readings_.push_back(failed_reading(id, kUnit, ReadingStatus::skipped, "cancelled"));
      return;
    }
    std::string reason = remark_;
    std::string disturbed;
    std::vector<double> rates = thinned(rates_of_undisturbed(result, &disturbed), kMostSamples);
    if (!disturbed.empty()) reason += (reason.empty() ? "" : "; ") + disturbed;
    if (!fault.empty() || rates.empty()) {
      readings_.push_back(failed_reading(id, kUnit, ReadingStatus::error,
                                         fault.empty() ? "there was no time for it" : fault));
      return;
    }
    if (!result.bound) what += ", threads not pinned";
    what += fmt::format("; {}; median of {} windows", arrays_->describe(), rates.size());
    readings_.push_back(reading_of(id, kUnit, std::move(what), std::move(rates)));
    readings_.back().reason = std::move(reason);
  }

  void read_by_threads() {
    const std::size_t all = s_.places.size();
    choose_streams();
    double best = -1;
    std::size_t best_threads = all;
    for (const std::size_t n : thread_counts(all)) {
      const double seconds = s_.steps.begin(threads_id(n));
      CpuReaders readers(&*arrays_, arrays_->local_shares(n));
      const double from = measure_clock();
      const LoadResult result = run_load(
          cpus(n), [&](std::size_t t) { return readers.step(t); }, load_options(seconds));
      if (n == all && s_.loaded) s_.loaded("cpu_read", from, measure_clock());
      take(threads_id(n), fmt::format("read by {} thread{}", n, n == 1 ? "" : "s"), result,
           readers.fault());
      const Reading& r = readings_.back();
      if (r.status == ReadingStatus::ok && r.value > best) {
        best = r.value;
        best_threads = n;
      }
    }
    s_.steps.drop(kRead);
    const auto it = std::ranges::find(readings_, threads_id(best_threads), &Reading::id);
    Reading headline = *it;
    headline.id = kRead;
    readings_.push_back(std::move(headline));
    best_threads_ = best_threads;
  }

  /// The number of streams side by side that is fastest with all threads.
  void choose_streams() {
    const double seconds = s_.steps.begin(kRead) / 4;
    double best = -1;
    unsigned fastest = arrays_->streams();
    for (const unsigned streams : {1u, 2u, 4u, 8u}) {
      arrays_->set_streams(streams);
      CpuReaders readers(&*arrays_, arrays_->local_shares(s_.places.size()));
      const LoadResult result = run_load(
          cpus(s_.places.size()), [&](std::size_t t) { return readers.step(t); },
          load_options(seconds));
      // By processor time: too short to wait for the others to be quiet.
      const double rate = median(rates_by_cpu_time(result)).value_or(0);
      // More streams only for a gain: they ask more of the prefetcher.
      if (rate <= best * 1.01) continue;
      best = rate;
      fastest = streams;
    }
    arrays_->set_streams(fastest);
  }

  void read_remote(const NodePair& pair) {
    const double seconds = s_.steps.begin(pair.id());
    std::vector<std::uint32_t> readers_cpus;
    for (const CpuPlace& p : s_.places) {
      if (p.node == pair.reader) readers_cpus.push_back(p.cpu);
    }
    CpuReaders readers(&*arrays_, arrays_->node_shares(pair.memory, readers_cpus.size()));
    const LoadResult result = run_load(
        readers_cpus, [&](std::size_t t) { return readers.step(t); }, load_options(seconds));
    take(pair.id(),
         fmt::format("memory of node {} read by {} threads of node {}", pair.memory,
                     readers_cpus.size(), pair.reader),
         result, readers.fault());
  }

  void hold() {
    const double seconds = s_.steps.begin(kSustained);
    CpuReaders readers(&*arrays_, arrays_->local_shares(best_threads_));
    LoadOptions o = load_options(seconds);
    o.warm_seconds = 0;  // the burst is part of it
    o.run_seconds = seconds;
    o.window_seconds = 0.05;
    const double from = measure_clock();
    const LoadResult result = run_load(
        cpus(best_threads_), [&](std::size_t t) { return readers.step(t); }, o);
    if (s_.loaded) s_.loaded("cpu_sustained_read", from, measure_clock());
    const std::string id(kSustained);
    if (s_.steps.cancelled() || !readers.fault().empty()) {
      take(id, "", result, readers.fault());
      return;
    }
    readings_.push_back(held_reading(
        id, std::string(kUnit),
        fmt::format("read by {} threads; {}", best_threads_, arrays_->describe()), result));
  }

  void write(std::string_view id) {
    const double seconds = s_.steps.begin(id);
    CpuWriters writers(&*arrays_, id == kCopy ? CpuWriters::Kind::copy : CpuWriters::Kind::triad);
    const LoadResult result = run_load(
        cpus(s_.places.size()), [&](std::size_t t) { return writers.step(t); },
        load_options(seconds));
    take(std::string(id),
         fmt::format("{} by {} threads, {}", id == kCopy ? "copy" : "triad of floats",
                     s_.places.size(), arrays_->kernels().stores),
         result, s_.steps.cancelled() ? "" : writers.fault());
  }

  CpuSession& s_;
  std::optional<CpuArrays> arrays_;
  std::string remark_;
  std::size_t best_threads_ = 1;
  std::vector<Reading> readings_;
};

}  // namespace

std::vector<std::size_t> thread_counts(std::size_t most) {
  std::vector<std::size_t> counts;
  for (std::size_t n = 1; n < most; n *= 2) counts.push_back(n);
  if (most > 0) counts.push_back(most);
  return counts;
}

void plan_cpu_bandwidth(CpuSession* session) {
  session->steps.plan(std::string(kFill), 3);
  for (const std::string& id : Bandwidth::ids(*session)) {
    const bool held = id == kSustained;
    session->steps.plan(id, held ? 0 : 1, held ? session->sustained_seconds : 0);
  }
}

std::vector<Reading> measure_cpu_bandwidth(CpuSession* session) {
  return Bandwidth(session).run();
}

Reading held_reading(const std::string& id, const std::string& unit, std::string method,
                     const LoadResult& result) {
  // Half seconds, so that a busy moment is no throttling; those in which others had the processors
  // are left out.
  std::vector<HeldRate> rates;
  for (const LoadWindow& w : result.windows) {
    const double whole = w.seconds * static_cast<double>(result.threads);
    if (whole > 0 && w.cpu_seconds >= 0.9 * whole)
      rates.push_back({w.at_seconds, w.units / w.seconds});
  }
  const bool disturbed = rates.size() * 4 < result.windows.size();
  if (disturbed) {
    rates.clear();
    for (const LoadWindow& w : result.windows) rates.push_back({w.at_seconds, w.units / w.seconds});
  }
  const SustainedVerdict v = judge_sustained(rates);
  if (v.last.empty())
    return failed_reading(id, unit, ReadingStatus::error, "there was no time for it");
  Reading r = reading_of(id, unit,
                         fmt::format("{}; held for {:.0f} s, median of the last {} windows", method,
                                     result.windows.back().at_seconds, v.last.size()),
                         thinned(v.last, kMostSamples));
  r.reason =
      v.throttled
          ? fmt::format("burst {:.4g} {}; throttled after {:.0f} s, sustained is {:.0f} % of it",
                        v.burst, unit, v.after_seconds, 100 * v.sustained / v.burst)
          : fmt::format("burst {:.4g} {}; no throttling seen", v.burst, unit);
  if (disturbed) r.reason += "; other programs had the processors most of the time";
  return r;
}

}  // namespace probes
