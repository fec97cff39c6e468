// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "planner/fitting/measured_notes.h"
#include "planner/fitting/measured_rules.h"

namespace fitting {
namespace {

using hwdb::GpuInfo;
using hwdb::SpeedReading;

constexpr double kDeep = 2048;       // tokens in the cache from which a row belongs to `depth`
constexpr double kFewThreads = 0.6;  // of the processor's fast cores
constexpr double kFasterThanMemory = 1.05;  // of what the rated bandwidth allows
constexpr double kSurelyAll = 0.75;         // of the memory: weights that no program leaves in RAM
constexpr double kSlowBuild = 0.6;          // of the best comparable row
constexpr std::uint32_t kUsualGen = 128;    // where a source does not tell
/// llama.cpp's programs choose flash attention by themselves from this month on; before, it was
/// off.
constexpr std::string_view kFlashByItself = "2025-09";

GpuInfo::Backend backend_value(std::string_view name) {
  if (name == "rocm") return GpuInfo::Backend::rocm;
  if (name == "vulkan") return GpuInfo::Backend::vulkan;
  if (name == "metal") return GpuInfo::Backend::metal;
  if (name == "sycl") return GpuInfo::Backend::sycl;
  return GpuInfo::Backend::cuda;
}

bool flash_attention(const MeasuredRow& row) {
  if (row.reading.flash_attn) return *row.reading.flash_attn;
  // llama.cpp quantizes values only with it.
  const std::string& values = row.reading.cache_type_v;
  if (!values.empty() && values != "f16" && values != "bf16" && values != "f32") return true;
  return row.date >= kFlashByItself;
}

std::uint64_t padded(std::uint64_t tokens) {
  return (tokens + 255) / 256 * 256;
}

planner::Scenario scenario_of(const MeasuredRow& row, const MeasuredNames::Model& model,
                              Placement placement) {
  const SpeedReading& reading = row.reading;
  const std::uint32_t n_layers = model.model->costs.shape.n_layers;
  planner::Scenario scenario;
  scenario.model = model.id;
  scenario.quant = model.preset;
  scenario.on = row.device;
  scenario.calibrated = false;

  planner::Workload& work = scenario.workload;
  work.use = "batch";
  const bool decode = reading.test == SpeedReading::Test::decode;
  work.n_prompt = decode ? 0 : reading.n_prompt;
  work.n_gen = decode ? (reading.n_gen > 0 ? reading.n_gen : kUsualGen) : 0;
  work.depth = reading.depth;
  work.batch = reading.batch;

  planner::RunSettings& settings = scenario.settings;
  settings.n_seq = reading.batch;
  settings.n_ctx = padded(static_cast<std::uint64_t>(work.n_prompt + work.n_gen + work.depth) + 1) *
                   reading.batch;
  if (reading.n_batch) settings.n_batch = *reading.n_batch;
  if (reading.n_ubatch) settings.n_ubatch = *reading.n_ubatch;
  settings.n_batch = std::max(settings.n_batch, settings.n_ubatch);
  settings.flash_attn = flash_attention(row);
  if (!reading.cache_type_k.empty()) settings.cache_type_k = reading.cache_type_k;
  if (!reading.cache_type_v.empty()) settings.cache_type_v = reading.cache_type_v;
  settings.n_threads = reading.n_threads;
  if (reading.split_mode == "row") settings.split_mode = planner::SplitMode::row;
  if (reading.split_mode == "tensor") settings.split_mode = planner::SplitMode::tensor;
  if (placement == Placement::cpu) {
    settings.cpu_only = true;
    settings.n_gpu_layers = 0;
    return scenario;
  }
  settings.backend = backend_value(reading.backend);
  settings.n_gpu_layers = n_layers + 1;
  settings.n_cpu_moe = 0;
  if (placement == Placement::layers)
    settings.n_gpu_layers = std::min(n_layers + 1, *reading.n_gpu_layers);
  if (placement == Placement::experts) settings.n_cpu_moe = std::min(n_layers, *reading.n_cpu_moe);
  return scenario;
}

Situation situation_of(const Case& one, Placement placement) {
  const SpeedReading& reading = one.row.reading;
  const hwdb::ModelShape& shape = one.model->costs.shape;
  if (reading.batch > 1) return Situation::batch;
  if (placement == Placement::cpu) return Situation::cpu;
  if (one.scenario.settings.n_cpu_moe.value_or(0) > 0 ||
      one.scenario.settings.n_gpu_layers.value_or(0) <= shape.n_layers)
    return Situation::offload;
  if (reading.devices > 1) return Situation::several_gpus;
  if (shape.n_experts > 0) return Situation::experts;
  return reading.depth >= kDeep ? Situation::depth : Situation::plain;
}

/// The rated bandwidth of what reads the weights: each card reads its part in turn.
double bandwidth_of(const Case& one) {
  if (one.scenario.settings.cpu_only) return one.machine->memory.bandwidth.value.value;
  return one.machine->gpus[0].bandwidth->value.value;
}

/// Rows with equal keys ran the same work with the same settings; what is not told counts as what
/// the program does by itself.
std::string work_key(const Case& one) {
  const planner::Scenario& s = one.scenario;
  const bool decode = one.row.reading.test == SpeedReading::Test::decode;
  // Decode slows down with the cells it reads, by little between near lengths.
  const double cells = s.workload.depth + s.workload.n_gen / 2;
  const double depth_class = decode ? std::floor(std::log2(std::max(cells, 256.0)) * 2)
                                    : s.workload.n_prompt + 1e-9 * s.workload.depth;
  const hwdb::ModelShape& shape = one.model->costs.shape;
  const std::string model =
      fmt::format("{} {} {} {} {} {} {}", shape.architecture, shape.n_layers, shape.n_embd,
                  shape.n_vocab, shape.n_ff.at(0), shape.n_kv_heads.at(0), shape.n_experts);
  return fmt::format("{}|{}|{}|{}|{}|{}|{:.9g}|{}|{}|{}/{}|{}|{}|{}|{}|{}", one.device_key,
                     one.row.reading.devices, one.row.reading.backend, model, s.quant, decode,
                     depth_class, s.workload.depth >= kDeep, s.workload.batch,
                     s.settings.cache_type_k, s.settings.cache_type_v, s.settings.flash_attn,
                     decode ? 0 : s.settings.n_ubatch, s.settings.n_gpu_layers.value_or(0),
                     s.settings.n_cpu_moe.value_or(0), s.settings.n_threads.value_or(0));
}

/// Prompts of one table that differ in the weights' format alone; "" for what is not compared.
std::string prompt_key(const Case& one) {
  const SpeedReading& reading = one.row.reading;
  const planner::RunSettings& settings = one.scenario.settings;
  if (reading.test != SpeedReading::Test::prefill || settings.cpu_only) return {};
  return fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", one.row.source_id, one.device_key,
                     reading.devices, reading.backend, one.model->name, reading.n_prompt,
                     reading.depth, reading.batch, settings.n_ubatch, settings.flash_attn,
                     settings.n_gpu_layers.value_or(0), settings.n_cpu_moe.value_or(0));
}

LeftOut left_out(const Case& one, std::string_view rule, std::string words) {
  return {one.row.line, std::string(rule), std::move(words)};
}

}  // namespace

