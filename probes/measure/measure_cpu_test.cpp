// SPDX-License-Identifier: MIT
#include "probes/measure/measure_cpu.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <thread>

#include "engine/runtime/cpu_features.h"
#include "engine/runtime/thread_binding.h"
#include "probes/measure/cpu_arrays.h"
#include "probes/measure/cpu_bandwidth.h"
#include "probes/measure/cpu_limits.h"
#include "probes/measure/cpu_load.h"
#include "probes/measure/cpu_peak.h"
#include "probes/measure/cpu_peak_reference.h"
#include "probes/measure/disk_read.h"
#include "probes/measure/measure_machine.h"
#include "probes/testing/scratch_folder.h"

namespace probes {
namespace {

namespace fs = std::filesystem;
using hwdb::kKiB;
using hwdb::kMiB;

std::vector<const StreamKernels*> supported_streams() {
  const engine::CpuFeatures& f = engine::cpu_features();
  std::vector<const StreamKernels*> out = {plain_stream_kernels()};
  if (f.avx2 && f.fma && avx2_stream_kernels() != nullptr) out.push_back(avx2_stream_kernels());
  if (f.avx512f && avx512_stream_kernels() != nullptr) out.push_back(avx512_stream_kernels());
  if (f.neon && neon_stream_kernels() != nullptr) out.push_back(neon_stream_kernels());
  return out;
}

std::vector<const PeakKernel*> supported_peaks() {
  std::vector<const PeakKernel*> out = {plain_fp32_kernel()};
  for (const PeakFigure& figure : peak_figures())
    out.insert(out.end(), figure.kernels.begin(), figure.kernels.end());
  // Not chosen where there is a better one, but to be right all the same.
  if (engine::cpu_features().avx2 && avx2_int8_kernel() != nullptr)
    out.push_back(avx2_int8_kernel());
  return out;
}

std::vector<CpuPlace> two_places() {
  std::vector<CpuPlace> places = read_cpu_places();
  if (places.size() > 2) places.resize(2);
  return places;
}

/// A machine small enough to be measured in a moment.
hwdb::Machine small_machine() {
  hwdb::Machine m;
  m.cpu.last_level_cache_total_bytes = kMiB;
  m.cpu.usable_threads = 2;
  m.memory.total = {hwdb::Bytes(128 * kMiB), hwdb::Basis::detected, "test", ""};
  return m;
}

TEST(CpuKernels, EverySetReadsCopiesAndAddsTheSame) {
  constexpr std::size_t kBytes = 64 * kKiB;
  CpuBuffer buffer(5 * kBytes);
  ASSERT_NE(buffer.data(), nullptr);
  std::uint8_t* const from = buffer.data();
  std::uint8_t* const to = from + 2 * kBytes;
  std::uint64_t expected = 0;
  for (std::size_t at = 0; at < 2 * kBytes; at += 4) {
    const float value = 1.0f + static_cast<float>(at % 977) / 1024.0f;
    std::memcpy(from + at, &value, 4);
  }
  for (std::size_t at = 0; at < kBytes; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, from + at, 8);
    expected += word;
  }
  for (const StreamKernels* k : supported_streams()) {
    SCOPED_TRACE(k->isa);
    for (const unsigned streams : {1u, 2u, 4u, 8u})
      EXPECT_EQ(k->read(from, kBytes / streams, streams, kBytes / streams), expected) << streams;
    std::memset(to, 0, 3 * kBytes);
    k->copy(to, from, kBytes);
    EXPECT_EQ(std::memcmp(to, from, kBytes), 0);
    EXPECT_EQ(to[kBytes], 0) << "wrote beyond its end";
    k->triad(reinterpret_cast<float*>(to), reinterpret_cast<const float*>(from),
             reinterpret_cast<const float*>(from + kBytes), 0.75f, kBytes);
    for (std::size_t at = 0; at < kBytes; at += 4) {
      float a = 0, b = 0, c = 0;
      std::memcpy(&a, from + at, 4);
      std::memcpy(&b, from + kBytes + at, 4);
      std::memcpy(&c, to + at, 4);
      ASSERT_NEAR(c, a + 0.75f * b, 1e-6f * c) << at;
    }
  }
}

TEST(CpuKernels, EveryComputeLoopAnswersAsPlainLoopsDo) {
  for (const PeakKernel* k : supported_peaks())
    EXPECT_EQ(check_peak_kernel(*k), "") << k->instruction;
  // The check itself: a kernel that claims more than it does.
  PeakKernel liar = *supported_peaks().back();
  ++liar.sequences_per_step;
  EXPECT_NE(check_peak_kernel(liar), "");
}

TEST(CpuKernels, TheReferenceCountsAsWrittenDown) {
  PeakInput in{};
  for (std::size_t i = 0; i < 64; ++i) {
    in.a[i] = 200;  // 200, or -56 where it is signed
    in.b[i] = static_cast<std::uint8_t>(-3);
  }
  const PeakKernel unsigned_dot = {"", PeakMath::int8_u8s8, 16, 4, 4, 128, nullptr};
  EXPECT_EQ(static_cast<std::int32_t>(peak_reference(unsigned_dot, in, 2)[15]),
            0 + 1 + 2 + 3 + 2 * 4 * 4 * 200 * -3);
  const PeakKernel signed_dot = {"", PeakMath::int8_s8s8, 4, 1, 1, 32, nullptr};
  EXPECT_EQ(peak_reference(signed_dot, in, 1)[0], 4u * 56 * 3);
  const PeakKernel matrix = {"", PeakMath::int8_matrix, 4, 1, 1, 64, nullptr};
  EXPECT_EQ(peak_reference(matrix, in, 1)[3], 8u * 56 * 3);
  const PeakKernel tile = {"", PeakMath::int8_tile, 256, 1, 1, 32768, nullptr};
  std::memset(in.a, 1, sizeof(in.a));
  std::memset(in.b, 2, sizeof(in.b));
  EXPECT_EQ(peak_reference(tile, in, 3)[255], 3u * 64 * 2);
}

TEST(CpuBufferPlan, IsBoundedByCachesMemoryAndContainer) {
  hwdb::CpuInfo cpu;
  hwdb::MemoryInfo memory;
  memory.total = {hwdb::Bytes(64 * hwdb::kGiB), hwdb::Basis::detected, "", ""};
  EXPECT_EQ(plan_buffer(cpu, memory, 0.25).bytes, 256 * kMiB);
  cpu.last_level_cache_total_bytes = 100 * kMiB;
  EXPECT_EQ(plan_buffer(cpu, memory, 0.25).bytes, 400 * kMiB);
  cpu.last_level_cache_total_bytes = 3 * hwdb::kGiB;
  const BufferPlan huge = plan_buffer(cpu, memory, 0.25);
  EXPECT_EQ(huge.bytes, 8 * hwdb::kGiB);
  EXPECT_EQ(huge.reason, "");
  // A container of 1 GiB: a quarter of it, which is less than twice the caches.
  cpu.last_level_cache_total_bytes = 200 * kMiB;
  memory.limit = {hwdb::Bytes(hwdb::kGiB), hwdb::Basis::detected, "", ""};
  const BufferPlan tight = plan_buffer(cpu, memory, 0.25);
  EXPECT_EQ(tight.bytes, 256 * kMiB);
  EXPECT_NE(tight.reason.find("less than twice the caches"), std::string::npos) << tight.reason;
  // Of which most is taken: nothing that says memory and means memory can be measured.
  memory.available = {hwdb::Bytes(400 * kMiB), hwdb::Basis::detected, "", ""};
  const BufferPlan none = plan_buffer(cpu, memory, 0.25);
  EXPECT_EQ(none.bytes, 0u);
  EXPECT_NE(none.reason.find("100 MiB"), std::string::npos) << none.reason;
}

TEST(CpuArrays, AreReadWholeAndDamageIsSeen) {
  CpuArrays arrays(8 * kMiB, two_places());
  ASSERT_TRUE(arrays.allocated());
  EXPECT_EQ(arrays.bytes(), 0u) << "nothing is written yet";
  arrays.fill(60, nullptr);
  ASSERT_GT(arrays.bytes(), 6 * kMiB);
  ASSERT_LE(arrays.bytes(), 8 * kMiB);
  for (const unsigned streams : {1u, 2u, 4u, 8u}) {
    arrays.set_streams(streams);
    CpuReaders readers(&arrays, arrays.local_shares(1));
    double bytes = 0;
    while (bytes < 2 * static_cast<double>(arrays.bytes())) bytes += readers.step(0);
    EXPECT_EQ(readers.slices_read(), 2 * arrays.places()) << streams;
    EXPECT_EQ(readers.fault(), "") << streams;
  }
  arrays.slice(arrays.places() - 1)[arrays.slice_bytes() - 1] ^= 1;
  CpuReaders readers(&arrays, arrays.local_shares(1));
  for (double bytes = 0; bytes < static_cast<double>(arrays.bytes());) bytes += readers.step(0);
  EXPECT_NE(readers.fault(), "");
}

TEST(CpuArrays, AreWrittenAsTheySay) {
  for (const auto kind : {CpuWriters::Kind::copy, CpuWriters::Kind::triad}) {
    CpuArrays arrays(4 * kMiB, two_places());
    arrays.fill(60, nullptr);
    const double parts = kind == CpuWriters::Kind::copy ? 2 : 3;
    CpuWriters writers(&arrays, kind);
    EXPECT_EQ(writers.step(0), parts * 64 * kKiB);
    EXPECT_EQ(writers.step(0), parts * 64 * kKiB);
    EXPECT_EQ(writers.fault(), "");
    arrays.slice(0)[64 * kKiB + 3] ^= 0x20;  // of a's second piece, which was written last
    EXPECT_NE(writers.fault(), "");
  }
}

TEST(CpuArrays, EndWhereTheTimeEnds) {
  CpuArrays arrays(64 * kMiB, two_places());
  arrays.fill(0, nullptr);
  EXPECT_EQ(arrays.bytes(), 0u);
  const std::atomic<bool> cancel{true};
  CpuArrays other(64 * kMiB, two_places());
  other.fill(60, &cancel);
  EXPECT_EQ(other.bytes(), 0u);
}

TEST(CpuArrays, FewThreadsReadAllSlicesOfTheirNodes) {
  // Two nodes of two places each; the threads are bound to the first processor all the same.
  const std::uint32_t cpu = read_cpu_places().at(0).cpu;
  const CpuArrays arrays(4 * kMiB, {{cpu, 0, 0}, {cpu, 1, 1}, {cpu, 2, 0}, {cpu, 3, 1}});
  using Shares = std::vector<std::vector<std::size_t>>;
  EXPECT_EQ(arrays.local_shares(1), (Shares{{0, 2}}));
  EXPECT_EQ(arrays.local_shares(2), (Shares{{0, 2}, {1, 3}}));
  EXPECT_EQ(arrays.local_shares(4), (Shares{{0}, {1}, {2}, {3}}));
  EXPECT_EQ(arrays.node_shares(1, 1), (Shares{{1, 3}}));
  EXPECT_EQ(arrays.node_shares(1, 3), (Shares{{1}, {3}, {1}}));
}

TEST(CpuPlaces, CoresComeBeforeTheirSecondThreadsAndNodesInTurn) {
  // Two nodes of two cores of two threads.
  std::vector<CpuPlace> places = {{0, 0, 0}, {4, 0, 0}, {1, 1, 0}, {5, 1, 0},
                                  {2, 2, 1}, {6, 2, 1}, {3, 3, 1}, {7, 3, 1}};
  order_places(&places);
  std::vector<std::uint32_t> order;
  for (const CpuPlace& p : places) order.push_back(p.cpu);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{0, 2, 1, 3, 4, 6, 5, 7}));
}

