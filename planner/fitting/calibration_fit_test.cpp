// SPDX-License-Identifier: MIT
#include "planner/fitting/calibration_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "hwdb/catalog.h"
#include "planner/placement.h"
#include "planner/speed_estimate.h"
#include "planner/test_inputs.h"

namespace {

using hwdb::SpeedReading;
using planner::Calibration;
using planner::DeviceFactors;

std::shared_ptr<const planner::ResolvedModel> model_of(const std::string& name,
                                                       const std::string& quant) {
  const auto row = hwdb::Catalog::builtin().find_model(name);
  if (!row) return nullptr;
  hwdb::QuantOptions how;
  how.preset = quant;
  auto costs = hwdb::model_costs_of_preset((*row)->shape, how);
  if (!costs) return nullptr;
  planner::ResolvedModel model;
  model.name = name;
  model.costs = *std::move(costs);
  return std::make_shared<const planner::ResolvedModel>(std::move(model));
}

/// A machine with factors of its own, which nobody but the test knows.
struct Truth {
  hwdb::Machine machine = planner::testing::host();
  planner::Assumptions assumptions;
  Calibration calibration;

  Truth() {
    machine.memory.bandwidth.basis = hwdb::Basis::measured;
    calibration.runtime = "tokwatt";
    calibration.backend = "cpu";
    calibration.bandwidth_bytes_per_s = machine.memory.bandwidth.value.value;
    bool assumed = false;
    calibration.peak_flops_per_s = planner::cpu_peak(machine, &assumed).value;
    DeviceFactors& f = calibration.factors;
    f.read = 0.88;
    f.vector = 0.35;
    f.cache_read = 0.62;
    f.matmul = 0.71;
    f.attention = 0.33;
    f.activation = 0.41;
    f.half_tokens = 14;
    f.product_s = 9e-6;
    f.pass_s = 3e-4;
    f.types = {{hwdb::tensor_type("Q8_0"), 0.95, 1.3, 1.2, 0.8, 1.6},
               {hwdb::tensor_type("Q4_K"), 1.0, 0.9, 0.95, 1},
               {hwdb::tensor_type("Q6_K"), 0.8, 0.7, 0.9, 1}};
    std::ranges::sort(f.types, {}, &DeviceFactors::OfType::type);
  }

  /// The speed that a reading's question has under `with`.
  double speed(const SpeedReading& r, const Calibration& with) const {
    const auto model = model_of(r.model, r.quant);
    planner::PlanInputs in;
    in.model = &model->costs;
    in.machine = &machine;
    in.assumptions = &assumptions;
    in.calibrations = {&with, 1};
    in.settings.runtime = hwdb::Runtime::tokwatt;
    in.settings.cpu_only = true;
    in.settings.cache_type_k = in.settings.cache_type_v = r.cache_type_k;
    in.settings.n_ctx = 40000;
    in.workload.depth = r.depth;
    const bool prefill = r.test == SpeedReading::Test::prefill;
    in.workload.n_prompt = prefill ? r.n_prompt : 0;
    in.workload.n_gen = prefill ? 0 : r.n_gen;
    const auto basis = planner::prepare(in);
    const planner::Placement placement = planner::place(*basis, 0, 0);
    return prefill ? r.n_prompt / planner::prefill_pass(*basis, placement, nullptr).seconds()
                   : 1 / planner::decode_step(*basis, placement, nullptr).seconds();
  }

  SpeedReading measure(const std::string& model, const std::string& quant, SpeedReading::Test test,
                       std::uint32_t depth, const std::string& cache = "f16") const {
    SpeedReading r;
    r.source = SpeedReading::Source::engine;
    r.runtime = "tokwatt";
    r.build = "1";
    r.backend = "cpu";
    r.model = model;
    r.quant = quant;
    r.test = test;
    (test == SpeedReading::Test::prefill ? r.n_prompt : r.n_gen) =
        test == SpeedReading::Test::prefill ? 512 : 16;
    r.depth = depth;
    r.cache_type_k = r.cache_type_v = cache;
    r.tok_per_s = speed(r, calibration);
    r.samples = {r.tok_per_s, r.tok_per_s, r.tok_per_s};
    r.deviation = 0.001 * r.tok_per_s;
    return r;
  }

