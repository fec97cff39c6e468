// SPDX-License-Identifier: MIT
// The kernels on a software renderer, with the validation layers on: right results, no message.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>

#include "probes/measure/gpu_bench.h"
#include "probes/measure/gpu_reference.h"
#include "probes/measure/gpu_shaders.h"
#include "probes/measure/matrix_shader.h"

namespace probes {
namespace {

using engine::BufferKind;
using engine::DispatchStep;
using engine::NumberType;
using engine::VulkanBuffer;
using engine::VulkanCompute;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class GpuLoadsTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto devices = engine::list_vulkan_devices();
    if (!devices) GTEST_SKIP() << devices.error().what;
    engine::ComputeOptions options;
    options.validate = true;
    for (const auto& d : *devices) {
      if (engine::is_software_renderer(d)) options.uuid = d.uuid;
    }
    if (options.uuid.empty()) GTEST_SKIP() << "there is no software renderer for Vulkan";
    auto gpu = VulkanCompute::open(options);
    if (!gpu && gpu.error().code == "probe.vulkan_layer") GTEST_SKIP() << gpu.error().what;
    ASSERT_TRUE(gpu.has_value()) << gpu.error().what;
    gpu_.emplace(std::move(*gpu));
    options_.max_buffer_bytes = 16 * kMiB;
    loads_.emplace(&*gpu_, options_);
  }
  void TearDown() override {
    if (!gpu_) return;
    loads_->clear();
    for (const std::string& message : gpu_->messages()) ADD_FAILURE() << message;
  }

  /// Runs every trial once; each must take time and compute what it should.
  void run_all(const hwdb::Result<GpuFigure>& figure) {
    if (!figure && figure.error().code == "probe.gpu_unsupported")
      GTEST_SKIP() << figure.error().what;
    ASSERT_TRUE(figure.has_value()) << figure.error().what;
    ASSERT_FALSE(figure->trials.empty());
    for (const GpuTrial& trial : figure->trials) {
      const auto seconds = trial.run(1);
      ASSERT_TRUE(seconds.has_value()) << trial.label << ": " << seconds.error().what;
      EXPECT_GT(*seconds, 0) << trial.label;
      EXPECT_GT(trial.work_per_pass, 0) << trial.label;
      ASSERT_TRUE(trial.check) << trial.label;
      const auto status = trial.check();
      EXPECT_TRUE(status.has_value()) << trial.label << ": " << status.error().what;
    }
  }

  VulkanBuffer buffer_of(const std::vector<std::uint32_t>& words) {
    auto buffer = gpu_->make_buffer(4 * words.size(), BufferKind::device);
    EXPECT_TRUE(buffer.has_value());
    EXPECT_TRUE(gpu_->upload(*buffer, std::as_bytes(std::span(words))).has_value());
    return std::move(*buffer);
  }
  std::vector<std::uint32_t> words_of(const VulkanBuffer& buffer) {
    const auto bytes = gpu_->download(buffer, buffer.bytes());
    EXPECT_TRUE(bytes.has_value());
    std::vector<std::uint32_t> words(bytes->size() / 4);
    std::memcpy(words.data(), bytes->data(), bytes->size());
    return words;
  }
  /// 37 workgroups' worth of 64 x 8 vectors, and a ragged end of 5 vectors.
  static constexpr std::uint32_t kWidth = 64, kSteps = 8, kVectors = 37 * kWidth * kSteps + 5;
  static constexpr std::uint32_t kChunks = 38;
  void dispatch(std::span<const std::uint32_t> code, std::vector<const VulkanBuffer*> buffers,
                std::vector<std::uint32_t> push) {
    const auto kernel = gpu_->make_kernel({.spirv = code,
                                           .n_buffers = static_cast<std::uint32_t>(buffers.size()),
                                           .push_words = static_cast<std::uint32_t>(push.size()),
                                           .specialization = {kWidth, kSteps}});
    ASSERT_TRUE(kernel.has_value()) << kernel.error().what;
    const auto time =
        gpu_->run({.steps = {DispatchStep{&*kernel, std::move(buffers), kChunks, push}}});
    ASSERT_TRUE(time.has_value()) << time.error().what;
  }
  static std::vector<std::uint32_t> random_words(std::uint32_t n) {
    std::vector<std::uint32_t> words(n);
    for (std::uint32_t i = 0; i < n; ++i) words[i] = gpu_reference::hash(i ^ 0xABCD);
    return words;
  }

