// SPDX-License-Identifier: MIT
#include "planner/result_json.h"

#include <array>
#include <cmath>
#include <string_view>

#include "planner/launch.h"

namespace planner {
namespace {

using hwdb::JsonWriter;

void append_estimate(JsonWriter* w, const Estimate& e, const Bound* bound = nullptr) {
  w->begin_object();
  w->member("low", rounded(e.low));
  w->member("likely", rounded(e.likely));
  w->member("high", rounded(e.high));
  w->member("basis", hwdb::to_string(e.basis));
  if (bound != nullptr) w->member("bound", to_string(*bound));
  w->end_object();
}

/// An estimate under `key`, or null and the reason why there is none.
void append_estimate(JsonWriter* w, std::string_view key, std::string_view reason,
                     const Estimate& e, const Bound* bound = nullptr) {
  w->key(key);
  if (reason.empty()) {
    append_estimate(w, e, bound);
    return;
  }
  w->null();
  w->member(std::string(key) + "_reason", reason);
}

void append_host(JsonWriter* w, const HostMemory& host) {
  w->key("host").begin_object();
  w->member("mapped_bytes", host.mapped.value);
  w->member("anonymous_bytes", host.anonymous.value);
  w->member("locked", host.locked);
  w->key("prompt_cache_up_to_bytes");
  if (host.prompt_cache) {
    w->value(host.prompt_cache->value);
  } else {
    w->null();
    w->member("prompt_cache_up_to_bytes_reason", "no limit was set");
  }
  w->member("checkpoint_bytes", host.checkpoint.value);
  w->member("checkpoints_up_to_bytes", host.checkpoints.value);
  w->end_object();
}

void append_attached(JsonWriter* w, const std::vector<AttachedMemory>& attached) {
  w->key("attached").begin_array();
  for (const AttachedMemory& part : attached) {
    w->begin_object();
    w->member("kind", to_string(part.kind));
    w->member("name", std::string_view(part.name));
    w->key("gpu");
    if (part.gpu >= 0) {
      w->value(static_cast<std::uint32_t>(part.gpu));
    } else {
      w->null();
    }
    w->member("weights_bytes", part.weights.value);
    w->member("weights_estimated", part.weights_estimated);
    w->member("cache_bytes", part.cache.value);
    w->member("compute_bytes", part.compute.value);
    w->member("compute_is_bound", part.compute_bound);
    w->end_object();
  }
  w->end_array();
}

void append_memory(JsonWriter* w, const Plan& plan) {
  const MemoryPlan& memory = plan.memory;
  const auto unknown_here = [&](std::string_view key, const hwdb::Bytes& bytes) {
    if (!plan.sizes_only) {
      w->member(key, bytes.value);
      return;
    }
    w->key(key).null();
    w->member(std::string(key) + "_reason", "the architecture is not known");
  };
  w->key("memory").begin_object();
  w->member("total_bytes", memory.total().value);
  w->member("margin_bytes", memory.margin.value);
  if (memory.fits == Fits::no) w->member("shortfall_bytes", memory.shortfall.value);
  if (plan.bounds) {
    const auto range = [w](std::string_view key, const hwdb::Bytes& low, const hwdb::Bytes& high) {
      w->key(key).begin_object();
      w->member("low", low.value);
      w->member("high", high.value);
      w->end_object();
    };
    range("kv_cache_bytes_bounds", plan.bounds->cache_low, plan.bounds->cache_high);
    range("compute_bytes_bounds", plan.bounds->compute_low, plan.bounds->compute_high);
    w->key("missing_terms").begin_array();
    for (const std::string& term : plan.bounds->missing) w->value(std::string_view(term));
    w->end_array();
  }
  w->key("devices").begin_array();
  for (const DeviceMemory& device : memory.devices) {
    w->begin_object();
    w->member("device", std::string_view(device.device));
    w->member("kind", device.is_gpu ? "gpu" : "cpu");
    w->member("weights_bytes", device.weights.value);
    unknown_here("kv_cache_bytes", device.kv_cache);
    unknown_here("state_bytes", device.state);
    unknown_here("compute_bytes", device.compute);
    w->member("output_bytes", device.output.value);
    w->member("overhead_bytes", device.overhead.value);
    w->member("total_bytes", device.total().value);
    w->member("budget_bytes", device.budget.value);
    w->end_object();
  }
  w->end_array();
  append_host(w, memory.host);
  if (!memory.attached.empty()) append_attached(w, memory.attached);
  w->end_object();
}

void append_placement(JsonWriter* w, const Placement& placement) {
  w->key("placement").begin_object();
  w->member("n_gpu_layers", placement.n_gpu_layers);
  w->member("n_cpu_moe", placement.n_cpu_moe);
  w->key("tensor_split").begin_array();
  for (const double share : placement.tensor_split) w->value(rounded(share));
  w->end_array();
  w->member("chosen", placement.chosen);
  w->end_object();
}

void append_cost(JsonWriter* w, const CostEstimate& cost) {
  w->key("cost").begin_object();
  w->member("tariff", std::string_view(cost.tariff_id));
  w->member("currency", std::string_view(cost.currency));
  w->member("price_per_kwh", rounded(cost.price_per_kwh));
  w->key("kwh_per_month");
  append_estimate(w, cost.kwh_per_month);
  w->key("cost_per_month");
  append_estimate(w, cost.cost_per_month);
  w->end_object();
}

void append_headroom(JsonWriter* w, const std::vector<Headroom>& grades) {
  w->key("headroom").begin_array();
  for (const Headroom& room : grades) {
    w->begin_object();
    w->member("fits", to_string(room.fits));
    w->member("max_n_ctx", room.max_ctx);
    w->member("max_n_seq", room.max_n_seq);
    if (!room.largest_quant.empty()) {
      w->member("largest_quant", std::string_view(room.largest_quant));
      w->member("largest_quant_bytes", room.largest_quant_bytes.value);
    }
    if (room.fewest_cpu_layers) w->member("fewest_cpu_layers", *room.fewest_cpu_layers);
    if (room.fewest_cpu_expert_layers)
      w->member("fewest_cpu_expert_layers", *room.fewest_cpu_expert_layers);
    w->end_object();
  }
  w->end_array();
}

void append_depths(JsonWriter* w, const std::vector<SpeedAtDepth>& speeds) {
  w->key("speed_by_depth").begin_array();
  for (const SpeedAtDepth& at : speeds) {
    w->begin_object();
    w->member("depth", static_cast<std::uint64_t>(at.depth));
    w->key("prefill_tok_per_s");
    append_estimate(w, at.prefill_tok_per_s);
    w->key("decode_tok_per_s");
    append_estimate(w, at.decode_tok_per_s);
    w->end_object();
  }
  w->end_array();
}

void append_batches(JsonWriter* w, const std::vector<SpeedAtBatch>& speeds) {
  w->key("speed_by_batch").begin_array();
  for (const SpeedAtBatch& at : speeds) {
    w->begin_object();
    w->member("n_seq", at.n_seq);
    w->key("decode_tok_per_s");
    append_estimate(w, at.decode_tok_per_s);
    w->key("each_tok_per_s");
    append_estimate(w, at.each_tok_per_s);
    w->end_object();
  }
  w->end_array();
}

void append_launch(JsonWriter* w, const Plan& plan) {
  w->key("launch").begin_object();
  w->member("llama.cpp", std::string_view(llama_server_line(plan)));
  const auto optional = [w](std::string_view key, const std::string& line) {
    if (!line.empty()) w->member(key, std::string_view(line));
  };
  optional("ollama", ollama_line(plan));
  optional("ollama_serve", ollama_serve_line(plan));
  w->end_object();
}

void append_id(JsonWriter* w, const std::optional<hwdb::Json>& id) {
  w->key("id");
  if (id) {
    w->value(*id);
  } else {
    w->null();
  }
}

}  // namespace

double rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  constexpr int kDigits = 6;
  const int exponent = static_cast<int>(std::floor(std::log10(std::fabs(value))));
  const int shift = kDigits - 1 - exponent;
  // Powers of ten up to 22 are exact in a double; beyond them a figure is left as it is.
  constexpr std::array kPowers = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const auto size = static_cast<int>(kPowers.size());
  if (shift >= size || -shift >= size) return value;
  if (shift >= 0) {
    const double power = kPowers[static_cast<std::size_t>(shift)];
    return std::round(value * power) / power;
  }
  const double power = kPowers[static_cast<std::size_t>(-shift)];
  return std::round(value / power) * power;
}