  /// Of the processors, as plans have it.
  double sync_share() const {
    const auto model = model_of("smollm2-135m", "Q8_0");
    planner::PlanInputs in;
    in.model = &model->costs;
    in.machine = &machine;
    in.assumptions = &assumptions;
    return planner::prepare(in)->host.sync_share;
  }

  hwdb::KernelReading kernel(const char* type, std::uint32_t tokens) const {
    const DeviceFactors& f = calibration.factors;
    const DeviceFactors::OfType& of = f.of(hwdb::tensor_type(type));
    const double rows = 4096, ne0 = 2048;
    hwdb::KernelReading k;
    k.type = hwdb::tensor_type(type);
    k.rows = 4096;
    k.ne0 = 2048;
    k.tokens = tokens;
    // The estimator's formula by hand: the longer of moving and computing, and what is beside them.
    const double moving = static_cast<double>(hwdb::row_bytes(k.type, k.ne0)) * rows /
                          (calibration.bandwidth_bytes_per_s * f.read * of.read);
    const double computing =
        2 * rows * ne0 * tokens /
        (calibration.peak_flops_per_s *
         std::max(f.vector * of.vector, f.matmul * of.matmul * tokens / (tokens + f.half_tokens)));
    k.seconds = std::pow(std::pow(moving, 4) + std::pow(computing, 4), 0.25) +
                4 * (rows + ne0) * tokens / (calibration.bandwidth_bytes_per_s * f.activation) +
                f.product_s * sync_share();
    return k;
  }

  planner::CalibrationRecord record() const {
    using enum SpeedReading::Test;
    planner::CalibrationRecord out;
    for (const char* quant : {"Q4_K_M", "Q8_0"}) {
      for (const std::uint32_t depth : {0u, 1024u, 4096u}) {
        out.readings.push_back(measure("tinyllama-1.1b", quant, decode, depth));
        out.readings.push_back(measure("tinyllama-1.1b", quant, prefill, depth));
      }
      out.readings.push_back(measure("tinyllama-1.1b", quant, decode, 4096, "q8_0"));
      out.readings.push_back(measure("tinyllama-1.1b", quant, prefill, 4096, "q8_0"));
    }
    out.readings.push_back(measure("smollm2-135m", "Q8_0", decode, 0));
    out.readings.push_back(measure("smollm2-135m", "Q8_0", prefill, 0));
    for (const char* type : {"Q4_K", "Q6_K", "Q8_0"})
      for (const std::uint32_t tokens : {1u, 4u, 16u, 64u, 512u})
        out.kernels.push_back(kernel(type, tokens));
    return out;
  }

