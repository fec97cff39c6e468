// SPDX-License-Identifier: MIT
#include "engine/runtime/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "engine/runtime/thread_binding.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace engine {
namespace {

using Word = std::atomic<std::uint32_t>;

#if defined(__linux__)
// Not Word::wait: libstdc++ 12 may miss a wake-up on processors that reorder a store with a load.
static_assert(sizeof(Word) == 4 && Word::is_always_lock_free);

void sleep_while(Word* word, std::uint32_t value) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void wake_all(Word* word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}
#else
void sleep_while(Word* word, std::uint32_t value) {
  word->wait(value);
}

void wake_all(Word* word) {
  word->notify_all();
}
#endif

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");  // "yield" is too short to leave the memory system alone
#endif
}

// Longer than the gaps between the products of a layer, shorter than a turn of the scheduler.
constexpr std::chrono::microseconds kSpin{50};

/// A number that one side changes and others wait for, spinning first and sleeping then.
struct Signal {
  alignas(64) Word value{0};
  Word sleepers{0};

  /// Returns when the value is no longer `old`.
  void wait_while(std::uint32_t old, bool spin) {
    if (spin) {
      const auto give_up = std::chrono::steady_clock::now() + kSpin;
      do {
        for (int i = 0; i < 64; ++i) {
          if (value.load(std::memory_order_acquire) != old) return;
          pause();
        }
      } while (std::chrono::steady_clock::now() < give_up);
    }
    // Both sides in one order: either the changer sees the sleeper, or the sleeper sees the change.
    sleepers.fetch_add(1);
    while (value.load() == old) sleep_while(&value, old);
    sleepers.fetch_sub(1);
  }
  /// Wakes those that sleep, after a change of the value.
  void announce() {
    if (sleepers.load() != 0) wake_all(&value);
  }
};

}  // namespace

struct ThreadPool::State {
  Signal started;   // counts the calls of start
  Signal finished;  // counts those that all workers are done with
  alignas(64) std::atomic<unsigned> running{0};
  alignas(64) std::atomic<std::size_t> next{0};
  alignas(64) Call call = nullptr;  // null: the pool goes
  void* context = nullptr;
  unsigned n_threads = 1;
  bool spin = true;
  std::vector<std::thread> threads;
  std::thread::id owner;
  std::vector<std::uint32_t> owner_cpus;  // to be given back; empty where nothing was changed

  void work(unsigned worker) {
    for (std::uint32_t seen = 0;;) {
      started.wait_while(seen, spin);
      ++seen;
      if (call == nullptr) return;
      call(context, worker);
      if (running.fetch_sub(1) == 1) {
        finished.value.fetch_add(1);
        finished.announce();
      }
    }
  }

  void begin() {
    running.store(n_threads - 1, std::memory_order_relaxed);
    started.value.fetch_add(1);
    started.announce();
  }
};

ThreadPool::ThreadPool(unsigned n_threads, std::span<const std::uint32_t> cpus)
    : state_(std::make_unique<State>()) {
  state_->n_threads = std::max(1u, n_threads);
  state_->spin = state_->n_threads <= read_usable_cpus();
  state_->owner = std::this_thread::get_id();
  if (!cpus.empty()) {
    state_->owner_cpus = read_thread_binding();
    if (!bind_this_thread(cpus[0])) state_->owner_cpus.clear();
  }
  const std::vector<std::uint32_t> places(cpus.begin(), cpus.end());
  for (unsigned worker = 1; worker < state_->n_threads; ++worker) {
    state_->threads.emplace_back([this, worker, places] {
      if (worker < places.size()) {
        bind_this_thread(places[worker]);
      } else if (!state_->owner_cpus.empty()) {
        bind_this_thread(state_->owner_cpus);  // threads are born where their maker is bound
      }
      state_->work(worker);
    });
  }
}

ThreadPool::~ThreadPool() {
  state_->call = nullptr;
  state_->begin();
  for (std::thread& thread : state_->threads) thread.join();
  if (!state_->owner_cpus.empty() && std::this_thread::get_id() == state_->owner)
    bind_this_thread(state_->owner_cpus);
}

unsigned ThreadPool::size() const {
  return state_->n_threads;
}

void ThreadPool::start(Call call, void* context) {
  if (state_->n_threads == 1) {
    call(context, 0);
    return;
  }
  state_->call = call;
  state_->context = context;
  const std::uint32_t before = state_->finished.value.load(std::memory_order_relaxed);
  state_->begin();
  call(context, 0);
  state_->finished.wait_while(before, state_->spin);
}

void ThreadPool::reset_tasks() {
  state_->next.store(state_->n_threads, std::memory_order_relaxed);
}

std::size_t ThreadPool::next_task() {
  return state_->next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace engine