TEST(CpuPlaces, AreThoseOfTheProcess) {
  const auto places = read_cpu_places();
  ASSERT_FALSE(places.empty());
  std::set<std::uint32_t> cpus;
  for (const CpuPlace& p : places) cpus.insert(p.cpu);
  EXPECT_EQ(cpus.size(), places.size());
  cpu_set_t set;
  CPU_ZERO(&set);
  ASSERT_EQ(::sched_getaffinity(0, sizeof(set), &set), 0);
  EXPECT_EQ(static_cast<std::size_t>(CPU_COUNT(&set)), places.size());
  // A thread that is bound says so.
  bool bound = false;
  std::size_t allowed = 0;
  std::thread([&] {
    bound = engine::bind_this_thread(places.back().cpu);
    cpu_set_t mine;
    CPU_ZERO(&mine);
    ::sched_getaffinity(0, sizeof(mine), &mine);
    allowed = CPU_ISSET(places.back().cpu, &mine) ? static_cast<std::size_t>(CPU_COUNT(&mine)) : 0;
  }).join();
  EXPECT_TRUE(bound);
  EXPECT_EQ(allowed, 1u);
}

TEST(CpuLoad, CountsWhatItsThreadsDoAndStopsWhenTold) {
  std::vector<std::uint32_t> cpus;
  for (const CpuPlace& p : two_places()) cpus.push_back(p.cpu);
  std::vector<std::atomic<std::uint64_t>> done(cpus.size());
  const auto step = [&](std::size_t t) {
    done[t].fetch_add(1);
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    return 3.0;
  };
  LoadOptions o;
  o.warm_seconds = 0.05;
  o.run_seconds = 0.2;
  const LoadResult result = run_load(cpus, step, o);
  ASSERT_FALSE(result.windows.empty());
  double units = 0, last = o.warm_seconds;
  for (const LoadWindow& w : result.windows) {
    units += w.units;
    EXPECT_GT(w.at_seconds, last);
    last = w.at_seconds;
  }
  double all = 0;
  for (const auto& d : done) {
    EXPECT_GT(d.load(), 0u);
    all += 3.0 * static_cast<double>(d.load());
  }
  EXPECT_GT(units, 0);
  EXPECT_LT(units, all) << "what was done while it warmed up counts";

  std::atomic<bool> cancel{false};
  o.run_seconds = 600;
  o.window_seconds = 300;
  o.cancel = &cancel;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancel = true;
  });
  const double from = measure_clock();
  EXPECT_TRUE(run_load(cpus, step, o).cancelled);
  EXPECT_LT(measure_clock() - from, 60);
  later.join();
}