  fitting::CalibrationFit fit(const planner::CalibrationRecord& record) const {
    fitting::CalibrationFitInputs inputs;
    inputs.machine = &machine;
    inputs.assumptions = &assumptions;
    inputs.made_at = "2026-11-20T10:58:00Z";
    inputs.model = [](const SpeedReading& r) { return model_of(r.model, r.quant); };
    return fitting::fit_calibrations(record, inputs);
  }
};

TEST(CalibrationFit, FindsTheFactorsThatTheReadingsWereMadeWith) {
  const Truth truth;
  const auto fit = truth.fit(truth.record());
  ASSERT_EQ(fit.devices.size(), 1u);
  EXPECT_TRUE(fit.notes.empty());
  const Calibration& c = fit.devices[0].calibration;
  EXPECT_TRUE(fit.devices[0].converged);
  EXPECT_EQ(c.runtime, "tokwatt");
  EXPECT_EQ(c.build, "1");
  EXPECT_EQ(c.n_readings, 18u);
  EXPECT_EQ(c.n_kernels, 15u);
  const DeviceFactors &f = c.factors, &t = truth.calibration.factors;
  const auto q4 = hwdb::tensor_type("Q4_K"), q6 = hwdb::tensor_type("Q6_K"),
             f16 = hwdb::tensor_type("F16");
  // A share and the multipliers of its types are told apart by the priors alone; their product is
  // what the machine does.
  EXPECT_NEAR(f.read * f.of(q4).read / (t.read * t.of(q4).read), 1, 0.02);
  EXPECT_NEAR(f.read * f.of(q6).read / (t.read * t.of(q6).read), 1, 0.03);
  EXPECT_NEAR(f.matmul * f.of(q4).matmul / (t.matmul * t.of(q4).matmul), 1, 0.03);
  EXPECT_NEAR(f.cache_read * f.of(f16).cache_read / (t.cache_read * t.of(f16).cache_read), 1, 0.03);
  // Products and scores of attention are told apart by the shapes of two models alone.
  EXPECT_NEAR(f.attention * f.of(f16).attention / (t.attention * t.of(f16).attention), 1, 0.06);
  EXPECT_LT(c.decode_spread, 0.012);
  EXPECT_LT(c.prefill_spread, 0.012);
}

TEST(CalibrationFit, PredictsModelsAndDepthsThatWereNotMeasured) {
  const Truth truth;
  const Calibration c = truth.fit(truth.record()).devices.at(0).calibration;
  using enum SpeedReading::Test;
  for (const auto test : {decode, prefill}) {
    for (const std::uint32_t depth : {0u, 16384u}) {
      for (const char* model : {"llama-3.2-1b", "qwen2.5-1.5b"}) {
        const SpeedReading unseen = truth.measure(model, "Q4_K_M", test, depth);
        EXPECT_NEAR(truth.speed(unseen, c) / unseen.tok_per_s, 1, 0.03)
            << model << " " << hwdb::to_string(test) << " at " << depth;
      }
    }
  }
}

TEST(CalibrationFit, ErrorsTellWhatWasMeasured) {
  const Truth truth;
  const auto fit = truth.fit(truth.record());
  std::map<std::string, bool> measured;
  for (const auto& factor : fit.devices.at(0).factors) measured[factor.name] = factor.measured();
  EXPECT_TRUE(measured.at("read"));
  EXPECT_TRUE(measured.at("attention"));
  // No model with experts was run: the class's value stays.
  EXPECT_FALSE(measured.at("expert_read"));
  EXPECT_DOUBLE_EQ(fit.devices[0].calibration.factors.expert_read, DeviceFactors().expert_read);
  EXPECT_EQ(fit.devices[0].calibration.errors.size(), fit.devices[0].factors.size());
}

TEST(CalibrationFit, FlawedReadingsDoNotCount) {
  const Truth truth;
  planner::CalibrationRecord record = truth.record();
  const Calibration clean = truth.fit(record).devices.at(0).calibration;
  SpeedReading wrong = record.readings[0];
  wrong.tok_per_s /= 3;
  wrong.flaw = "outlier";
  record.readings.push_back(wrong);
  const Calibration same = truth.fit(record).devices.at(0).calibration;
  EXPECT_DOUBLE_EQ(same.factors.read, clean.factors.read);
  // The same without its flag would count.
  record.readings.back().flaw.clear();
  const Calibration other = truth.fit(record).devices.at(0).calibration;
  EXPECT_NE(other.factors.read, clean.factors.read);
  EXPECT_GT(other.decode_spread, clean.decode_spread);
}

TEST(CalibrationFit, EachRuntimeHasItsOwnFactors) {
  const Truth truth;
  planner::CalibrationRecord record = truth.record();
  for (const std::uint32_t depth : {0u, 4096u}) {
    SpeedReading other =
        truth.measure("tinyllama-1.1b", "Q4_K_M", SpeedReading::Test::decode, depth);
    other.runtime = "llama.cpp";
    other.tok_per_s /= 2;
    record.readings.push_back(other);
  }
  const auto fit = truth.fit(record);
  ASSERT_EQ(fit.devices.size(), 2u);
  const Calibration &llama = fit.devices[0].calibration, &engine = fit.devices[1].calibration;
  EXPECT_EQ(llama.runtime, "llama.cpp");
  EXPECT_EQ(llama.n_kernels, 0u);
  EXPECT_EQ(engine.runtime, "tokwatt");
  EXPECT_LT(llama.factors.read, 0.8 * engine.factors.read);
}

TEST(CalibrationFit, WhatCannotBePredictedIsLeftOutAndSaid) {
  const Truth truth;
  planner::CalibrationRecord record = truth.record();
  SpeedReading gone = record.readings[0];
  gone.model = "no-such-model";
  record.readings.push_back(gone);
  SpeedReading gpus = record.readings[0];
  gpus.devices = 2;
  record.readings.push_back(gpus);
  const auto fit = truth.fit(record);
  ASSERT_EQ(fit.notes.size(), 2u);
  EXPECT_EQ(fit.devices.at(0).calibration.n_readings, 18u);
}

}  // namespace
