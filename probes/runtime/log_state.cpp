// SPDX-License-Identifier: MIT
#include "probes/runtime/log_state.h"

#include <algorithm>

namespace probes {

using hwdb::RuntimeBuffer;
using hwdb::RuntimeLoad;
using Role = hwdb::RuntimeLoad::Role;

std::string kept(std::string_view text) {
  return std::string(text.substr(0, LogState::kMaxText));
}

namespace {

bool has_buffer(const RuntimeLoad& load, bool of_context) {
  return std::ranges::any_of(load.buffers, [&](const RuntimeBuffer& buffer) {
    const bool weights = buffer.kind == RuntimeBuffer::Kind::model;
    return weights != of_context;
  });
}

/// Model buffers that print as zero: a load that only asked how much it would take.
bool is_trial_load(const RuntimeLoad& load) {
  return has_buffer(load, false) &&
         std::ranges::all_of(load.buffers, [](const RuntimeBuffer& buffer) {
           return buffer.kind != RuntimeBuffer::Kind::model || buffer.size.bytes == 0;
         });
}

}  // namespace

void LogState::push(Role role) {
  buffers_.clear();
  cache_ = 0;
  full_ = report.loads.size() >= kMaxLoads;
  if (full_) {
    spare_ = RuntimeLoad{};
  } else {
    report.loads.push_back(RuntimeLoad{.role = role});
  }
}

void LogState::announce_model(Role role, std::string_view path) {
  announced_ = true;
  next_role_ = role;
  next_path_ = kept(path);
}

bool LogState::has_context() const {
  if (report.loads.empty() || full_) return false;
  const RuntimeLoad& load = report.loads.back();
  return load.n_ctx || has_buffer(load, true);
}

void LogState::begin_model() {
  const bool fresh =
      !report.loads.empty() && !full_ && !has_context() && !has_buffer(load(), false);
  if (fresh && !announced_) return;
  const bool first = std::ranges::none_of(
      report.loads, [](const RuntimeLoad& load) { return load.role == Role::main; });
  const Role role = announced_ && next_role_ != Role::main ? next_role_
                    : first                                ? Role::main
                                                           : Role::further_model;
  if (!fresh) push(role);
  load().role = role;
  load().path = announced_ ? next_path_ : std::string();
  announced_ = false;
}

void LogState::begin_context() {
  if (report.loads.empty()) begin_model();
  if (!has_context()) return;
  const RuntimeLoad& before = load();
  RuntimeLoad same_model;
  same_model.path = before.path;
  same_model.name = before.name;
  same_model.architecture = before.architecture;
  push(Role::further_context);
  same_model.role = Role::further_context;
  load() = std::move(same_model);
}

RuntimeLoad& LogState::load() {
  if (full_) return spare_;
  if (report.loads.empty()) push(Role::main);
  return report.loads.back();
}

void LogState::add_buffer(RuntimeBuffer buffer) {
  RuntimeLoad& to = load();
  // Weights come once a load, in one line a file and device; the others may be reserved again.
  if (buffer.kind != RuntimeBuffer::Kind::model) {
    const bool cached =
        buffer.kind == RuntimeBuffer::Kind::kv_cache || buffer.kind == RuntimeBuffer::Kind::state;
    const auto [at, added] =
        buffers_.try_emplace({buffer.kind, buffer.device, cached ? cache_ : 0}, to.buffers.size());
    if (!added) {
      to.buffers[at->second] = std::move(buffer);
      return;
    }
    if (to.buffers.size() >= kMaxPerLoad) buffers_.erase(at);
  }
  if (to.buffers.size() < kMaxPerLoad) to.buffers.push_back(std::move(buffer));
}

void LogState::add_cache(hwdb::RuntimeCache cache) {
  if (load().caches.size() < kMaxPerLoad) load().caches.push_back(std::move(cache));
  next_cache();
}

hwdb::RuntimeDevice& LogState::device(std::string_view name) {
  const auto it = std::ranges::find(report.devices, name, &hwdb::RuntimeDevice::name);
  if (it != report.devices.end()) return *it;
  if (report.devices.size() >= kMaxDevices) return overflow_;
  return report.devices.emplace_back(hwdb::RuntimeDevice{.name = kept(name)});
}

void LogState::add_table_row(hwdb::RuntimeTableRow row) {
  if (report.table.size() < kMaxDevices) report.table.push_back(std::move(row));
}

void LogState::settle() {
  auto& loads = report.loads;
  std::erase_if(loads, [](const RuntimeLoad& load) {
    return load.buffers.empty() && !load.n_ctx && !load.tensor_bytes && load.path.empty();
  });
  // An older build's fitting shows whole loads of nothing before the real one.
  const bool any_real = std::ranges::any_of(loads, [](const RuntimeLoad& load) {
    return has_buffer(load, false) && !is_trial_load(load);
  });
  if (any_real) {
    for (std::size_t i = 0; i < loads.size();) {
      if (!is_trial_load(loads[i])) {
        ++i;
        continue;
      }
      // Its further contexts go with it.
      std::size_t end = i + 1;
      while (end < loads.size() && loads[end].role == Role::further_context) ++end;
      loads.erase(loads.begin() + static_cast<std::ptrdiff_t>(i),
                  loads.begin() + static_cast<std::ptrdiff_t>(end));
    }
  }
  // Builds that have flash attention say whether it is on.
  for (RuntimeLoad& load : loads) {
    if (load.n_ctx && !load.flash_attn && !load.flash_attn_auto) load.flash_attn = false;
  }
  if (report.main_load() == nullptr) {
    const auto further = std::ranges::find(loads, Role::further_model, &RuntimeLoad::role);
    if (further != loads.end()) further->role = Role::main;
  }
}

}  // namespace probes