TEST(CpuLoad, WindowsWithoutTheProcessorsAreLeftOut) {
  LoadResult result;
  result.threads = 2;
  for (int i = 0; i < 6; ++i) result.windows.push_back({1, 0.01, 100, 0.02});
  for (int i = 0; i < 4; ++i) result.windows.push_back({1, 0.01, 40, 0.01});
  std::string reason;
  EXPECT_EQ(rates_of_undisturbed(result, &reason), std::vector<double>(6, 100 / 0.01));
  EXPECT_EQ(reason.substr(0, 24), "4 of 10 windows are left");
  EXPECT_NEAR(result.cpu_share(), 0.8, 1e-9);
  // Too few are left: all count, and the reason says that the machine was busy.
  result.windows.erase(result.windows.begin(), result.windows.begin() + 3);
  EXPECT_EQ(rates_of_undisturbed(result, &reason).size(), 7u);
  EXPECT_NE(reason.find("29 % of the processors"), std::string::npos) << reason;
  // By processor time the others do not matter.
  const std::vector<double> rates = rates_by_cpu_time(result);
  EXPECT_NEAR(rates.front(), 100 / 0.02 * 2, 1e-6);
  EXPECT_NEAR(rates.back(), 40 / 0.01 * 2, 1e-6);
}

TEST(CpuLoad, ThinningKeepsTheMean) {
  EXPECT_EQ(thinned({1, 3, 5, 7, 9}, 2), (std::vector<double>{2, 6}));
  EXPECT_EQ(thinned({1, 3}, 2), (std::vector<double>{1, 3}));
}

