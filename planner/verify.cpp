// SPDX-License-Identifier: MIT
#include "planner/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "hwdb/limits.h"
#include "planner/verify_reasons.h"

namespace planner {
namespace {

using hwdb::RuntimeBuffer;
using hwdb::RuntimeLoad;
using hwdb::RuntimeReport;
using hwdb::ToldBytes;
using Kind = RuntimeBuffer::Kind;
using Verdict = VerifyRow::Verdict;

/// What the runtime's GPUs are called, in the order in which the plan has them.
using GpuKey = std::pair<std::string, std::uint32_t>;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

GpuKey key_of(const BufferPlace& place) {
  return {place.backend, place.index};
}

/// The GPUs that hold anything of the load, in the runtime's order.
std::vector<GpuKey> gpus_of(const RuntimeLoad& load, const RuntimeReport& report) {
  std::set<GpuKey> keys;
  for (const RuntimeBuffer& buffer : load.buffers) {
    const BufferPlace place = place_of_label(buffer.device);
    if (!place.is_host) keys.insert(key_of(place));
  }
  if (load.buffers.empty()) {
    for (const hwdb::RuntimeTableRow& row : report.table) {
      if (!row.is_host &&
          row.model.bytes + row.context.bytes + row.compute.bytes > row.model.rounding_bytes * 3) {
        keys.insert(key_of(place_of_label(row.name)));
      }
    }
  }
  return {keys.begin(), keys.end()};
}

struct Term {
  Kind kind;
  hwdb::Bytes DeviceMemory::*predicted;
};
constexpr std::array kTerms = {
    Term{Kind::model, &DeviceMemory::weights}, Term{Kind::kv_cache, &DeviceMemory::kv_cache},
    Term{Kind::state, &DeviceMemory::state},   Term{Kind::compute, &DeviceMemory::compute},
    Term{Kind::output, &DeviceMemory::output},
};

class Comparison {
 public:
  Comparison(const Plan& plan, const hwdb::ModelCosts& model, const RuntimeReport& report,
             double tolerance)
      : plan_(plan), model_(model), report_(report), tolerance_(tolerance) {
    static const RuntimeLoad kNone;
    const RuntimeLoad* main = report.main_load();
    load_ = main != nullptr ? main : &kNone;
    gpus_ = gpus_of(*load_, report);
    for (const RuntimeBuffer& buffer : load_->buffers) {
      if (buffer.kind == Kind::model && !place_of_label(buffer.device).is_host) {
        gpu_weights_ += buffer.size.bytes;
      }
    }
  }

  Verification run() {
    const bool buffers = !load_->buffers.empty();
    std::size_t gpu = 0;
    for (std::size_t i = 0; i < plan_.memory.devices.size(); ++i) {
      const DeviceMemory& device = plan_.memory.devices[i];
      const std::size_t first = result_.rows.size();
      const GpuKey* key = nullptr;
      if (device.is_gpu && gpu < gpus_.size()) key = &gpus_[gpu];
      if (device.is_gpu) ++gpu;
      if (buffers || report_.table.empty()) {
        add_device_by_buffers(device, key);
      } else {
        add_device_by_table(device, key);
      }
      add_overhead(device, key);
      for (std::size_t r = first; r < result_.rows.size(); ++r) result_.rows[r].index = i;
    }
    for (; gpu < gpus_.size(); ++gpu) add_unplanned_gpu(gpus_[gpu]);
    add_tensor_bytes();
    add_totals_of_server();
    add_further_loads();
    return std::move(result_);
  }

 private:
  bool belongs(const RuntimeBuffer& buffer, bool host, const GpuKey* key) const {
    const BufferPlace place = place_of_label(buffer.device);
    if (host || place.is_host) return host && place.is_host;
    return key != nullptr && key_of(place) == *key;
  }

  void add_device_by_buffers(const DeviceMemory& device, const GpuKey* key) {
    const bool host = !device.is_gpu;
    const std::size_t first = result_.rows.size();
    for (const Term& term : kTerms) {
      std::vector<const RuntimeBuffer*> buffers, elsewhere;
      for (const RuntimeBuffer& buffer : load_->buffers) {
        if (buffer.kind != term.kind) continue;
        (belongs(buffer, host, key) ? buffers : elsewhere).push_back(&buffer);
      }
      const double predicted = (device.*term.predicted).as_double();
      if (buffers.empty() && predicted == 0) continue;
      VerifyRow row;
      row.term = to_string(term.kind);
      row.device = device.device;
      const bool unknown = plan_.sizes_only && term.kind != Kind::model;
      if (!unknown) row.predicted = predicted;
      if (!buffers.empty()) {
        row.actual = 0;
        add_up(buffers, &row);
      } else if (!elsewhere.empty()) {
        row.actual = 0;  // it tells this term, and none of it is here
      }
      judge(&row, host, elsewhere.empty(), std::move(buffers));
      result_.rows.push_back(std::move(row));
    }
    add_total(device.device, first);
  }

