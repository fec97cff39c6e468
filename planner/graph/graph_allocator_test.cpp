// SPDX-License-Identifier: MIT
#include "planner/graph/graph_allocator.h"

#include <gtest/gtest.h>

#include "planner/graph/graph_schedule.h"

namespace planner {
namespace {

constexpr ExtentValues kOnes{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
constexpr auto kAligned32 = [] {
  std::array<std::uint32_t, kMaxGraphDevices> a{};
  a.fill(32);
  return a;
}();

/// Writes a script by hand: take(bytes) gives a slot, give_back frees it.
class Script {
 public:
  std::uint16_t take(std::uint64_t bytes) {
    script_.rules.push_back({bytes, {Extent::one, Extent::one, Extent::one}});
    AllocationScript::Event event;
    event.slot = script_.n_slots++;
    event.rule = static_cast<std::uint16_t>(script_.rules.size() - 1);
    script_.events.push_back(event);
    return event.slot;
  }
  void give_back(std::uint16_t slot) { script_.events.push_back({false, 0, slot, 0, 0}); }
  std::uint64_t size() const { return replay(script_, kOnes, kAligned32).bytes[0]; }

 private:
  AllocationScript script_;
};

TEST(GraphAllocator, PiecesStandBehindOneAnotherAligned) {
  Script s;
  s.take(1);
  s.take(33);
  EXPECT_EQ(s.size(), 32u + 64u);
}

TEST(GraphAllocator, TheSmallestHoleThatFitsIsTaken) {
  Script s;
  const auto large = s.take(320);
  s.take(32);
  const auto small = s.take(64);
  s.take(32);
  s.give_back(large);
  s.give_back(small);
  s.take(64);   // into the hole of 64, so that
  s.take(320);  // the hole of 320 is still whole
  EXPECT_EQ(s.size(), 320u + 32 + 64 + 32);
}

TEST(GraphAllocator, NeighbouringHolesBecomeOne) {
  Script s;
  const auto a = s.take(64);
  const auto b = s.take(64);
  const auto c = s.take(64);
  s.take(32);
  s.give_back(a);
  s.give_back(c);
  s.give_back(b);
  s.take(192);
  EXPECT_EQ(s.size(), 3u * 64 + 32);
}

TEST(GraphAllocator, AHoleThatIsTooSmallStaysEmpty) {
  Script s;
  const auto a = s.take(64);
  s.take(32);
  s.give_back(a);
  s.take(96);
  EXPECT_EQ(s.size(), 64u + 32 + 96);
}

/// The last buffer of a graph scheduled for the host alone.
std::uint64_t host_bytes(const TensorGraph& graph) {
  return replay(schedule(graph, {}, kOnes), kOnes, kAligned32).bytes[0];
}

TEST(GraphSchedule, ASumIsWrittenOverItsOnlyReader) {
  TensorGraph g;
  const int in = g.input({1024}, 4);
  const int a = g.op(GraphOp::fresh, {1024}, {in});
  g.expand(g.same(GraphOp::overwrites, {a, in}));
  EXPECT_EQ(host_bytes(g), 2u * 4096);
}

TEST(GraphSchedule, WhatIsReadAgainIsNotWrittenOver) {
  TensorGraph g;
  const int in = g.input({1024}, 4);
  const int a = g.op(GraphOp::fresh, {1024}, {in});
  const int b = g.same(GraphOp::overwrites, {a});
  g.expand(g.op(GraphOp::fresh, {8}, {b, a}));
  // b goes into the input's place; written over a, it would have left that to the last piece.
  EXPECT_EQ(host_bytes(g), 2u * 4096 + 32);
}

TEST(GraphSchedule, AnOutputIsKept) {
  TensorGraph g;
  const int in = g.input({1024}, 4);
  const int a = g.op(GraphOp::fresh, {1024}, {in});
  g.at(a).output = true;
  const int b = g.op(GraphOp::fresh, {1024}, {a});
  g.expand(g.op(GraphOp::fresh, {1024}, {b}));
  // input, a, b in the input's place, and one more: a is never given back
  EXPECT_EQ(host_bytes(g), 3u * 4096);
}

TEST(GraphSchedule, AViewKeepsItsSourceAlive) {
  TensorGraph g;
  const int in = g.input({1024}, 4);
  const int a = g.op(GraphOp::fresh, {2048}, {in});
  const int left = g.view(a, {1024});
  const int b = g.op(GraphOp::fresh, {1024}, {left});
  const int right = g.view(a, {1024}, false);
  g.expand(g.op(GraphOp::fresh, {1024}, {b, right}));
  // The input's place serves b; a lives until the end, so the last result needs new memory.
  EXPECT_EQ(host_bytes(g), 4096u + 8192 + 4096);
}

TEST(GraphSchedule, WeightsDecideAndInputsAreCopied) {
  TensorGraph g;
  const int in = g.input({1024}, 4);
  const int a = g.op(GraphOp::matmul, {2048, Dim(1)}, {in}, {0, 0});
  g.expand(a);
  ScheduleOptions options;
  options.n_gpus = 1;
  const BufferSizes sizes = replay(schedule(g, options, kOnes), kOnes, kAligned32).bytes;
  EXPECT_EQ(sizes[0], 4096u + 8192);  // copy of the input, result
  EXPECT_EQ(sizes[1], 4096u);         // the input itself
}

TEST(GraphSchedule, LargeBatchesBorrowHostWeights) {
  constexpr std::uint64_t kWeight = 1 << 20;
  TensorGraph g;
  const int in = g.input({1024, Extent::tokens}, 4);
  g.expand(g.op(GraphOp::matmul, {1024, Extent::tokens}, {in}, {1, kWeight}));
  ScheduleOptions options;
  options.n_gpus = 1;
  ExtentValues values = kOnes;
  const auto tokens = static_cast<std::size_t>(Extent::tokens);
  values[tokens] = 31;
  EXPECT_EQ(replay(schedule(g, options, values), values, kAligned32).bytes[0], 0u);
  values[tokens] = 32;
  EXPECT_EQ(replay(schedule(g, options, values), values, kAligned32).bytes[0],
            kWeight + 2 * 32 * 4096);
  options.offload_from_rows = 0;
  EXPECT_EQ(replay(schedule(g, options, values), values, kAligned32).bytes[0], 0u);
}

TEST(GraphSchedule, PipelinesKeepEveryInputFourTimes) {
  TensorGraph g;
  const int in = g.input({1024}, 4);
  g.expand(g.op(GraphOp::matmul, {8}, {in}, {0, 0}));
  ScheduleOptions options;
  options.n_gpus = 2;
  options.n_copies = 4;
  const BufferSizes sizes = replay(schedule(g, options, kOnes), kOnes, kAligned32).bytes;
  EXPECT_EQ(sizes[2], 4u * 4096);       // host
  EXPECT_EQ(sizes[0], 4u * 4096 + 32);  // first GPU, and the result
  EXPECT_EQ(sizes[1], 0u);
}

}  // namespace
}  // namespace planner