TEST(CpuHeld, ThrottlingIsAFallBeyondTheNoise) {
  LoadResult result;
  result.threads = 1;
  for (int i = 1; i <= 400; ++i) {
    const double at = i * 0.05, noise = 1 + 0.01 * (i % 3 - 1);
    result.windows.push_back({at, 0.05, (at < 8 ? 10 : 7) * noise * 0.05, 0.05});
  }
  const Reading throttled = held_reading("x", "B/s", "test", result);
  EXPECT_NEAR(throttled.value, 7, 0.1);
  EXPECT_EQ(throttled.reason, "burst 10 B/s; throttled after 8 s, sustained is 70 % of it");
  for (LoadWindow& w : result.windows)
    w.units = 0.5 * (1 + 0.1 * (std::fmod(w.at_seconds, 0.15) - 0.07));
  EXPECT_NE(held_reading("x", "B/s", "test", result).reason.find("no throttling"),
            std::string::npos);
  // Slow because others had the processor is not throttled.
  for (std::size_t i = 200; i < 300; ++i) {
    result.windows[i].units *= 0.3;
    result.windows[i].cpu_seconds *= 0.3;
  }
  EXPECT_NE(held_reading("x", "B/s", "test", result).reason.find("no throttling"),
            std::string::npos);
}