  std::optional<VulkanCompute> gpu_;
  GpuMeasureOptions options_;
  std::optional<GpuLoads> loads_;
};

TEST_F(GpuLoadsTest, Read) {
  run_all(loads_->read());
}
TEST_F(GpuLoadsTest, CachedRead) {
  run_all(loads_->cached_read());
}
TEST_F(GpuLoadsTest, Write) {
  run_all(loads_->write());
}
TEST_F(GpuLoadsTest, Copy) {
  run_all(loads_->copy());
}
TEST_F(GpuLoadsTest, Fp32) {
  run_all(loads_->fp32());
}
TEST_F(GpuLoadsTest, Fp16) {
  run_all(loads_->fp16());
}
TEST_F(GpuLoadsTest, Int8Dot) {
  run_all(loads_->int8_dot());
}
TEST_F(GpuLoadsTest, MatrixFp16) {
  run_all(loads_->matrix(NumberType::float16));
}
TEST_F(GpuLoadsTest, MatrixInt8) {
  run_all(loads_->matrix(NumberType::sint8));
}

TEST_F(GpuLoadsTest, EverySumIsRightToTheRaggedEnd) {
  const auto words = random_words(4 * kVectors);
  const VulkanBuffer in = buffer_of(words), out = buffer_of(std::vector<std::uint32_t>(kChunks));
  dispatch(gpu_shaders::read(), {&in, &out}, {kVectors, kChunks});
  const auto sums = words_of(out);
  for (std::uint32_t c = 0; c < kChunks; ++c) {
    const auto from = words.begin() + 4 * kWidth * kSteps * c;
    const auto to = c + 1 == kChunks ? words.end() : from + 4 * kWidth * kSteps;
    EXPECT_EQ(sums[c], std::accumulate(from, to, 0U)) << c;
  }
}

TEST_F(GpuLoadsTest, ACopyIsEqualAndEndsWhereItShould) {
  const auto words = random_words(4 * kVectors);
  const VulkanBuffer in = buffer_of(words);
  const VulkanBuffer out = buffer_of(std::vector<std::uint32_t>(4 * kVectors + 64, 77));
  dispatch(gpu_shaders::copy(), {&in, &out}, {kVectors});
  auto expected = words;
  expected.resize(4 * kVectors + 64, 77);
  EXPECT_EQ(words_of(out), expected);
}

TEST_F(GpuLoadsTest, EveryWordIsWrittenAndNoneBeyond) {
  const VulkanBuffer out = buffer_of(std::vector<std::uint32_t>(4 * kVectors + 64, 77));
  dispatch(gpu_shaders::write(), {&out}, {kVectors, 9});
  std::vector<std::uint32_t> expected(4 * kVectors + 64, 77);
  std::iota(expected.begin(), expected.begin() + 4 * kVectors, 9U);
  EXPECT_EQ(words_of(out), expected);
}

TEST_F(GpuLoadsTest, ACheckFailsWhereNothingWasComputed) {
  for (const auto& figure : {loads_->read(), loads_->write(), loads_->copy()}) {
    ASSERT_TRUE(figure.has_value());
    const auto status = figure->trials[0].check();
    ASSERT_FALSE(status.has_value()) << figure->id;
    EXPECT_EQ(status.error().code, "probe.gpu_wrong");
  }
}

TEST_F(GpuLoadsTest, CopiesToAndFromTheHostCarryTheData) {
  const auto words = random_words(1 << 16);
  EXPECT_EQ(words_of(buffer_of(words)), words);
  for (const auto& figure : {loads_->upload(), loads_->download()}) {
    ASSERT_TRUE(figure.has_value()) << figure.error().what;
    const auto seconds = figure->trials[0].run(2);
    ASSERT_TRUE(seconds.has_value());
    EXPECT_GT(*seconds, 0);
  }
}

TEST_F(GpuLoadsTest, MisuseIsRefusedBeforeTheDriverSeesIt) {
  const VulkanBuffer buffer = buffer_of(std::vector<std::uint32_t>(64));
  const auto kernel = gpu_->make_kernel(
      {.spirv = gpu_shaders::fill(), .n_buffers = 1, .push_words = 2, .specialization = {64}});
  ASSERT_TRUE(kernel.has_value());
  EXPECT_FALSE(gpu_->run({.steps = {DispatchStep{&*kernel, {&buffer}, 1, {1}}}}).has_value());
  EXPECT_FALSE(gpu_->run({.steps = {DispatchStep{&*kernel, {}, 1, {1, 2}}}}).has_value());
  EXPECT_FALSE(gpu_->run({.steps = {DispatchStep{&*kernel, {&buffer}, 0, {1, 2}}}}).has_value());
}

