// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/elementwise_kernels.h"
#include "engine/cpu/vector_math-inl.h"

/// The row functions of ElementwiseKernels over vectors S.
namespace engine::cpu {
namespace {

/// Calls body(offset, load, store) for whole vectors of n elements and once more for the rest,
/// whose missing lanes load as 0 and are not stored.
template <class S, class Body>
void for_vectors(std::size_t n, const Body& body) {
  std::size_t i = 0;
  for (; i + S::kWidth <= n; i += S::kWidth) {
    body(
        i, [](const float* p) { return S::load(p); },
        [](float* p, typename S::F x) { S::store(p, x); });
  }
  if (i == n) return;
  const std::size_t rest = n - i;
  body(
      i,
      [rest](const float* p) {
        alignas(64) float lanes[S::kWidth] = {};
        for (std::size_t k = 0; k < rest; ++k) lanes[k] = p[k];
        return S::load(lanes);
      },
      [rest](float* p, typename S::F x) {
        alignas(64) float lanes[S::kWidth];
        S::store(lanes, x);
        for (std::size_t k = 0; k < rest; ++k) p[k] = lanes[k];
      });
}

/// The sum of term(x) over a row, in four chains.
template <class S, class Term>
float sum_of(const float* from, std::size_t n, const Term& term) {
  using F = typename S::F;
  F sums[4] = {S::zero(), S::zero(), S::zero(), S::zero()};
  std::size_t i = 0;
  for (; i + 4 * S::kWidth <= n; i += 4 * S::kWidth) {
    TOKWATT_UNROLL
    for (int k = 0; k < 4; ++k) {
      sums[k] = S::add(sums[k], term(S::load(from + i + static_cast<std::size_t>(k * S::kWidth))));
    }
  }
  for (; i + S::kWidth <= n; i += S::kWidth) sums[0] = S::add(sums[0], term(S::load(from + i)));
  float total = S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])));
  for (; i < n; ++i) {
    alignas(64) float lanes[S::kWidth];
    S::store(lanes, term(S::set(from[i])));
    total += lanes[0];
  }
  return total;
}

template <class S>
void rms_norm_row(const float* from, std::size_t n, const float* weight, float eps, float* to) {
  using F = typename S::F;
  const float squares = sum_of<S>(from, n, [](F x) { return S::mul(x, x); });
  const F factor = S::set(1.0f / __builtin_sqrtf(squares / static_cast<float>(n) + eps));
  for_vectors<S>(n, [&](std::size_t i, const auto& load, const auto& store) {
    const F x = S::mul(load(from + i), factor);
    store(to + i, weight != nullptr ? S::mul(x, load(weight + i)) : x);
  });
}

template <class S>
void layer_norm_row(const float* from, std::size_t n, const float* weight, const float* bias,
                    float eps, float* to) {
  using F = typename S::F;
  const float count = static_cast<float>(n);
  const F mean = S::set(sum_of<S>(from, n, [](F x) { return x; }) / count);
  const float squares = sum_of<S>(from, n, [mean](F x) {
    const F away = S::sub(x, mean);
    return S::mul(away, away);
  });
  const F factor = S::set(1.0f / __builtin_sqrtf(squares / count + eps));
  for_vectors<S>(n, [&](std::size_t i, const auto& load, const auto& store) {
    F x = S::mul(S::sub(load(from + i), mean), factor);
    if (weight != nullptr) x = S::mul(x, load(weight + i));
    if (bias != nullptr) x = S::add(x, load(bias + i));
    store(to + i, x);
  });
}

template <class S>
void add_range(const float* from, std::size_t n, float* to) {
  for_vectors<S>(n, [&](std::size_t i, const auto& load, const auto& store) {
    store(to + i, S::add(load(to + i), load(from + i)));
  });
}

template <class S>
void scale_range(const float* from, std::size_t n, float factor, float* to) {
  for_vectors<S>(n, [&](std::size_t i, const auto& load, const auto& store) {
    store(to + i, S::mul(load(from + i), S::set(factor)));
  });
}

template <class S>
void softcap_range(const float* from, std::size_t n, float cap, float* to) {
  for_vectors<S>(n, [&](std::size_t i, const auto& load, const auto& store) {
    store(to + i, S::mul(S::set(cap), tanh_of<S>(S::div(load(from + i), S::set(cap)))));
  });
}