TEST(MeasureSteps, ShareTheTimeThatIsLeft) {
  std::vector<MeasureProgress> told;
  const std::function<void(const MeasureProgress&)> hear = [&](const MeasureProgress& p) {
    told.push_back(p);
  };
  MeasureSteps steps(10, hear, nullptr);
  steps.plan("a", 1);
  steps.plan("b", 3);
  steps.plan("c", 1);
  steps.plan("held", 0, 20);
  EXPECT_NEAR(steps.begin("a"), 2, 0.1);
  EXPECT_NEAR(steps.begin("b"), 7.5, 0.2);
  EXPECT_EQ(steps.begin("b"), 0) << "begun twice";
  EXPECT_EQ(steps.begin("unknown"), 0);
  EXPECT_EQ(steps.begin("held"), 20);
  steps.drop("c");
  EXPECT_EQ(steps.begin("c"), 0);
  steps.finish();
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.front().step, "a");
  EXPECT_NEAR(told.front().eta_seconds, 30, 0.5);
  EXPECT_EQ(told.back().fraction, 1);
  EXPECT_TRUE(std::ranges::is_sorted(told, {}, &MeasureProgress::fraction));
}

TEST(CpuLimits, KnowsTheCoresOfItsTable) {
  const auto limits = [](const char* vendor, unsigned family, unsigned model) {
    return find_port_limits({vendor, family, model});
  };
  ASSERT_NE(limits("GenuineIntel", 6, 0xcf), nullptr);
  EXPECT_EQ(instructions_per_cycle(*limits("GenuineIntel", 6, 0xcf), "vpdpbusd zmm"), 2);
  EXPECT_EQ(instructions_per_cycle(*limits("AuthenticAMD", 0x19, 0x61), "vpdpbusd zmm"), 1);
  EXPECT_EQ(instructions_per_cycle(*limits("AuthenticAMD", 0x19, 0x21), "vpdpbusd zmm"),
            std::nullopt);
  EXPECT_EQ(instructions_per_cycle(*limits("arm", 0x41, 0xd0b), "fmla 4s, FP32"), 2);
  EXPECT_EQ(limits("GenuineIntel", 6, 1), nullptr);
  EXPECT_EQ(limits("", 0, 0), nullptr);
}

TEST(CpuLimits, ReadsWhoMadeTheProcessor) {
  const ScratchFolder folder;
  folder.write("/proc/cpuinfo",
               "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 68\n"
               "model name\t: AMD Ryzen 9 9950X\n");
  const CpuIdentity amd = read_cpu_identity(SysRoot(folder.path()));
  EXPECT_EQ(amd.vendor, "AuthenticAMD");
  EXPECT_EQ(amd.family, 26u);
  EXPECT_EQ(amd.model, 68u);
  folder.write("/proc/cpuinfo",
               "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0b\n");
  const CpuIdentity arm = read_cpu_identity(SysRoot(folder.path()));
  EXPECT_EQ(arm.vendor, "arm");
  EXPECT_EQ(arm.family, 0x41u);
  EXPECT_EQ(arm.model, 0xd0bu);
}

TEST(ThreadCounts, ArePowersAndTheMost) {
  EXPECT_EQ(thread_counts(0), std::vector<std::size_t>{});
  EXPECT_EQ(thread_counts(1), std::vector<std::size_t>{1});
  EXPECT_EQ(thread_counts(6), (std::vector<std::size_t>{1, 2, 4, 6}));
  EXPECT_EQ(thread_counts(8), (std::vector<std::size_t>{1, 2, 4, 8}));
}

class DiskTest : public ::testing::Test {
 protected:
  Reading measure(const DiskReadOptions& options, const std::atomic<bool>* cancel = nullptr) {
    const std::function<void(const MeasureProgress&)> nobody;
    MeasureSteps steps(60, nobody, cancel);
    return measure_disk_read(options, 60, &steps);
  }
  ScratchFolder folder_;
};

