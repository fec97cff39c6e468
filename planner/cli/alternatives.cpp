// SPDX-License-Identifier: MIT
#include "planner/cli/alternatives.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "planner/cli/describe.h"
#include "planner/rig/rig.h"

namespace cli {
namespace {

using planner::Fits;
using planner::Plan;

// From large to small; one of each class is enough to say where the limit lies.
constexpr std::array<std::string_view, 10> kPresets = {
    "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "IQ3_XXS", "Q2_K", "IQ2_XXS", "IQ1_S"};
constexpr std::array<std::uint64_t, 11> kMemoryGib = {16,  32,  48,  64,  96, 128,
                                                      192, 256, 384, 512, 768};
constexpr std::array<std::uint32_t, 4> kGpuCounts = {2, 3, 4, 8};

bool good(const Plan& plan, bool want_gpu) {
  const Fits fits = plan.memory.fits;
  return fits == Fits::gpu || (!want_gpu && fits != Fits::no);
}

/// GPUs with at least that much memory, the smallest and of these the fastest first.
std::vector<const hwdb::GpuRow*> cards_with(const hwdb::Catalog& catalog, std::uint64_t bytes) {
  std::vector<const hwdb::GpuRow*> cards;
  for (const hwdb::GpuRow& row : catalog.gpus()) {
    const bool card = row.kind == "discrete" && row.form.empty() && row.origin.verified;
    if (card && row.memory_bytes.size() == 1 && row.memory_bytes.front() >= bytes &&
        row.mem_bw_bytes_per_s) {
      cards.push_back(&row);
    }
  }
  std::ranges::sort(cards, [](const hwdb::GpuRow* a, const hwdb::GpuRow* b) {
    if (a->memory_bytes != b->memory_bytes) return a->memory_bytes < b->memory_bytes;
    if (a->mem_bw_bytes_per_s != b->mem_bw_bytes_per_s) {
      return a->mem_bw_bytes_per_s > b->mem_bw_bytes_per_s;
    }
    return a->id < b->id;
  });
  return cards;
}

}  // namespace

std::vector<Alternative> find_alternatives(Session& session, const Plan& original_plan,
                                           const hwdb::Machine& machine) {
  const planner::Scenario& scenario = original_plan.scenario;
  std::vector<Alternative> found;
  const bool want_gpu = !machine.gpus.empty() && !scenario.settings.cpu_only;
  const auto tariff = session.tariff(scenario.tariff);
  const auto attempt = [&](std::string change, planner::Scenario changed, const hwdb::Machine& rig,
                           bool on_gpu) {
    // What the user fixed by hand would keep the change from helping.
    changed.settings.n_gpu_layers.reset();
    changed.settings.n_cpu_moe.reset();
    changed.settings.cpu_moe = false;
    const auto model = session.model(changed.model, changed.quant);
    if (!model) return false;
    std::optional<planner::Attachments> attachments;
    if (planner::needs_attachments(changed.settings, rig)) {
      auto attached = planner::find_attachments(changed, **model, rig, session.sources());
      if (!attached) return false;
      attachments = std::move(*attached);
    }
    auto plan = planner::plan_scenario(
        changed, **model, rig, tariff ? *tariff : nullptr, &session.assumptions(), nullptr, nullptr,
        attachments ? &*attachments : nullptr, session.calibrations(rig));
    if (!plan || !good(*plan, on_gpu)) return false;
    found.push_back({std::move(change), std::move(*plan)});
    return true;
  };

  const auto original = session.model(scenario.model, scenario.quant);
  if (!original) return found;
  if (scenario.settings.cache_type_k == "f16") {
    planner::Scenario changed = scenario;
    changed.settings.cache_type_k = changed.settings.cache_type_v = "q8_0";
    attempt("KV cache in q8_0 (-ctk q8_0 -ctv q8_0)", changed, machine, want_gpu);
  }
  if (scenario.settings.n_ctx > 4096 * scenario.settings.n_seq) {
    planner::Scenario changed = scenario;
    changed.settings.n_ctx = 4096 * scenario.settings.n_seq;
    attempt("4096 tokens of context (-c 4096)", changed, machine, want_gpu);
  }
  if (session.catalog().find_model(scenario.model)) {
    for (const std::string_view preset : kPresets) {
      planner::Scenario changed = scenario;
      changed.quant = preset;
      const auto model = session.model(changed.model, changed.quant);
      if (!model || (*model)->costs.file_bytes >= (*original)->costs.file_bytes) continue;
      if (attempt(fmt::format("{}, a file of {}", preset,
                              hwdb::format_bytes(hwdb::Bytes((*model)->costs.file_bytes))),
                  changed, machine, want_gpu)) {
        break;
      }
    }
  }
  if (want_gpu && machine.gpus.front().kind == hwdb::GpuInfo::Kind::discrete) {
    for (const std::uint32_t count : kGpuCounts) {
      if (count <= machine.gpus.size()) continue;
      hwdb::Machine more = machine;
      more.gpus.resize(count, machine.gpus.front());
      if (!more.gpu_link) more.gpu_link = more.gpus.front().host_link;
      if (attempt(fmt::format("{}x {}", count, short_name(machine.gpus.front().name)), scenario,
                  more, want_gpu))
        break;
    }
    // The smallest single cards that would do, tried by their own rows.
    std::size_t shown = 0;
    std::uint64_t tried = 0;
    for (const hwdb::GpuRow* row :
         cards_with(session.catalog(), machine.gpus.front().memory.value.value + 1)) {
      if (shown == 1) break;
      if (row->memory_bytes.front() == tried) continue;
      hwdb::Machine other = machine;
      other.gpus = {planner::gpu_from_row(session.catalog(), *row, 0)};
      tried = row->memory_bytes.front();
      shown += attempt(fmt::format("a card of {}, as {}", hwdb::format_bytes(hwdb::Bytes(tried)),
                                   short_name(row->name)),
                       scenario, other, want_gpu)
                   ? 1
                   : 0;
    }
  }
  if (original_plan.memory.fits == Fits::no) {
    for (const std::uint64_t gib : kMemoryGib) {
      const hwdb::Bytes total(gib * hwdb::kGiB);
      if (total <= machine.memory.total.value) continue;
      hwdb::Machine more = machine;
      more.memory.total.value = total;
      more.memory.available.reset();
      more.memory.limit.reset();
      if (attempt(fmt::format("{} GiB of RAM", gib), scenario, more, false)) break;
    }
  }
  return found;
}

}  // namespace cli