TEST(GpuReference, HalvesRoundAsTheStandardSays) {
  using gpu_reference::rounded_to_half;
  EXPECT_EQ(rounded_to_half(1.0 + 1.0 / 2048), 1.0);  // a tie goes to the even one
  EXPECT_EQ(rounded_to_half(1.0 + 3.0 / 2048), 1.0 + 2.0 / 1024);
  EXPECT_EQ(rounded_to_half(1.0 / 3), 0.333251953125);
  EXPECT_EQ(rounded_to_half(std::ldexp(1.0, -26)), 0);
  EXPECT_EQ(rounded_to_half(0), 0);
}

TEST(GpuReference, ElementsAreReadByTheirType) {
  const std::vector<std::uint16_t> halves = {0x3C00, 0xC100, 0x0001};
  const auto bytes = std::as_bytes(std::span(halves));
  EXPECT_EQ(gpu_reference::element(NumberType::float16, bytes, 0), 1.0);
  EXPECT_EQ(gpu_reference::element(NumberType::float16, bytes, 1), -2.5);
  EXPECT_EQ(gpu_reference::element(NumberType::float16, bytes, 2), std::ldexp(1.0, -24));
  EXPECT_EQ(gpu_reference::element(NumberType::bfloat16, bytes, 1), -8.0);
  EXPECT_EQ(gpu_reference::element(NumberType::sint8, bytes, 3), -63);
}

TEST(GpuReference, ChainsAreWhatTheFormulaSays) {
  // All data 0: x is 1/2 and y is 0, so every chain stays 0.
  const std::vector<std::uint32_t> zeros(256);
  EXPECT_EQ(gpu_reference::chain_result({}, zeros, 3, 5, 0), 0U);
  // All data 1: x is 3/4, y is 1; after n steps a chain is 4 - 3 * (3/4)^n.
  const std::vector<std::uint32_t> ones(256, std::bit_cast<std::uint32_t>(1.0F));
  const float sum = std::bit_cast<float>(gpu_reference::chain_result({}, ones, 3, 1, 0));
  EXPECT_NEAR(sum, 16 * (4 - 3 * std::pow(0.75, 8)), 1e-4);
  // Bytes 1 everywhere: each dot product is the lowest byte and three, until that byte is 253,
  // which is -3.
  const std::vector<std::uint32_t> bytes(256, 0x01010101);
  EXPECT_EQ(gpu_reference::chain_result({NumberType::sint8, 1, {}}, bytes, 0, 1, 0), 0x010101FDU);
}

TEST(MatrixShader, IsAWholeModuleWithTheProductsItCounts) {
  MatrixKernel kernel;
  kernel.shape = {16,
                  16,
                  16,
                  NumberType::float16,
                  NumberType::float16,
                  NumberType::float32,
                  NumberType::float32,
                  false};
  kernel.rows = 2;
  kernel.columns = 3;
  const auto code = make_matrix_shader(kernel);
  ASSERT_GT(code.size(), 5u);
  EXPECT_EQ(code[0], 0x07230203u);
  std::size_t at = 5, products = 0, stores = 0;
  while (at < code.size()) {
    const std::uint32_t length = code[at] >> 16, opcode = code[at] & 0xFFFF;
    ASSERT_GT(length, 0u);
    products += opcode == 4459;
    stores += opcode == 4458;
    at += length;
  }
  EXPECT_EQ(at, code.size());
  EXPECT_EQ(products, 2u * 2 * 3);
  EXPECT_EQ(kernel.operations_per_turn(), products * 2 * 16 * 16 * 16);
  EXPECT_EQ(stores, 6u);  // every accumulator is written
  kernel.shape.a = NumberType::other;
  EXPECT_TRUE(make_matrix_shader(kernel).empty());
}