  void add_device_by_table(const DeviceMemory& device, const GpuKey* key) {
    const auto table = std::ranges::find_if(report_.table, [&](const auto& row) {
      if (row.is_host) return !device.is_gpu && row.name == "Host";
      return key != nullptr && key_of(place_of_label(row.name)) == *key;
    });
    if (table == report_.table.end()) return;
    const std::size_t first = result_.rows.size();
    const auto add = [&](const char* term, double predicted, const ToldBytes& told) {
      VerifyRow row;
      row.term = term;
      row.device = device.device;
      row.labels = table->name;
      if (!plan_.sizes_only || row.term == "weights") row.predicted = predicted;
      row.actual = told.bytes;
      row.rounding = told.rounding_bytes;
      judge(&row, !device.is_gpu, false, {});
      result_.rows.push_back(std::move(row));
    };
    add("weights", device.weights.as_double(), table->model);
    add("context", device.kv_cache.as_double() + device.state.as_double(), table->context);
    add("compute", device.compute.as_double(), table->compute);
    add_total(device.device, first);
  }

  void add_up(const std::vector<const RuntimeBuffer*>& buffers, VerifyRow* row) {
    std::vector<std::string> labels;
    for (const RuntimeBuffer* buffer : buffers) {
      *row->actual += buffer->size.bytes;
      row->rounding += buffer->size.rounding_bytes;
      if (std::ranges::find(labels, buffer->device) == labels.end()) {
        labels.push_back(buffer->device);
      }
    }
    for (const std::string& label : labels) {
      row->labels += (row->labels.empty() ? "" : " + ") + label;
    }
  }

  void judge(VerifyRow* row, bool host, bool alone, std::vector<const RuntimeBuffer*> buffers) {
    if (!row->actual) {
      row->verdict = Verdict::not_told;
      result_.all_compared = false;
      return;
    }
    if (!row->predicted) {
      row->verdict = Verdict::not_predicted;
      result_.all_compared = false;
      if (plan_.sizes_only) {
        row->reasons.push_back(
            {"unknown_architecture", "this architecture's cache and graph are not known", {}});
      }
      return;
    }
    // A byte more than the printed digits: predicted sizes are rounded, too.
    const double slack = row->rounding + 1;
    if (std::fabs(row->difference()) > slack) {
      row->reasons = reasons_of_gap(
          {plan_, model_, report_, *load_, *row, host, alone, gpu_weights_, std::move(buffers)});
    }
    const double left = std::fabs(row->unexplained());
    row->verdict = std::fabs(row->difference()) <= slack ? Verdict::equal
                   : left <= slack                       ? Verdict::explained
                   : left <= tolerance_ * *row->actual   ? Verdict::within
                                                         : Verdict::differs;
  }

  /// The sum of the device's rows that both sides know.
  void add_total(const std::string& device, std::size_t first) {
    VerifyRow total;
    total.term = "total";
    total.device = device;
    total.is_total = true;
    double explained = 0;
    bool whole = true;
    for (std::size_t i = first; i < result_.rows.size(); ++i) {
      const VerifyRow& row = result_.rows[i];
      if (!row.predicted || !row.actual) {
        whole = false;
        continue;
      }
      total.predicted = total.predicted.value_or(0) + *row.predicted;
      total.actual = total.actual.value_or(0) + *row.actual;
      total.rounding += row.rounding;
      explained += row.difference() - row.unexplained();
    }
    if (!total.predicted) return;
    if (explained != 0) {
      total.reasons.push_back({"rows", "the reasons of the lines above", explained});
    }
    if (!whole) {
      total.reasons.push_back({"partial", "only of what both sides tell", {}});
    }
    const double left = std::fabs(total.unexplained()), slack = total.rounding + 1;
    total.verdict = std::fabs(total.difference()) <= slack ? Verdict::equal
                    : left <= slack                        ? Verdict::explained
                    : left <= tolerance_ * *total.actual   ? Verdict::within
                                                           : Verdict::differs;
    // What the digits that were printed leave open is not held against the plan.
    if (*total.actual > 0) note_worst(std::max(0.0, left - slack) / *total.actual);
    result_.rows.push_back(std::move(total));
  }