void append_result_json(hwdb::JsonWriter* writer, const Plan& plan) {
  JsonWriter& w = *writer;
  const bool fits = plan.memory.fits != Fits::no;
  const std::string_view no_speed = !fits ? "the model does not fit"
                                    : !plan.speed_known
                                        ? "the architecture or the memory bandwidth is not known"
                                        : "";
  w.begin_object();
  append_id(&w, plan.scenario.id);
  w.member("schema", "1.0");
  w.member("ok", true);
  w.member("model", std::string_view(plan.model_name));
  w.member("quant", std::string_view(plan.quant));
  w.member("on", std::string_view(plan.machine_name));
  w.member("fits", to_string(plan.memory.fits));
  w.member("file_size_bytes", plan.file_size.value);
  if (plan.max_ctx > 0) w.member("max_n_ctx", plan.max_ctx);
  append_memory(&w, plan);
  if (!plan.headroom.empty()) append_headroom(&w, plan.headroom);
  append_placement(&w, plan.placement);
  append_estimate(&w, "prefill_tok_per_s", no_speed, plan.speed.prefill_tok_per_s,
                  &plan.speed.prefill_bound);
  append_estimate(&w, "decode_tok_per_s", no_speed, plan.speed.decode_tok_per_s,
                  &plan.speed.decode_bound);
  if (plan.scenario.workload.batch > 1 && no_speed.empty()) {
    w.key("each_decode_tok_per_s");
    append_estimate(&w, per_sequence(plan.speed.decode_tok_per_s, plan.scenario.workload.batch));
  }
  append_estimate(&w, "ttft_s", no_speed, plan.speed.ttft_s);
  append_estimate(&w, "request_s", no_speed, plan.speed.request_s);
  if (!plan.speed_by_depth.empty()) append_depths(&w, plan.speed_by_depth);
  if (!plan.speed_by_batch.empty()) append_batches(&w, plan.speed_by_batch);
  w.key("power_w").begin_object();
  append_estimate(&w, "idle", "", plan.energy.idle_w);
  append_estimate(&w, "prefill", no_speed, plan.energy.prefill_w);
  append_estimate(&w, "decode", no_speed, plan.energy.decode_w);
  w.end_object();
  w.key("energy_wh_per_mtok").begin_object();
  append_estimate(&w, "prefill", no_speed, plan.energy.prefill_wh_per_mtok);
  append_estimate(&w, "decode", no_speed, plan.energy.decode_wh_per_mtok);
  w.end_object();
  if (plan.cost.tariff_id.empty()) {
    w.key("cost").null();
    w.member("cost_reason", "no tariff was given");
  } else if (!no_speed.empty()) {
    w.key("cost").null();
    w.member("cost_reason", no_speed);
  } else {
    append_cost(&w, plan.cost);
  }
  if (fits) {
    append_launch(&w, plan);
  } else {
    w.key("launch").null();
    w.member("launch_reason", no_speed);
  }
  w.key("notes").begin_array();
  for (const std::string& note : plan.notes) w.value(std::string_view(note));
  w.end_array();
  w.end_object();
}

void append_error_json(hwdb::JsonWriter* writer, const hwdb::Error& error) {
  JsonWriter& w = *writer;
  w.begin_object();
  w.member("code", std::string_view(error.code));
  w.member("message", std::string_view(error.what));
  if (!error.where.empty()) w.member("where", std::string_view(error.where));
  if (!error.hint.empty()) w.member("hint", std::string_view(error.hint));
  w.end_object();
}

void append_failure_json(hwdb::JsonWriter* writer, const std::optional<hwdb::Json>& id,
                         const hwdb::Error& error) {
  JsonWriter& w = *writer;
  w.begin_object();
  append_id(&w, id);
  w.member("schema", "1.0");
  w.member("ok", false);
  w.key("error");
  append_error_json(&w, error);
  w.end_object();
}

}  // namespace planner