double bytes_per_token(const hwdb::ModelCosts& costs) {
  const hwdb::ModelShape& shape = costs.shape;
  const double share = hwdb::expected_expert_share(shape.n_experts, shape.n_experts_used, 1);
  double bytes = static_cast<double>(costs.output_bytes);
  for (const hwdb::LayerCosts& layer : costs.layers) {
    bytes += static_cast<double>(layer.attention_bytes + layer.dense_ffn_bytes);
    if (layer.expert_bytes > 0) bytes += static_cast<double>(layer.expert_bytes) * share;
  }
  return bytes;
}

std::optional<Case> make_case(const MeasuredRow& row, MeasuredNames* names, LeftOut* out) {
  const auto leave = [&](std::string_view rule, std::string words) {
    *out = {row.line, std::string(rule), std::move(words)};
    return std::nullopt;
  };
  const auto model = names->model(row);
  if (!model) return leave(model.error().code, model.error().what);
  // What an outside rate does not tell of placement, room enough does.
  const bool outside = is_outside_rate(row);
  const Placement placement = outside && row.offload.empty() && row.reading.backend != "cpu"
                                  ? Placement::all
                                  : placement_of(row);
  const planner::Scenario scenario = scenario_of(row, *model, placement);
  const bool split = placement != Placement::cpu &&
                     (scenario.settings.n_cpu_moe.value_or(0) > 0 ||
                      *scenario.settings.n_gpu_layers <= model->model->costs.shape.n_layers);
  if (split && row.host.empty())
    return leave("host", "the processor that runs the rest of the model is not told");
  const auto device = names->device(row, split);
  if (!device) return leave(device.error().code, device.error().what);
  Case made;
  made.row = row;
  made.device_key = device->key;
  made.machine = device->machine;
  made.model = model->model;
  made.scenario = scenario;
  made.situation = situation_of(made, placement);

  const hwdb::Machine& machine = *made.machine;
  const hwdb::CpuInfo& cpu = machine.cpu;
  const std::uint32_t fast_cores = cpu.performance_cores > 0 ? cpu.performance_cores : cpu.cores;
  if ((split || placement == Placement::cpu) && row.reading.n_threads &&
      *row.reading.n_threads < kFewThreads * fast_cores)
    return leave("few_threads",
                 fmt::format("{} threads on {} cores", *row.reading.n_threads, fast_cores));
  const auto& costs = made.model->costs;
  if (!split && placement != Placement::cpu &&
      (outside || machine.gpus[0].kind == GpuInfo::Kind::discrete)) {
    double memory = 0;
    for (const GpuInfo& gpu : machine.gpus) memory += gpu.memory.value.as_double();
    if (memory * (outside ? kSurelyAll : 1) <
        static_cast<double>(costs.file_bytes - costs.embedding_bytes))
      return leave("placement", "the weights are more than the cards' memory");
  }
  if (row.reading.test == SpeedReading::Test::decode && row.reading.batch == 1 && !split) {
    const double most = bandwidth_of(made) / bytes_per_token(costs);
    if (row.reading.tok_per_s > kFasterThanMemory * most)
      return leave("speculative",
                   fmt::format("{:.4g} tokens/s, and the memory allows {:.4g} passes",
                               row.reading.tok_per_s, most));
  }
  return made;
}