  void note_worst(double relative) {
    result_.worst_total = std::max(result_.worst_total.value_or(0), relative);
  }

  void add_overhead(const DeviceMemory& device, const GpuKey* key) {
    if (!device.is_gpu || key == nullptr) return;
    const auto table = std::ranges::find_if(report_.table, [&](const auto& row) {
      return !row.is_host && row.unaccounted && key_of(place_of_label(row.name)) == *key;
    });
    if (table == report_.table.end()) return;
    VerifyRow row;
    row.term = "overhead";
    row.device = device.device;
    row.labels = "unaccounted";
    row.predicted = device.overhead.as_double();
    row.actual = table->unaccounted->bytes;
    row.rounding = table->unaccounted->rounding_bytes;
    judge(&row, false, false, {});
    if (row.verdict != Verdict::equal) {
      row.reasons = {{"other_programs",
                      "\"unaccounted\" is all that is in use beside these buffers: driver context, "
                      "this and other programs",
                      {}}};
    }
    result_.rows.push_back(std::move(row));
  }

  void add_unplanned_gpu(const GpuKey& key) {
    VerifyRow row;
    row.term = "total";
    row.device = fmt::format("{}{}", key.first, key.second);
    row.actual = 0;
    std::vector<const RuntimeBuffer*> buffers;
    for (const RuntimeBuffer& buffer : load_->buffers) {
      if (belongs(buffer, false, &key)) buffers.push_back(&buffer);
    }
    add_up(buffers, &row);
    row.verdict = Verdict::not_predicted;
    row.reasons.push_back(
        {"device_missing", "the plan puts nothing on such a GPU: is it in the machine?", {}});
    result_.all_compared = false;
    result_.rows.push_back(std::move(row));
  }

  void add_tensor_bytes() {
    if (!load_->tensor_bytes) return;
    VerifyRow row;
    row.term = "tensors";
    row.labels = report_.source == RuntimeReport::Source::log ? "file size" : "size";
    row.predicted = static_cast<double>(model_.tensor_bytes);
    row.actual = load_->tensor_bytes->bytes;
    row.rounding = load_->tensor_bytes->rounding_bytes;
    judge(&row, false, false, {});
    // All that llama-server tells of memory over HTTP.
    if (report_.source != RuntimeReport::Source::log) {
      note_worst(std::fabs(row.difference()) / *row.actual);
    }
    result_.rows.push_back(std::move(row));
  }

  void add_totals_of_server() {
    double gpus = 0, all = 0;
    for (const DeviceMemory& device : plan_.memory.devices) {
      const double buffers = device.total().as_double() - device.overhead.as_double();
      all += buffers;
      if (device.is_gpu) gpus += buffers;
    }
    // Of a model that is wholly on GPUs Ollama leaves the host's part out.
    const bool without_host = report_.total_bytes && report_.gpu_bytes && gpus > 0 &&
                              report_.total_bytes->bytes == report_.gpu_bytes->bytes;
    const auto add = [&](const char* term, const char* label, double predicted,
                         const std::optional<ToldBytes>& told) {
      if (!told) return;
      VerifyRow row;
      row.term = term;
      row.labels = label;
      row.is_total = true;
      if (!plan_.sizes_only) row.predicted = predicted;
      row.actual = told->bytes;
      row.rounding = told->rounding_bytes;
      judge(&row, false, false, {});
      if (row.predicted && *row.actual > 0) {
        note_worst(std::max(0.0, std::fabs(row.unexplained()) - row.rounding) / *row.actual);
      }
      result_.rows.push_back(std::move(row));
    };
    add("gpu_total", "size_vram", gpus, report_.gpu_bytes);
    add("all", "size", without_host ? gpus : all, report_.total_bytes);
    if (without_host) {
      result_.notes.push_back("Ollama leaves the host's part out of a model wholly on GPUs.");
    }
  }

  /// Draft models, projectors and further contexts: told, and not part of a plan.
  void add_further_loads() {
    for (const RuntimeLoad& load : report_.loads) {
      const bool main = &load == load_;
      std::vector<const RuntimeBuffer*> buffers;
      for (const RuntimeBuffer& buffer : load.buffers) {
        if (!main || buffer.kind == Kind::lora) buffers.push_back(&buffer);
      }
      if (buffers.empty()) continue;
      VerifyRow row;
      row.term = main ? "lora" : to_string(load.role);
      row.actual = 0;
      add_up(buffers, &row);
      row.verdict = Verdict::not_predicted;
      row.reasons.push_back({"not_in_plan", "not part of the plan", {}});
      result_.rows.push_back(std::move(row));
    }
  }