TEST_F(DiskTest, ReadsAFileOfItsOwnAndLeavesNothing) {
  DiskReadOptions o;
  o.folder = folder_.path();
  o.make_bytes = 24 * kMiB;
  for (const bool direct : {true, false}) {
    o.direct = direct;
    const Reading r = measure(o);
    ASSERT_EQ(r.status, ReadingStatus::ok) << r.reason;
    EXPECT_GT(r.value, 0);
    EXPECT_EQ(r.method.find("24.0 MiB of a file made for it"), 0u) << r.method;
    if (!direct) {
      EXPECT_NE(r.method.find("told to drop it"), std::string::npos) << r.method;
    }
    EXPECT_TRUE(fs::is_empty(folder_.path()));
  }
}

TEST_F(DiskTest, ReadsNoMoreThanAllowedOfAGivenFile) {
  folder_.write("/model.gguf", std::string(21 * kMiB + 5, 'x'));
  DiskReadOptions o;
  o.file = folder_.path() + "/model.gguf";
  EXPECT_EQ(measure(o).method.find("21.0 MiB of the given file"), 0u) << measure(o).method;
  o.max_bytes = 8 * kMiB;
  EXPECT_EQ(measure(o).method.find("8.00 MiB of the given file"), 0u) << measure(o).method;
}

TEST_F(DiskTest, SaysWhyItCannot) {
  DiskReadOptions o;
  o.file = folder_.path() + "/none";
  EXPECT_EQ(measure(o).status, ReadingStatus::error);
  EXPECT_NE(measure(o).reason.find("No such file"), std::string::npos) << measure(o).reason;
  folder_.write("/short", "x");
  o.file = folder_.path() + "/short";
  EXPECT_EQ(measure(o).status, ReadingStatus::skipped);
  o.file = folder_.path();
  EXPECT_EQ(measure(o).reason, "that is no file");
  o.file.clear();
  o.folder = folder_.path() + "/missing";
  EXPECT_EQ(measure(o).status, ReadingStatus::error);
  const std::atomic<bool> cancel{true};
  o.folder = folder_.path();
  EXPECT_EQ(measure(o, &cancel).status, ReadingStatus::skipped);
  EXPECT_EQ(measure(o, &cancel).reason, "cancelled");
}

class MeasureCpuTest : public ::testing::Test {
 protected:
  MeasureCpuTest() {
    options_.budget_seconds = 2;
    options_.disk_folder = folder_.path();
    options_.sysroot = folder_.path();  // no power sensor
  }
  std::vector<Reading> measure(const hwdb::Machine& machine) {
    const auto hear = [this](const MeasureProgress& p) { told_.push_back(p); };
    return measure_cpu(machine, options_, hear, &cancel_);
  }
  static const Reading& find(const std::vector<Reading>& readings, std::string_view id) {
    static const Reading kNone = failed_reading("none", "", ReadingStatus::error, "not there");
    const auto it = std::ranges::find(readings, id, &Reading::id);
    return it != readings.end() ? *it : kNone;
  }
  ScratchFolder folder_;
  CpuMeasureOptions options_;
  std::vector<MeasureProgress> told_;
  std::atomic<bool> cancel_{false};
};

TEST_F(MeasureCpuTest, KeepsItsBudgetAndAnswersForEverything) {
  const double from = measure_clock();
  const std::vector<Reading> readings = measure(small_machine());
  // Steps end when their time is over; what may come on top is the last of each, not another run.
  EXPECT_LT(measure_clock() - from, 2 * options_.budget_seconds + 2);
  std::set<std::string> ids;
  for (const Reading& r : readings) {
    EXPECT_TRUE(ids.insert(r.id + r.device).second) << r.id;
    EXPECT_EQ(r.as_of.size(), 10u) << r.id;
    if (r.status == ReadingStatus::ok) {
      EXPECT_GT(r.value, 0) << r.id;
      EXPECT_NE(r.method, "") << r.id;
      EXPECT_FALSE(r.samples.empty()) << r.id;
      EXPECT_LE(r.samples.size(), 1024u) << r.id;
    } else {
      EXPECT_NE(r.reason, "") << r.id;
    }
    const auto back = hwdb::reading_from_json(hwdb::reading_to_json(r), r.id);
    EXPECT_TRUE(back) << back.error().what;
  }
  for (const char* id : {"cpu.read_bandwidth", "cpu.read_bandwidth.threads_1", "cpu.copy_bandwidth",
                         "cpu.triad_bandwidth", "cpu.clock", "cpu.fp32_rate", "cpu.int8_rate",
                         "cpu.amx_int8_rate", "disk.read_bandwidth", "power.cpu_package.idle"})
    EXPECT_TRUE(ids.contains(id)) << id;
  EXPECT_EQ(find(readings, "cpu.read_bandwidth").status, ReadingStatus::ok)
      << find(readings, "cpu.read_bandwidth").reason;
  EXPECT_EQ(find(readings, "cpu.fp32_rate").status, ReadingStatus::ok);
  EXPECT_EQ(find(readings, "power.cpu_package.idle").status, ReadingStatus::unsupported);
  // A quarter of 128 MiB.
  const std::string& method = find(readings, "cpu.read_bandwidth").method;
  EXPECT_NE(method.find("31."), std::string::npos) << method;
  ASSERT_FALSE(told_.empty());
  EXPECT_TRUE(std::ranges::is_sorted(told_, {}, &MeasureProgress::fraction));
  EXPECT_EQ(told_.back().fraction, 1);
}

