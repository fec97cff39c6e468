// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "planner/make_plan.h"

/// Hand-made models and machines with round figures, for the tests of the stages.
namespace planner::testing {

/// 10 layers of 100 MB, no experts, 50 MB embedding, 50 MB output, 8 heads of 64, 2 of them for
/// keys and values: 2 * 2 * 64 * 2 = 512 bytes of cache a token and layer.
inline hwdb::ModelCosts dense_model() {
  hwdb::ModelCosts m;
  m.shape.architecture = "llama";
  m.shape.known_architecture = true;
  m.shape.n_layers = 10;
  m.shape.n_embd = 512;
  m.shape.n_vocab = 1000;
  m.shape.n_heads = 8;
  m.shape.n_kv_heads = 2;
  m.shape.head_dim_k = m.shape.head_dim_v = 64;
  m.shape.n_ff = 2048;
  m.quant = "Q8_0";
  hwdb::LayerCosts layer;
  layer.attention_bytes = 40'000'000;
  layer.dense_ffn_bytes = 60'000'000;
  layer.dense_flops_per_token = layer.mixing_flops_per_token = 200e6;
  layer.attention_flops_per_token_and_cell = 2.0 * 8 * (64 + 64);
  layer.n_matmuls = 7;
  m.layers.assign(10, layer);
  m.embedding_bytes = 50'000'000;
  m.output_bytes = 50'000'000;
  m.output_flops_per_token = 100e6;
  m.file_bytes = m.tensor_bytes = 1'100'000'000;
  return m;
}

/// The same with 8 experts of 100 MB in each layer, 2 of them used.
inline hwdb::ModelCosts expert_model() {
  hwdb::ModelCosts m = dense_model();
  m.shape.n_experts = 8;
  m.shape.n_experts_used = 2;
  m.shape.n_ff_expert = 1024;
  for (hwdb::LayerCosts& layer : m.layers) {
    layer.expert_bytes = 800'000'000;
    layer.expert_flops_per_token = 400e6;
  }
  m.file_bytes = m.tensor_bytes = 9'100'000'000;
  return m;
}

inline hwdb::Sourced<hwdb::Bytes> bytes(double value) {
  return {hwdb::Bytes(static_cast<std::uint64_t>(value)), hwdb::Basis::spec, "test", ""};
}
inline hwdb::Sourced<hwdb::BytesPerSecond> per_second(double value) {
  return {hwdb::BytesPerSecond(value), hwdb::Basis::spec, "test", ""};
}

/// A card with `memory` bytes, `bandwidth` bytes/s and `peak` FLOPs/s, 300 W, 20 W at rest.
inline hwdb::GpuInfo card(std::string name, double memory, double bandwidth, double peak) {
  hwdb::GpuInfo gpu;
  gpu.name = std::move(name);
  gpu.vendor = "Acme";
  gpu.backend = hwdb::GpuInfo::Backend::cuda;
  gpu.memory = bytes(memory);
  gpu.bandwidth = per_second(bandwidth);
  gpu.peak_fp16 = {hwdb::FlopsPerSecond(peak), hwdb::Basis::spec, "test", ""};
  gpu.host_link = per_second(25e9);
  gpu.power_limit = {hwdb::Watts(300), hwdb::Basis::spec, "test", ""};
  gpu.idle = {hwdb::Watts(20), hwdb::Basis::spec, "test", ""};
  return gpu;
}

/// 8 cores with AVX2 (8 * 32 * 3e9 = 768 GFLOPS), 64 GB at 50 GB/s, 65 W, 45 W at rest.
inline hwdb::Machine host() {
  hwdb::Machine m;
  m.cpu.name = "Acme CPU";
  m.cpu.cores = 8;
  m.cpu.threads = 16;
  m.cpu.isa = {"avx2"};
  m.cpu.tdp = {hwdb::Watts(65), hwdb::Basis::spec, "test", ""};
  m.memory.total = bytes(64e9);
  m.memory.bandwidth = per_second(50e9);
  m.base_idle = {hwdb::Watts(45), hwdb::Basis::spec, "test", ""};
  return m;
}
inline hwdb::Machine with_cards(std::vector<hwdb::GpuInfo> gpus) {
  hwdb::Machine m = host();
  m.gpus = std::move(gpus);
  return m;
}

/// GPUs read 0.8 of their bandwidth and compute 0.5 of their peak, processors 0.5 and 0.5, whatever
/// the tokens; nothing else takes time.
inline std::vector<hwdb::SpeedFactorRow> round_factors() {
  hwdb::SpeedFactorRow gpu;
  gpu.id = "gpu";
  gpu.read = gpu.cache_read = 0.8;
  gpu.vector = gpu.matmul = gpu.attention = 0.5;
  gpu.activation = 1e9;
  gpu.score_flops = 0;
  gpu.expert_read = gpu.expert_matmul = 1;
  gpu.half_tokens = gpu.expert_half_tokens = gpu.product_s = gpu.pass_s = 0;
  gpu.power_exponent = 0;
  hwdb::SpeedFactorRow cpu;
  cpu.id = "cpu";
  cpu.backend = "cpu";
  cpu.read = cpu.cache_read = 0.5 / 0.8;
  return {gpu, cpu};
}
/// Bands of -25 % and +12.5 % in decode, -50 % and +50 % in prefill, everywhere.
inline std::vector<hwdb::SpeedAccuracyRow> round_accuracy() {
  hwdb::SpeedAccuracyRow decode;
  decode.id = decode.phase = "decode";
  decode.low = 0.75, decode.high = 1.125;
  hwdb::SpeedAccuracyRow prefill;
  prefill.id = prefill.phase = "prefill";
  prefill.low = 0.5, prefill.high = 1.5;
  return {decode, prefill};
}

/// Inputs with their own factors, so that a test owns all it points to.
struct Case {
  hwdb::ModelCosts model;
  hwdb::Machine machine;
  std::vector<hwdb::SpeedFactorRow> factors = round_factors();
  std::vector<hwdb::SpeedAccuracyRow> accuracy = round_accuracy();
  Assumptions assumptions;
  hwdb::TariffRow tariff;
  PlanInputs inputs;

  Case(hwdb::ModelCosts m, hwdb::Machine on) : model(std::move(m)), machine(std::move(on)) {
    assumptions.speed_accuracy = &accuracy;
    tariff.id = "flat";
    tariff.currency = "USD";
    tariff.kind = "flat";
    tariff.price_per_kwh = 0.16;
    inputs.model = &model;
    inputs.machine = &machine;
    inputs.assumptions = &assumptions;
    inputs.tariff = &tariff;
  }
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;
  /// By the factors as they are now.
  hwdb::Result<Plan> plan() {
    assumptions.class_factors =
        factors.empty() ? nullptr : std::make_shared<const ClassFactors>(&factors);
    return make_plan(inputs);
  }
};

}  // namespace planner::testing