/// Trials that share their results, as those of a figure do; each takes its own time for a pass.
struct FakeLoad {
  int last = -1;
  GpuFigure figure;
  explicit FakeLoad(std::initializer_list<double> seconds_per_pass) {
    figure = {"gpu.fake_rate", "FLOP/s", "a fake", {}};
    for (const double seconds : seconds_per_pass) {
      const int own = static_cast<int>(figure.trials.size());
      GpuTrial trial;
      trial.label = std::to_string(own);
      trial.work_per_pass = 1;
      trial.run = [this, own, seconds](std::uint32_t passes) -> hwdb::Result<double> {
        last = own;
        return seconds * passes;
      };
      trial.check = [this, own]() -> hwdb::Status {
        if (last == own) return hwdb::Ok{};
        return hwdb::Error{"probe.gpu_wrong", "another trial's results", "", ""};
      };
      figure.trials.push_back(std::move(trial));
    }
  }
  FakeLoad(const FakeLoad&) = delete;
  FakeLoad& operator=(const FakeLoad&) = delete;
};

TEST(MeasureFigure, TheFastestTrialIsCheckedAndMeasured) {
  FakeLoad load({0.004, 0.001, 0.002});
  const MeasureHooks hooks;
  const Reading r = measure_figure(load.figure, {0.3, 0.02, hooks, [] {}});
  EXPECT_EQ(r.status, ReadingStatus::ok) << r.reason;
  EXPECT_NEAR(r.value, 1000, 1e-6);
  EXPECT_GE(r.samples.size(), 5u);
  EXPECT_NE(r.method.find("a fake; 1; median"), std::string::npos) << r.method;
}

TEST(MeasureFigure, AWrongResultIsNoFigure) {
  FakeLoad load({0.001});
  load.figure.trials[0].check = [] {
    return hwdb::Status(hwdb::Error{"probe.gpu_wrong", "the sums differ", "", ""});
  };
  const MeasureHooks hooks;
  const Reading r = measure_figure(load.figure, {0.3, 0.02, hooks, [] {}});
  EXPECT_EQ(r.status, ReadingStatus::error);
  EXPECT_EQ(r.reason, "probe.gpu_wrong: the sums differ");
  EXPECT_TRUE(r.samples.empty());
}

TEST(MeasureFigure, ATrialThatFailsLeavesItToTheOthers) {
  FakeLoad load({0.001, 0.002});
  load.figure.trials[0].run = [](std::uint32_t) {
    return hwdb::Result<double>(hwdb::Error{"probe.gpu_memory", "no memory left", "", ""});
  };
  const MeasureHooks hooks;
  EXPECT_NEAR(measure_figure(load.figure, {0.3, 0.02, hooks, [] {}}).value, 500, 1e-6);
}

TEST(FindPace, ARunTakesAboutAsLongAsAsked) {
  FakeLoad load({0.0001});
  EXPECT_EQ(find_pace(load.figure.trials[0], 0.02)->passes, 200u);
  EXPECT_EQ(find_pace(load.figure.trials[0], 0.005)->passes, 50u);
  FakeLoad slow({3.0});
  EXPECT_EQ(find_pace(slow.figure.trials[0], 0.02)->passes, 1u);
}

std::vector<HeldRate> held(double seconds, const std::function<double(double)>& rate) {
  std::vector<HeldRate> rates;
  for (double at = 0.02; at <= seconds; at += 0.02) rates.push_back({at, rate(at)});
  return rates;
}

TEST(SustainedVerdict, AFallBelowTheBurstIsThrottling) {
  const auto v = judge_sustained(held(20, [](double at) { return at < 7 ? 100.0 : 80.0; }));
  EXPECT_TRUE(v.throttled);
  EXPECT_EQ(v.burst, 100);
  EXPECT_EQ(v.sustained, 80);
  EXPECT_EQ(v.after_seconds, 7);
}

TEST(SustainedVerdict, AFewPercentAreNot) {
  const auto v = judge_sustained(held(20, [](double at) { return at < 7 ? 100.0 : 96.0; }));
  EXPECT_FALSE(v.throttled);
}

TEST(SustainedVerdict, NoiseAsLargeAsTheFallIsNot) {
  int i = 0;
  const auto noisy = [&](double at) { return (at < 7 ? 100.0 : 90.0) * (++i % 2 ? 0.9 : 1.1); };
  EXPECT_FALSE(judge_sustained(held(20, noisy)).throttled);
}

TEST(SustainedVerdict, ADipInTheMiddleIsNot) {
  const auto v =
      judge_sustained(held(20, [](double at) { return at > 5 && at < 8 ? 60.0 : 100.0; }));
  EXPECT_FALSE(v.throttled);
}

TEST(SustainedVerdict, WithoutSamplesNothingIsSaid) {
  EXPECT_FALSE(judge_sustained({}).throttled);
  EXPECT_EQ(judge_sustained({}).sustained, 0);
}

}  // namespace
}  // namespace probes