TEST_F(MeasureCpuTest, StopsWhenTold) {
  options_.budget_seconds = 600;
  std::thread later([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    cancel_ = true;
  });
  options_.disk = false;
  const double from = measure_clock();
  const std::vector<Reading> readings = measure(small_machine());
  later.join();
  EXPECT_LT(measure_clock() - from, 60);
  const Reading& last = find(readings, "cpu.int8_rate");
  EXPECT_NE(last.status, ReadingStatus::ok);
  EXPECT_NE(last.reason, "");
}

TEST_F(MeasureCpuTest, WithoutEnoughMemoryThereIsNoBandwidth) {
  hwdb::Machine machine = small_machine();
  machine.cpu.last_level_cache_total_bytes = 64 * kMiB;
  options_.peaks = options_.disk = options_.power = false;
  const std::vector<Reading> readings = measure(machine);
  ASSERT_FALSE(readings.empty());
  for (const Reading& r : readings) {
    EXPECT_EQ(r.status, ReadingStatus::skipped) << r.id;
    EXPECT_NE(r.reason.find("only 32.0 MiB of memory may be used"), std::string::npos) << r.reason;
  }
}

TEST_F(MeasureCpuTest, AQuotaMeansFewerThreads) {
  hwdb::Machine machine = small_machine();
  machine.cpu.usable_threads = 1;
  options_.peaks = options_.disk = options_.power = false;
  options_.budget_seconds = 1;
  const std::vector<Reading> readings = measure(machine);
  EXPECT_EQ(find(readings, "cpu.read_bandwidth.threads_2").id, "none");
  EXPECT_NE(find(readings, "cpu.read_bandwidth").method.find("read by 1 thread;"),
            std::string::npos);
}

TEST(ApplyReadings, TheProcessorTakesWhatWasMeasured) {
  const auto ok = [](const char* id, double value) {
    Reading r = reading_of(id, "B/s", "test", {value});
    r.as_of = "2026-01-02";
    return r;
  };
  hwdb::Machine machine;
  machine.memory.bandwidth = {hwdb::BytesPerSecond(99), hwdb::Basis::spec, "", ""};
  apply_readings({ok("cpu.read_bandwidth", 10), ok("cpu.fp32_rate", 20), ok("cpu.int8_rate", 30)},
                 &machine);
  EXPECT_EQ(machine.memory.bandwidth.value.value, 10);
  EXPECT_EQ(machine.memory.bandwidth.basis, hwdb::Basis::measured);
  EXPECT_EQ(machine.memory.bandwidth.as_of, "2026-01-02");
  EXPECT_EQ(machine.cpu.peak_fp32->value.value, 20);
  EXPECT_EQ(machine.cpu.peak_int8->value.value, 30);
  // What it holds beats what it starts with, and tiles beat vectors.
  apply_readings({ok("cpu.read_bandwidth", 10), ok("cpu.sustained_read_bandwidth", 8),
                  ok("cpu.int8_rate", 30), ok("cpu.amx_int8_rate", 300)},
                 &machine);
  EXPECT_EQ(machine.memory.bandwidth.value.value, 8);
  EXPECT_EQ(machine.cpu.peak_int8->value.value, 300);
  // What failed changes nothing.
  apply_readings({failed_reading("cpu.fp32_rate", "FLOP/s", ReadingStatus::error, "test")},
                 &machine);
  EXPECT_EQ(machine.cpu.peak_fp32->value.value, 20);
  EXPECT_EQ(machine.readings.size(), 5u);
}

}  // namespace
}  // namespace probes
