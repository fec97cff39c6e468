// SPDX-License-Identifier: MIT
#include "planner/graph/tensor_graph.h"

#include <algorithm>

namespace planner {

int TensorGraph::add(const GraphTensor& tensor) {
  tensors_.push_back(tensor);
  visited_.push_back(0);
  return static_cast<int>(tensors_.size()) - 1;
}

int TensorGraph::input(const Dims& ne, std::uint32_t element_bytes) {
  GraphTensor t;
  t.op = GraphOp::leaf;
  t.ne = ne;
  t.block_bytes = element_bytes;
  t.input = true;
  return add(t);
}

int TensorGraph::external(const Dims& ne, std::uint32_t block_bytes, std::uint32_t block_elements,
                          int device) {
  GraphTensor t;
  t.op = GraphOp::leaf;
  t.ne = ne;
  t.block_bytes = block_bytes;
  t.block_elements = block_elements;
  t.external = true;
  t.home = device;
  return add(t);
}

int TensorGraph::view(int of, const Dims& ne, bool contiguous) {
  const GraphTensor& source = at(of);
  GraphTensor t;
  t.op = GraphOp::view;
  t.ne = ne;
  t.block_bytes = source.block_bytes;
  t.block_elements = source.block_elements;
  t.contiguous = contiguous;
  t.external = source.external;
  t.home = source.external ? source.home : kAnyDevice;
  t.root = source.root == kNoTensor ? of : source.root;
  t.src[0] = of;
  return add(t);
}

int TensorGraph::op(GraphOp op, const Dims& ne, std::initializer_list<int> src, WeightPlace weight,
                    std::uint32_t element_bytes) {
  GraphTensor t;
  t.op = op;
  t.ne = ne;
  t.block_bytes = element_bytes;
  std::copy(src.begin(), src.end(), t.src.begin());
  t.weight_home = weight.device;
  t.weight_bytes = weight.bytes;
  t.weight_scale = weight.scale;
  return add(t);
}

int TensorGraph::same(GraphOp kind, std::initializer_list<int> src, WeightPlace weight) {
  const GraphTensor& first = at(*src.begin());
  return op(kind, first.ne, src, weight, first.block_bytes);
}

int TensorGraph::store(int rows, int places, int cache) {
  const GraphTensor& target = at(cache);
  GraphTensor t;
  t.op = GraphOp::store;
  t.ne = target.ne;
  t.block_bytes = target.block_bytes;
  t.block_elements = target.block_elements;
  t.external = true;
  t.home = target.home;
  t.root = target.root == kNoTensor ? cache : target.root;
  t.src[0] = rows;
  t.src[1] = places;
  t.src[2] = cache;
  return add(t);
}

void TensorGraph::expand(int tensor) {
  const auto index = static_cast<std::size_t>(tensor);
  if (visited_[index] != 0) return;
  visited_[index] = 1;
  for (const int src : tensors_[index].src)
    if (src != kNoTensor) expand(src);
  (tensors_[index].op == GraphOp::leaf ? leaves_ : order_).push_back(tensor);
}

}  // namespace planner