void leave_slow_formats(std::vector<Case>* cases, std::vector<LeftOut>* left_out_rows) {
  std::map<std::string, double> best;  // rate by prompt_key
  for (const Case& one : *cases) {
    const std::string key = prompt_key(one);
    if (!key.empty()) best[key] = std::max(best[key], one.row.reading.tok_per_s);
  }
  std::erase_if(*cases, [&](const Case& one) {
    const auto other = best.find(prompt_key(one));
    if (other == best.end() || one.row.reading.tok_per_s >= kSlowBuild * other->second)
      return false;
    left_out_rows->push_back(
        left_out(one, "slow_build",
                 fmt::format("{:.2f} of the same table's prompts in another format",
                             one.row.reading.tok_per_s / other->second)));
    return true;
  });
}

void keep_one_of_each(std::vector<Case>* cases, std::vector<LeftOut>* left_out_rows) {
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < cases->size(); ++i) groups[work_key((*cases)[i])].push_back(i);
  std::vector<bool> kept(cases->size(), false);
  const auto rate = [&](std::size_t i) { return (*cases)[i].row.reading.tok_per_s; };
  for (auto& [key, members] : groups) {
    const double best = rate(*std::ranges::max_element(members, {}, rate));
    std::erase_if(members, [&](std::size_t i) {
      if (rate(i) >= kSlowBuild * best) return false;
      left_out_rows->push_back(left_out(
          (*cases)[i], "slow_build",
          fmt::format("{:.2f} of the best comparable row's {:.4g}", rate(i) / best, best)));
      return true;
    });
    std::ranges::stable_sort(members, {}, rate);
    // Of two in the middle the faster: an old build is the usual reason to be slow.
    const std::size_t middle = members[members.size() / 2];
    kept[middle] = true;
    for (const std::size_t i : members) {
      if (i == middle) continue;
      left_out_rows->push_back(
          left_out((*cases)[i], "duplicate",
                   fmt::format("measured the same as line {}", (*cases)[middle].row.line)));
    }
  }
  std::vector<Case> rest;
  for (std::size_t i = 0; i < cases->size(); ++i)
    if (kept[i]) rest.push_back(std::move((*cases)[i]));
  *cases = std::move(rest);
}

}  // namespace fitting
