// SPDX-License-Identifier: MIT
#include <algorithm>

#include "planner/graph/decoder_builder.h"

namespace planner {

int DecoderGraph::states_of(int cache, std::uint64_t width) {
  // The state of a sequence that begins anew is emptied in place, where the cache lives.
  g_.expand(g_.store(kNoTensor, kNoTensor, cache));
  const int states = g_.view(cache, {width, Extent::sequences});
  const int rows = g_.op(GraphOp::lookup, {width, Extent::sequences}, {states, state_ids_});
  g_.expand(rows);
  // States of sequences that sit this batch out are carried over; when memory is planned there are
  // none of them, but even a tensor without rows leaves its trace in the allocator.
  const int idle = g_.op(GraphOp::lookup, {width, Dim(0)}, {states, idle_ids_});
  g_.expand(g_.store(idle, kNoTensor, cache));
  return rows;
}

int DecoderGraph::convolution_input(const Block& block, int fresh_rows, std::uint64_t channels,
                                    std::uint64_t history) {
  const Dim tokens = Extent::tokens, sequences = Extent::sequences;
  const int cache = g_.external({history * channels, sequences}, 4, 1, block.cache_device);
  const int old_rows = states_of(cache, history * channels);
  const int input = g_.op(GraphOp::fresh, {channels, tokens},
                          {g_.view(old_rows, {history, channels, sequences}),
                           g_.view(fresh_rows, {tokens, channels}, false)});
  g_.at(input).more = {history * channels, sequences, Dim(), Dim()};
  g_.expand(g_.store(g_.view(input, {history, channels, sequences}, false), kNoTensor, cache));
  return input;
}

int DecoderGraph::mix_by_delta_rule(const Block& block, int in) {
  const hwdb::SsmShape& ssm = *shape_.ssm;
  const Dim tokens = Extent::tokens, sequences = Extent::sequences;
  // Kinds with one number of heads for all say it in n_heads and head_dim.
  const bool own = ssm.n_v_heads > 0;
  const std::uint64_t nk = own ? ssm.n_k_heads : ssm.n_heads,
                      nv = own ? ssm.n_v_heads : ssm.n_heads;
  const std::uint64_t dk = own ? ssm.head_k : ssm.head_dim, dv = own ? ssm.head_v : ssm.head_dim;
  const std::uint64_t channels = 2 * nk * dk + nv * dv;
  const std::uint64_t history = ssm.d_conv > 0 ? ssm.d_conv - 1 : 0;
  const int device = block.device;
  if (traits_.norm_before_state) g_.expand(in);
  const int mixed = multiply(in, shape_.n_embd, channels, tokens, device);
  const int z = multiply(in, shape_.n_embd, nv * dv, tokens, device);
  int beta = multiply(in, shape_.n_embd, nv, tokens, device);
  beta = g_.same(GraphOp::overwrites, {g_.view(beta, {1, nv, tokens})});
  int decay = multiply(in, shape_.n_embd, nv, tokens, device);
  decay = g_.same(GraphOp::overwrites, {g_.view(decay, {nv, tokens})}, vector(device, nv));
  decay = g_.same(GraphOp::overwrites, {decay}, vector(device, nv));
  decay = g_.view(decay, {1, nv, tokens});

  const int window = convolution_input(block, mixed, channels, history);

  const int state_cache = g_.external({dv * dv * nv, sequences}, 4, 1, block.cache_device);
  const int state = g_.view(states_of(state_cache, dv * dv * nv), {dv, dv, nv, sequences});
  const int convolved = g_.same(
      GraphOp::overwrites,
      {g_.op(GraphOp::fresh, {channels, tokens}, {window}, vector(device, ssm.d_conv * channels))});
  const auto unit_length = [&](int x) { return g_.same(GraphOp::overwrites, {x}); };
  const int q = unit_length(g_.view(convolved, {dk, nk, tokens}, false));
  const int k = unit_length(g_.view(convolved, {dk, nk, tokens}, false));
  const int v = g_.view(convolved, {dv, nv, tokens}, false);
  const int both = g_.op(GraphOp::fresh, {dv * nv, tokens}, {q, k, v, decay, beta, state});
  g_.at(both).more = {dv * dv * nv, sequences, Dim(), Dim()};
  g_.expand(g_.store(g_.view(both, {dv * dv * nv, sequences}, false), kNoTensor, state_cache));
  int out = norm_at(g_.view(both, {dv, nv, tokens}), dv, device, kAnyDevice, false);
  const int gate = g_.same(GraphOp::overwrites, {g_.view(z, {dv, nv, tokens})});
  out = g_.view(add(out, gate), {dv * nv, tokens});
  // Reshaped, and so never written over by the residual's sum.
  return g_.view(multiply(out, dv * nv, shape_.n_embd, tokens, device), {shape_.n_embd, tokens});
}

int DecoderGraph::mix_by_scan(const Block& block, int in) {
  const hwdb::SsmShape& ssm = *shape_.ssm;
  const Dim tokens = Extent::tokens, sequences = Extent::sequences;
  const bool second = ssm.kind == hwdb::SsmShape::Kind::mamba2;
  const int device = block.device;
  const std::uint64_t inner = ssm.d_inner, state = ssm.d_state;
  const std::uint64_t groups = second ? std::max(ssm.n_groups, 1u) : 0;
  const std::uint64_t heads = second ? std::max(ssm.n_heads, 1u) : inner;
  const std::uint64_t channels = inner + 2 * groups * state;
  const std::uint64_t history = ssm.d_conv > 0 ? ssm.d_conv - 1 : 0;
  const std::uint64_t projected = inner + channels + (second ? heads : 0);

  const int mixed = multiply(in, shape_.n_embd, projected, tokens, device);
  const int window =
      convolution_input(block, g_.view(mixed, {channels, tokens}, false), channels, history);
  int x =
      g_.op(GraphOp::fresh, {channels, tokens}, {window}, vector(device, ssm.d_conv * channels));
  x = g_.same(GraphOp::overwrites, {x}, vector(device, channels));
  x = g_.same(GraphOp::overwrites, {x});

  int step, b = g_.view(x, {groups * state, tokens}, false);
  int c = g_.view(x, {groups * state, tokens}, false);
  if (second) {
    step = g_.op(GraphOp::fresh, {heads, tokens}, {g_.view(mixed, {heads, tokens}, false)});
  } else {
    const std::uint64_t rank = ssm.dt_rank;
    const int low = multiply(x, inner, rank + 2 * state, tokens, device);
    b = g_.view(low, {state, tokens}, false);
    c = g_.view(low, {state, tokens}, false);
    step = g_.view(low, {rank, tokens}, false);
    if (ssm.bcdt_norm) {
      step = norm_at(step, rank, device, kAnyDevice, false);
      b = norm_at(b, state, device, kAnyDevice, false);
      c = norm_at(c, state, device, kAnyDevice, false);
    } else {
      step = g_.op(GraphOp::fresh, {rank, tokens}, {step});
    }
    step = multiply(step, rank, inner, tokens, device);
  }
  step = g_.same(GraphOp::overwrites, {step}, vector(device, heads));

  const int cache = g_.external({state * inner, sequences}, 4, 1, block.cache_device);
  g_.expand(g_.store(kNoTensor, kNoTensor, cache));
  const int states = g_.view(cache, {state * inner, sequences});
  const int values = g_.view(x, {inner, tokens}, !second);
  // One long row: too few rows to be worth a GPU when the decay rates are on the host.
  const int both =
      g_.op(GraphOp::fresh, {Dim(inner, Extent::tokens)}, {cache, values, step, b, c, state_ids_},
            vector(device, second ? heads : state * inner));
  g_.at(both).more = {state * inner, sequences, Dim(), Dim()};
  g_.expand(both);
  const int idle = g_.op(GraphOp::lookup, {state * inner, Dim(0)}, {states, idle_ids_});
  g_.expand(g_.store(idle, kNoTensor, cache));
  g_.expand(g_.store(g_.view(both, {state * inner, sequences}, false), kNoTensor, cache));

  const int skip =
      g_.op(GraphOp::overwrites, {inner, tokens}, {second ? values : x}, vector(device, heads));
  int out = add(g_.view(both, {inner, tokens}), skip);
  const int gate = g_.op(GraphOp::fresh, {inner, tokens}, {g_.view(mixed, {inner, tokens}, false)});
  out = g_.op(GraphOp::fresh, {inner, tokens}, {gate, out});
  if (second && ssm.gated_norm)
    out = g_.view(norm_at(g_.view(out, {inner, tokens}), inner, device, kAnyDevice, false),
                  {inner, tokens});
  out = multiply(out, inner, shape_.n_embd, tokens, device);
  return second ? out : g_.view(out, {shape_.n_embd, tokens});
}

int DecoderGraph::mix_by_convolution(const Block& block, int in) {
  const Dim tokens = Extent::tokens;
  const std::uint64_t n = shape_.n_embd;
  const std::uint64_t taps = shape_.ssm->d_conv;
  const int parts = multiply(g_.view(in, {n, tokens}), n, 3 * n, tokens, block.device);
  const auto part = [&] { return g_.view(parts, {n, tokens}, false); };
  const int gated = g_.op(GraphOp::overwrites, {n, tokens}, {part(), part()});
  const int window = convolution_input(block, gated, n, taps > 0 ? taps - 1 : 0);
  const int convolved =
      g_.op(GraphOp::fresh, {n, tokens}, {window}, vector(block.device, taps * n));
  const int out = g_.op(GraphOp::overwrites, {n, tokens}, {part(), convolved});
  return g_.view(multiply(out, n, n, tokens, block.device), {n, tokens});
}

int DecoderGraph::mix_recurrently(const Block& block, int in) {
  if (!shape_.ssm) return in;
  switch (shape_.ssm->kind) {
    case hwdb::SsmShape::Kind::mamba1:
    case hwdb::SsmShape::Kind::mamba2:
      return mix_by_scan(block, in);
    case hwdb::SsmShape::Kind::short_conv:
      return mix_by_convolution(block, in);
    default:  // the other linear attentions have the delta rule's large tensors
      return mix_by_delta_rule(block, in);
  }
}

}  // namespace planner