  const Plan& plan_;
  const hwdb::ModelCosts& model_;
  const RuntimeReport& report_;
  double tolerance_;
  const RuntimeLoad* load_;
  std::vector<GpuKey> gpus_;
  double gpu_weights_ = 0;
  Verification result_;
};

template <class Integer>
void take(const std::optional<std::uint64_t>& told, std::uint64_t most, Integer* to) {
  if (told && *told > 0 && *told <= most) *to = static_cast<Integer>(*told);
}

}  // namespace

double VerifyRow::difference() const {
  return predicted && actual ? *actual - *predicted : 0;
}

double VerifyRow::relative() const {
  return predicted && actual && *actual > 0 ? difference() / *actual : 0;
}

double VerifyRow::unexplained() const {
  double left = difference();
  for (const GapReason& reason : reasons) left -= reason.bytes.value_or(0);
  return left;
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::equal:
      return "equal";
    case Verdict::explained:
      return "explained";
    case Verdict::within:
      return "within";
    case Verdict::differs:
      return "differs";
    case Verdict::not_predicted:
      return "not_predicted";
    case Verdict::not_told:
      return "not_told";
  }
  return "";
}

BufferPlace place_of_label(std::string_view label) {
  BufferPlace place;
  // A remote device's name holds an address.
  if (label.starts_with("RPC")) {
    place.is_host = false;
    place.backend = label;
    return place;
  }
  std::string_view base = label.substr(0, label.find('_'));
  constexpr std::array<std::string_view, 5> kHost = {"CPU", "Host", "AMX", "BLAS", "ACCEL"};
  if (std::ranges::find(kHost, base) != kHost.end() || label.ends_with("_Host")) return place;
  place.is_host = false;
  std::size_t digits = base.size();
  while (digits > 0 && is_digit(base[digits - 1])) --digits;
  // More digits than a number of devices has are a name.
  if (base.size() - digits <= 4) {
    for (const char c : base.substr(digits)) {
      place.index = place.index * 10 + static_cast<std::uint32_t>(c - '0');
    }
    base = base.substr(0, digits);
  }
  place.backend = base == "Metal" ? "MTL" : base;
  return place;
}

RunSettings settings_of_report(const hwdb::RuntimeReport& report, const RunSettings& asked) {
  RunSettings settings = asked;
  const RuntimeLoad* load = report.main_load();
  if (load == nullptr) return settings;
  constexpr std::uint64_t kMost = 1u << 20;
  take(load->n_ctx, hwdb::limits::kContext, &settings.n_ctx);
  take(load->n_seq_max, 4096, &settings.n_seq);
  take(load->n_batch, kMost, &settings.n_batch);
  take(load->n_ubatch, kMost, &settings.n_ubatch);
  std::uint32_t n_outputs = 0;
  take(load->n_outputs, kMost, &n_outputs);
  if (n_outputs > 0) {
    settings.n_outputs = n_outputs;
  } else if (report.source == RuntimeReport::Source::log && load->n_ctx) {
    // Builds that do not say it keep them for every token.
    settings.n_outputs = settings.n_ubatch;
  }
  if (load->flash_attn) settings.flash_attn = *load->flash_attn;
  if (load->kv_unified) settings.kv_unified = *load->kv_unified;
  if (!load->cache_type_k.empty()) settings.cache_type_k = load->cache_type_k;
  if (!load->cache_type_v.empty()) settings.cache_type_v = load->cache_type_v;
  const auto gpus = gpus_of(*load, report);
  if (load->offloaded_layers && *load->offloaded_layers <= kMost) {
    settings.n_gpu_layers = static_cast<std::uint32_t>(*load->offloaded_layers);
  }
  if (gpus.empty() && !load->buffers.empty()) {
    settings.cpu_only = true;
    settings.n_gpu_layers.reset();
  }
  if (gpus.size() > 1) {
    std::vector<double> shares(gpus.size(), 0);
    for (const std::string& device : load->layer_devices) {
      const auto at = std::ranges::find(gpus, key_of(place_of_label(device)));
      if (at != gpus.end()) ++shares[static_cast<std::size_t>(at - gpus.begin())];
    }
    if (std::ranges::any_of(shares, [](double share) { return share > 0; })) {
      settings.tensor_split = std::move(shares);
    }
  }
  return settings;
}

Verification verify_plan(const Plan& plan, const hwdb::ModelCosts& model,
                         const hwdb::RuntimeReport& report, double tolerance) {
  return Comparison(plan, model, report, tolerance).run();
}

}  // namespace planner
