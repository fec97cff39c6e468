// SPDX-License-Identifier: MIT
#include "planner/graph/graph_schedule.h"

#include <algorithm>
#include <map>
#include <utility>

namespace planner {
namespace {

bool reads_only(GraphOp op) {
  return op == GraphOp::view || op == GraphOp::leaf;
}

/// Rows that an operation works on, as the runtime counts them when it weighs an offload.
std::uint64_t batch_rows(const GraphTensor& t, const ExtentValues& values) {
  const auto worth = [&](const Dim& d) { return d.n * values[static_cast<std::size_t>(d.extent)]; };
  switch (t.op) {
    case GraphOp::lookup:
      return 0;
    case GraphOp::matmul:
      return worth(t.ne[1]);
    case GraphOp::expert_matmul:
    case GraphOp::rope:
      return worth(t.ne[2]);
    default:
      return worth(t.ne[1]) * worth(t.ne[2]) * worth(t.ne[3]);
  }
}

/// One step of the run: an operation, or a copy made at the start of a split.
struct Step {
  enum class Kind { operation, keep_source, receive } kind = Kind::operation;
  int tensor = kNoTensor;  // keep_source: the source; receive: the copy
  int device = 0;
};

class Scheduler {
 public:
  Scheduler(TensorGraph graph, const ScheduleOptions& options, const ExtentValues& values)
      : tensors_(graph.take_tensors()),
        graph_(std::move(graph)),
        options_(options),
        values_(values),
        host_(options.n_gpus) {}

  AllocationScript run() {
    assign_devices();
    split();
    allocate();
    script_.n_slots = static_cast<std::uint16_t>(n_slots_);
    script_.n_devices = static_cast<std::uint8_t>(host_ + 1);
    return std::move(script_);
  }

 private:
  static constexpr int kNone = -1;

  void assign_devices();
  int device_by_memory(int tensor) const;
  template <class Order>
  void follow_neighbours(const Order& order, bool host_too);
  void split();
  void allocate();

  int copy_of(int tensor, int device, bool* made);
  int add_tensor(const GraphTensor& tensor);

  // Memory of one tensor while the script is written.
  struct Life {
    int readers = 0, views = 0;
    int device = 0;
    int slot = kNone;
    bool held = false;
  };
  void acquire(int tensor, int device);
  bool reuse_operand(int tensor);
  void release(int tensor);
  void drop(int tensor);
  std::uint16_t add_rules(const GraphTensor& tensor, int device, std::uint8_t* n_rules);
  bool same_layout(const GraphTensor& a, const GraphTensor& b) const {
    return a.contiguous && b.contiguous && a.ne == b.ne && a.block_bytes == b.block_bytes &&
           a.block_elements == b.block_elements;
  }
  int root_of(int tensor) const {
    const int root = tensors_[static_cast<std::size_t>(tensor)].root;
    return root == kNoTensor ? tensor : root;
  }
  GraphTensor& tensor(int i) { return tensors_[static_cast<std::size_t>(i)]; }
  const GraphTensor& tensor(int i) const { return tensors_[static_cast<std::size_t>(i)]; }
  Life& life(int i) { return lives_[static_cast<std::size_t>(i)]; }

