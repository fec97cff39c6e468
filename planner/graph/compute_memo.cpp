// SPDX-License-Identifier: MIT
#include "planner/graph/compute_memo.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace planner {
namespace {

// A graph's script takes some 10 KB, an answer a few hundred bytes: megabytes at most.
constexpr std::size_t kMaxPlans = 64, kMaxAnswers = 512, kMaxLines = 64;

/// The line for `cells`, worked out by `make` where none is known.
template <class Make>
const BufferLines& line_for(std::uint64_t cells, std::vector<BufferLines>* lines,
                            const Make& make) {
  const bool even = cells % kCellStep == 0;
  const auto holds = [&](const BufferLines& line) {
    return cells == line.cells ||
           (even && line.cells % kCellStep == 0 && cells >= line.first && cells <= line.last);
  };
  const auto known = std::find_if(lines->rbegin(), lines->rend(), holds);
  if (known != lines->rend()) return *known;
  if (lines->size() >= kMaxLines) lines->clear();
  return lines->emplace_back(make());
}

}  // namespace

std::size_t ComputeMemo::QuestionHash::operator()(const Question& question) const {
  std::uint64_t hash = 0x9e3779b97f4a7c15ull;
  const auto mix = [&hash](std::uint64_t value) {
    hash = (hash ^ value) * 0xff51afd7ed558ccdull;
    hash ^= hash >> 32;
  };
  const ComputeRequest& r = question.request;
  mix((std::uint64_t{r.n_tokens} << 32) | r.n_outputs);
  mix((std::uint64_t{r.n_seq} << 32) | (r.unified ? 2u : 0u) | (r.flash_attn ? 1u : 0u));
  mix(r.window_cells);
  mix((static_cast<std::uint64_t>(r.type_k) << 32) | static_cast<std::uint64_t>(r.type_v));
  const ComputePlacement& p = question.placement;
  mix((std::uint64_t{p.n_gpus} << 32) | p.first_gpu_layer);
  mix((std::uint64_t{p.n_cpu_moe} << 32) | p.n_copies);
  mix((p.fuses ? 8u : 0u) | (p.output_on_gpu ? 4u : 0u) | (p.cache_on_host ? 2u : 0u) |
      (p.offload_large_ops ? 1u : 0u));
  for (std::uint32_t g = 0; g < p.n_gpus && g < kMaxGraphDevices; ++g) mix(p.layers_on_gpu[g]);
  mix((std::uint64_t{p.largest.block} << 40) ^ (std::uint64_t{p.largest.expert} << 20) ^
      p.largest.output);
  return hash;
}

ComputeMemo::ComputeMemo(hwdb::ModelShape shape) : shape_(std::move(shape)), kinds_(shape_) {}

std::size_t ComputeMemo::plan_of(const Question& question) {
  // All that the graph depends on. Blocks that differ only in their place are the same graph.
  std::string graph;
  const auto add = [&graph](const auto& value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    graph.append(bytes, sizeof value);
  };
  const ComputeRequest& r = question.request;
  const ComputePlacement& p = question.placement;
  add(r.n_tokens), add(r.n_outputs), add(r.n_seq), add(r.type_k), add(r.type_v), add(p.n_gpus),
      add(p.n_copies);
  for (const bool flag :
       {r.unified, r.flash_attn, r.window_cells > 0, p.first_gpu_layer == 0, p.output_on_gpu,
        p.n_cpu_moe > 0, p.cache_on_host, p.offload_large_ops, p.fuses})
    add(flag);
  for (const Block& block : kinds_.representatives(p)) {
    add(block.kind), add(static_cast<std::uint8_t>(block.device));
    add(static_cast<std::uint8_t>(block.cache_device));
    add(static_cast<std::uint8_t>(block.expert_device));
  }
  const auto known = plan_by_graph_.find(graph);
  if (known != plan_by_graph_.end()) return known->second;
  plans_.push_back(plan_compute(shape_, kinds_, r, p));
  return plan_by_graph_.emplace(std::move(graph), plans_.size() - 1).first->second;
}

// Member by member, since most questions differ in an early one.
bool ComputeMemo::Question::asks(const ComputeRequest& r, const ComputePlacement& p) const {
  const ComputeRequest& q = request;
  const ComputePlacement& o = placement;
  return o.n_gpus == p.n_gpus && o.first_gpu_layer == p.first_gpu_layer &&
         o.n_cpu_moe == p.n_cpu_moe && o.n_copies == p.n_copies &&
         o.output_on_gpu == p.output_on_gpu && o.cache_on_host == p.cache_on_host &&
         o.offload_large_ops == p.offload_large_ops && o.fuses == p.fuses &&
         std::equal(o.layers_on_gpu.begin(),
                    o.layers_on_gpu.begin() + std::min<std::size_t>(p.n_gpus, kMaxGraphDevices),
                    p.layers_on_gpu.begin()) &&
         o.largest == p.largest && q.n_tokens == r.n_tokens && q.n_outputs == r.n_outputs &&
         q.n_seq == r.n_seq && q.unified == r.unified && q.window_cells == r.window_cells &&
         q.flash_attn == r.flash_attn && q.type_k == r.type_k && q.type_v == r.type_v;
}

ComputeMemo::Answer& ComputeMemo::answer_to(const ComputeRequest& request,
                                            const ComputePlacement& placement) {
  for (Known* known : recent_)
    if (known != nullptr && known->first.asks(request, placement)) return known->second;
  const Question question{request, placement};
  auto known = answers_.find(question);
  if (known == answers_.end()) {
    if (answers_.size() >= kMaxAnswers || plans_.size() >= kMaxPlans) {
      recent_ = {};
      answers_.clear();
      plans_.clear();
      plan_by_graph_.clear();
    }
    Answer answer;
    answer.plan = plan_of(question);
    known = answers_.emplace(question, std::move(answer)).first;
  }
  recent_[oldest_] = &*known;
  oldest_ = (oldest_ + 1) % recent_.size();
  return known->second;
}

GraphBuffers ComputeMemo::find(const ComputeRequest& request, const ComputePlacement& placement) {
  Answer& answer = answer_to(request, placement);
  const ComputePlan& plan = plans_[answer.plan];
  const BufferLines& prompt = line_for(request.cells, &answer.prompt, [&] {
    return prompt_lines(plan, request, placement.largest);
  });
  GraphBuffers buffers;
  for (std::size_t g = 0; g < plan.n_gpus; ++g)
    buffers.gpu[g] = hwdb::Bytes(prompt.at(g, request.cells));
  buffers.host = hwdb::Bytes(prompt.at(plan.n_gpus, request.cells));
  if (plan.generation.events.empty()) return buffers;
  const BufferLines& generation = line_for(request.cells, &answer.generation, [&] {
    return generation_lines(plan, request, placement.largest);
  });
  for (std::size_t g = 0; g < plan.n_gpus; ++g)
    buffers.gpu[g] = std::max(buffers.gpu[g], hwdb::Bytes(generation.at(g, request.cells)));
  buffers.host = std::max(buffers.host, hwdb::Bytes(generation.at(plan.n_gpus, request.cells)));
  return buffers;
}

}  // namespace planner
