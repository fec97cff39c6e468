// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace engine {

/// Workers that wait for work by spinning for a moment and then sleeping. The calling thread is
/// worker 0. One caller at a time; work must not start work on the same pool.
class ThreadPool {
 public:
  /// `n_threads` workers (at least 1); worker i is pinned to cpus[i] where there is such an entry.
  /// The caller is pinned too, and gets its old affinity back when the pool goes.
  explicit ThreadPool(unsigned n_threads, std::span<const std::uint32_t> cpus = {});
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  unsigned size() const;

  /// Calls body(worker) once on every worker and returns when all are done.
  template <class Body>
  void run(Body&& body) {
    start([](void* context,
             unsigned worker) { (*static_cast<std::remove_reference_t<Body>*>(context))(worker); },
          const_cast<void*>(static_cast<const void*>(&body)));
  }

  /// Calls body(task, worker) for each task below n_tasks, and returns when all are done. A worker
  /// begins with the task of its own number and takes further ones as it gets ready.
  template <class Body>
  void for_each(std::size_t n_tasks, Body&& body) {
    const Body& called = body;
    if (n_tasks == 0) return;
    if (n_tasks == 1 || size() == 1) {
      for (std::size_t task = 0; task < n_tasks; ++task) called(task, 0u);
      return;
    }
    reset_tasks();
    run([&](unsigned worker) {
      for (std::size_t task = worker; task < n_tasks; task = next_task()) called(task, worker);
    });
  }

 private:
  using Call = void (*)(void* context, unsigned worker);
  void start(Call call, void* context);
  void reset_tasks();
  std::size_t next_task();  // size(), size() + 1, ... after reset_tasks

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace engine