  std::vector<GraphTensor> tensors_;
  const TensorGraph graph_;  // its orders
  const ScheduleOptions& options_;
  const ExtentValues& values_;
  const int host_;
  std::vector<int> device_;
  std::vector<Step> steps_;
  std::vector<int> early_;  // (pipeline) copies that are placed before anything else
  std::map<std::pair<int, int>, int> copies_;
  std::vector<Life> lives_;
  int n_slots_ = 0;
  AllocationScript script_;
};

int Scheduler::device_by_memory(int index) const {
  const GraphTensor& t = tensor(index);
  if (t.home != kAnyDevice) return t.home;
  if (t.input) return host_;
  if (t.weight_home == kAnyDevice || t.op == GraphOp::rope || t.op == GraphOp::flash_attention)
    return kNone;
  if (t.weight_home == host_ && options_.n_gpus > 0 && options_.offload_from_rows > 0 &&
      batch_rows(t, values_) >= options_.offload_from_rows)
    return 0;
  return t.weight_home;
}

template <class Order>
void Scheduler::follow_neighbours(const Order& order, bool host_too) {
  int current = kNone;
  for (const int index : order) {
    if (reads_only(tensor(index).op)) continue;
    int& device = device_[static_cast<std::size_t>(index)];
    if (device != kNone)
      current = device == host_ && !host_too ? kNone : device;
    else if (current != kNone)
      device = current;
  }
}

void Scheduler::assign_devices() {
  device_.assign(tensors_.size(), kNone);
  for (const int i : graph_.leaves()) device_[static_cast<std::size_t>(i)] = device_by_memory(i);
  for (const int i : graph_.order()) device_[static_cast<std::size_t>(i)] = device_by_memory(i);
  const std::vector<int> backwards(graph_.order().rbegin(), graph_.order().rend());
  follow_neighbours(graph_.order(), false);
  follow_neighbours(backwards, false);
  follow_neighbours(graph_.order(), true);
  follow_neighbours(backwards, true);
  for (const int i : graph_.order()) {
    int& device = device_[static_cast<std::size_t>(i)];
    if (device == kNone && tensor(i).root != kNoTensor)
      device = device_[static_cast<std::size_t>(tensor(i).root)];
    if (device == kNone) device = host_;
    for (const int src : tensor(i).src) {
      if (src == kNoTensor) continue;
      int& src_device = device_[static_cast<std::size_t>(src)];
      if (src_device != kNone) continue;
      src_device = tensor(src).root == kNoTensor
                       ? device
                       : device_[static_cast<std::size_t>(tensor(src).root)];
    }
  }
}

int Scheduler::add_tensor(const GraphTensor& added) {
  tensors_.push_back(added);
  return static_cast<int>(tensors_.size()) - 1;
}

int Scheduler::copy_of(int source, int device, bool* made) {
  const auto [it, inserted] = copies_.try_emplace({source, device}, kNoTensor);
  *made = inserted;
  if (!inserted) return it->second;
  GraphTensor copy;
  copy.op = GraphOp::leaf;
  // A reading with gaps is copied with its gaps.
  copy.ne = tensor(tensor(source).contiguous ? source : root_of(source)).ne;
  copy.block_bytes = tensor(source).block_bytes;
  copy.block_elements = tensor(source).block_elements;
  copy.contiguous = tensor(source).contiguous;
  copy.output = options_.n_copies > 1;
  it->second = add_tensor(copy);
  device_.push_back(device);
  return it->second;
}

void Scheduler::split() {
  std::vector<Step> body;
  std::vector<std::pair<int, int>> inputs;  // of the split: source and copy
  int current = kNone;
  int weight_copy_key = -2;  // weights are no tensors here: each gets a key of its own
  const auto close = [&] {
    for (const auto& [source, copy] : inputs) {
      if (source >= 0) {
        const int at = device_[static_cast<std::size_t>(source)];
        steps_.push_back({Step::Kind::keep_source, source, at});
      }
      steps_.push_back({Step::Kind::receive, copy, current});
    }
    steps_.insert(steps_.end(), body.begin(), body.end());
    inputs.clear();
    body.clear();
  };
  const auto early_copies = [&](int like, int n) {
    for (int c = 0; c < n; ++c) {
      GraphTensor twin = tensor(like);
      twin.op = GraphOp::leaf;
      twin.input = twin.output = true;
      twin.root = kNoTensor;
      twin.src.fill(kNoTensor);
      early_.push_back(add_tensor(twin));
      device_.push_back(device_[static_cast<std::size_t>(like)]);
    }
  };
  std::vector<bool> multiplied(tensors_.size(), false);
  for (const int index : graph_.order()) {
    if (reads_only(tensor(index).op)) {
      body.push_back({Step::Kind::operation, index, device_[static_cast<std::size_t>(index)]});
      continue;
    }
    const int device = device_[static_cast<std::size_t>(index)];
    const bool foreign_weight =
        tensor(index).weight_home != kAnyDevice && tensor(index).weight_home != device;
    if (current == kNone) current = device;
    // A further offloaded weight opens a split, so that the memory of the last one is free again.
    if (device != current || (foreign_weight && !inputs.empty())) {
      close();
      current = device;
    }
    if (foreign_weight) {
      GraphTensor weight;
      weight.op = GraphOp::leaf;
      weight.ne = {Dim(tensor(index).weight_bytes, tensor(index).weight_scale), Dim(), Dim(),
                   Dim()};
      weight.block_bytes = 1;
      const int copy = add_tensor(weight);
      device_.push_back(device);
      inputs.emplace_back(weight_copy_key--, copy);
      auto& src = tensor(index).src;
      *std::find(src.begin(), src.end(), kNoTensor) = copy;
    }
    for (std::size_t s = 0; s < tensor(index).src.size(); ++s) {
      const int src = tensor(index).src[s];
      if (src == kNoTensor) continue;
      if (options_.n_copies > 1 && tensor(src).input &&
          !multiplied[static_cast<std::size_t>(src)]) {
        multiplied[static_cast<std::size_t>(src)] = true;
        tensor(src).output = true;
        early_copies(src, options_.n_copies - 1);
      }
      if (device_[static_cast<std::size_t>(src)] == device) continue;
      bool made = false;
      const int copy = copy_of(src, device, &made);
      if (made) {
        inputs.emplace_back(src, copy);
        if (options_.n_copies > 1) {
          early_.push_back(copy);
          early_copies(copy, options_.n_copies - 1);
        }
      }
      tensor(index).src[s] = copy;
    }
    body.push_back({Step::Kind::operation, index, device});
  }
  close();
}

std::uint16_t Scheduler::add_rules(const GraphTensor& t, int device, std::uint8_t* n_rules) {
  const auto first = static_cast<std::uint16_t>(script_.rules.size());
  const auto add = [&](const Dims& ne) {
    SizeRule rule;
    rule.bytes = t.block_bytes;
    std::size_t used = 0;
    for (const Dim& d : ne) {
      if (__builtin_mul_overflow(rule.bytes, d.n, &rule.bytes)) rule.bytes = ~std::uint64_t{0};
      if (d.extent != Extent::one && used < rule.by.size()) rule.by[used++] = d.extent;
    }
    rule.bytes /= t.block_elements;
    script_.rules.push_back(rule);
  };
  add(t.ne);
  *n_rules = 1;
  if (t.more[0].n > 0) {
    add(t.more);
    ++*n_rules;
  }
  if (device != host_) {  // only GPU kernels unpack a quantized cache beside their result
    for (int part = 0; part < t.scratch_parts; ++part) {
      script_.rules.push_back(
          {t.scratch_elements * 2, {t.scratch_cells, Extent::streams, Extent::one}});
      ++*n_rules;
    }
  }
  return first;
}

bool Scheduler::reuse_operand(int index) {
  const GraphTensor& t = tensor(index);
  if (t.op != GraphOp::overwrites && t.op != GraphOp::rope) return false;
  for (const int parent : t.src) {
    if (parent == kNoTensor) continue;
    Life& own = life(parent);  // views are never held: what they read is not written over
    if (!own.held || own.readers != 1 || own.views != 0) continue;
    if (tensor(parent).output || !same_layout(t, tensor(parent))) continue;
    life(index) = {life(index).readers, life(index).views, own.device, own.slot, true};
    own.held = false;
    return true;
  }
  return false;
}

void Scheduler::acquire(int index, int device) {
  const GraphTensor& t = tensor(index);
  if (t.external || t.root != kNoTensor || life(index).slot != kNone) return;
  if (reuse_operand(index)) return;
  Life& l = life(index);
  l.device = device;
  l.slot = n_slots_++;
  l.held = true;
  AllocationScript::Event event;
  event.device = static_cast<std::uint8_t>(device);
  event.slot = static_cast<std::uint16_t>(l.slot);
  event.rule = add_rules(t, device, &event.n_rules);
  script_.events.push_back(event);
}

void Scheduler::drop(int index) {
  if (tensor(index).output) return;
  Life& l = life(index);
  l.held = false;
  script_.events.push_back(
      {false, static_cast<std::uint8_t>(l.device), static_cast<std::uint16_t>(l.slot), 0, 0});
}

void Scheduler::release(int index) {
  Life& l = life(index);
  --l.readers;
  if (l.readers != 0 || l.views != 0) return;
  const int root = root_of(index);
  if (root == index) {
    if (l.held) drop(index);
    return;
  }
  Life& viewed = life(root);
  --viewed.views;
  if (viewed.views == 0 && viewed.readers == 0 && viewed.held) drop(root);
}

void Scheduler::allocate() {
  lives_.resize(tensors_.size());
  for (const int i : early_) acquire(i, device_[static_cast<std::size_t>(i)]);
  for (const int i : graph_.leaves()) acquire(i, device_[static_cast<std::size_t>(i)]);
  for (const Step& step : steps_) {
    const GraphTensor& t = tensor(step.tensor);
    if (step.kind == Step::Kind::keep_source) {
      ++life(step.tensor).readers;
    } else if (step.kind == Step::Kind::operation) {
      if (t.root != kNoTensor) ++life(t.root).views;
      for (const int src : t.src)
        if (src != kNoTensor) ++life(src).readers;
    }
  }
  // What to give back once a tensor is computed: the first of a list for each.
  std::vector<int> first_kept(tensors_.size(), kNone), next_kept;
  for (const TensorGraph::Kept& k : graph_.kept()) {
    const int at = static_cast<int>(next_kept.size());
    next_kept.push_back(kNone);
    const int device = device_[static_cast<std::size_t>(k.until)];
    if (!options_.keeps || device == host_ || device_[static_cast<std::size_t>(k.tensor)] != device)
      continue;
    std::swap(next_kept.back(), first_kept[static_cast<std::size_t>(k.until)]);
    first_kept[static_cast<std::size_t>(k.until)] = at;
    ++life(k.tensor).readers;
  }
  for (const Step& step : steps_) {
    if (step.kind == Step::Kind::keep_source) {
      release(step.tensor);
      continue;
    }
    acquire(step.tensor, step.device);
    if (step.kind == Step::Kind::receive) continue;
    for (const int src : tensor(step.tensor).src)
      if (src != kNoTensor) release(src);
    for (int k = first_kept[static_cast<std::size_t>(step.tensor)]; k != kNone;
         k = next_kept[static_cast<std::size_t>(k)])
      release(graph_.kept()[static_cast<std::size_t>(k)].tensor);
  }
}

}  // namespace

AllocationScript schedule(TensorGraph graph, const ScheduleOptions& options,
                          const ExtentValues& values) {
  return Scheduler(std::move(graph), options, values).run();
}

}  // namespace planner