template <class S, Activation A>
typename S::F activated(typename S::F x) {
  using F = typename S::F;
  if constexpr (A == Activation::silu) {
    return S::mul(x, sigmoid_of<S>(x));
  } else if constexpr (A == Activation::gelu) {
    // (1 + tanh(u)) / 2 = sigmoid(2 u), u = sqrt(2 / pi) * (x + 0.044715 x^3)
    const F cube = S::fma(S::mul(S::mul(x, x), S::set(0.044715f)), x, x);
    return S::mul(x, sigmoid_of<S>(S::mul(cube, S::set(2 * 0.79788456f))));
  } else {
    const F positive = S::max(x, S::zero());
    return S::mul(positive, positive);
  }
}

template <class S, Activation A>
void activate_range(const float* gate, const float* up, std::size_t n, float* to) {
  for_vectors<S>(n, [&](std::size_t i, const auto& load, const auto& store) {
    const auto x = activated<S, A>(load(gate + i));
    store(to + i, up != nullptr ? S::mul(x, load(up + i)) : x);
  });
}

template <class S>
void activate_swiglu_oai(const float* gate, const float* up, std::size_t n, float* to) {
  using F = typename S::F;
  for_vectors<S>(n, [&](std::size_t i, const auto& load, const auto& store) {
    const F limit = S::set(7.0f);
    const F g = S::min(load(gate + i), limit);
    const F u = S::max(S::min(load(up + i), limit), S::set(-7.0f));
    const F share = sigmoid_of<S>(S::mul(g, S::set(1.702f)));
    store(to + i, S::mul(S::mul(g, share), S::add(u, S::set(1.0f))));
  });
}

template <class S>
void activate_row(Activation activation, const float* gate, const float* up, std::size_t n,
                  float* to) {
  switch (activation) {
    case Activation::silu:
      return activate_range<S, Activation::silu>(gate, up, n, to);
    case Activation::gelu:
      return activate_range<S, Activation::gelu>(gate, up, n, to);
    case Activation::relu_squared:
      return activate_range<S, Activation::relu_squared>(gate, up, n, to);
    case Activation::swiglu_oai:
      return activate_swiglu_oai<S>(gate, up, n, to);
  }
}

template <class S>
void rotate_halves_row(const float* cosines, const float* sines, std::size_t n, float* x,
                       float* y) {
  using F = typename S::F;
  for_vectors<S>(n, [&](std::size_t i, const auto& load, const auto& store) {
    const F c = load(cosines + i), s = load(sines + i), a = load(x + i), b = load(y + i);
    store(x + i, S::sub(S::mul(a, c), S::mul(b, s)));
    store(y + i, S::fma(a, s, S::mul(b, c)));
  });
}

template <class S>
void rotate_adjacent_row(const float* cosines, const float* sines, std::size_t n, float* x) {
  for (std::size_t i = 0; i < n; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = a * sines[i] + b * cosines[i];
  }
}

template <class S>
void softmax_row(const float* from, std::size_t n, float* to) {
  using F = typename S::F;
  F most = S::set(-__builtin_inff());
  std::size_t i = 0;
  for (; i + S::kWidth <= n; i += S::kWidth) most = S::max(most, S::load(from + i));
  float greatest = S::greatest(most);
  for (; i < n; ++i) greatest = from[i] > greatest ? from[i] : greatest;
  for_vectors<S>(n, [&](std::size_t at, const auto& load, const auto& store) {
    store(to + at, exp_of<S>(S::sub(load(from + at), S::set(greatest))));
  });
  const float total = sum_of<S>(to, n, [](F x) { return x; });
  scale_range<S>(to, n, 1.0f / total, to);
}

template <class S>
constexpr ElementwiseKernels elementwise_kernels() {
  return {rms_norm_row<S>,      layer_norm_row<S>,      add_range<S>,
          scale_range<S>,       softcap_range<S>,       activate_row<S>,
          rotate_halves_row<S>, rotate_adjacent_row<S>, softmax_row<S>};
}

}  // namespace
}  // namespace engine::cpu
