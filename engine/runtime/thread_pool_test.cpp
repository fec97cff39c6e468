// SPDX-License-Identifier: MIT
#include "engine/runtime/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "engine/runtime/thread_binding.h"

namespace engine {
namespace {

TEST(ThreadPool, RunsEveryWorkerOnce) {
  for (const unsigned n : {1u, 2u, 3u, 8u}) {
    ThreadPool pool(n);
    ASSERT_EQ(pool.size(), n);
    std::vector<int> calls(n, 0);  // each worker writes its own: no atomics needed
    for (int round = 0; round < 100; ++round) pool.run([&](unsigned worker) { ++calls[worker]; });
    EXPECT_EQ(calls, std::vector<int>(n, 100));
  }
}

TEST(ThreadPool, ZeroThreadsAreOne) {
  ThreadPool pool(0);
  EXPECT_EQ(pool.size(), 1u);
  int calls = 0;
  pool.run([&](unsigned) { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(ThreadPool, CallerIsWorkerZero) {
  ThreadPool pool(3);
  std::vector<std::thread::id> ids(3);
  pool.run([&](unsigned worker) { ids[worker] = std::this_thread::get_id(); });
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_NE(ids[1], ids[0]);
  EXPECT_NE(ids[2], ids[1]);
}

// What workers write is there when the call returns, whatever the number of tasks.
TEST(ThreadPool, EveryTaskOnceUnderStress) {
  for (const unsigned n : {1u, 2u, 4u, 7u}) {
    ThreadPool pool(n);
    std::vector<int> done(300);
    for (std::size_t round = 0; round < 3000; ++round) {
      const std::size_t n_tasks = round * 7 % 300;
      std::fill(done.begin(), done.end(), 0);
      pool.for_each(n_tasks, [&](std::size_t task, unsigned worker) {
        ASSERT_LT(worker, n);
        ++done[task];
      });
      for (std::size_t task = 0; task < done.size(); ++task)
        ASSERT_EQ(done[task], task < n_tasks ? 1 : 0) << n << " threads, " << n_tasks << " tasks";
    }
  }
}

TEST(ThreadPool, SleepersWake) {
  ThreadPool pool(4);
  std::atomic<int> calls{0};
  for (int round = 0; round < 50; ++round) {
    // Around the length of the spin, so that some workers just fall asleep.
    std::this_thread::sleep_for(std::chrono::microseconds(20 * (round % 7)));
    pool.run([&](unsigned worker) {
      if (worker == 3) std::this_thread::sleep_for(std::chrono::microseconds(10 * (round % 11)));
      ++calls;
    });
  }
  EXPECT_EQ(calls, 200);
}

TEST(ThreadPool, ComesAndGoesManyTimes) {
  int calls = 0;
  for (int i = 0; i < 200; ++i) {
    ThreadPool pool(3);
    if (i % 2 == 0) continue;  // goes before any work
    std::atomic<int> here{0};
    pool.run([&](unsigned) { ++here; });
    calls += here;
  }
  EXPECT_EQ(calls, 300);
}

TEST(ThreadPool, PinsWorkersAndGivesTheCallerItsPlacesBack) {
  const std::vector<std::uint32_t> before = read_thread_binding();
  if (before.size() < 2) GTEST_SKIP() << "fewer than two CPUs, or the system does not say which";
  {
    const std::vector<std::uint32_t> cpus = {before[1], before[0]};
    ThreadPool pool(3, cpus);
    std::vector<std::vector<std::uint32_t>> places(3);
    pool.run([&](unsigned worker) { places[worker] = read_thread_binding(); });
    EXPECT_EQ(places[0], std::vector{before[1]});
    EXPECT_EQ(places[1], std::vector{before[0]});
    EXPECT_EQ(places[2], before);
  }
  EXPECT_EQ(read_thread_binding(), before);
}

TEST(ThreadBinding, RefusesWhatIsNotThere) {
  EXPECT_FALSE(bind_this_thread(65535));
  EXPECT_FALSE(bind_this_thread(~0u));
  EXPECT_FALSE(bind_this_thread(std::vector<std::uint32_t>{}));
  const unsigned usable = read_usable_cpus();
  EXPECT_GE(usable, 1u);
  EXPECT_LE(usable, std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace engine
