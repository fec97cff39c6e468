// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/unroll-inl.h"

/// Functions of vectors S::F, the same in every set of instructions. The polynomials are
/// interpolations at Chebyshev nodes; their errors are below half a unit in the last place, and
/// what rounding adds makes two or three.
namespace engine::cpu {
namespace {

/// e^x. Below -87.3 (where floats begin to lose bits): 0. Above 88: e^88.
template <class S>
typename S::F exp_of(typename S::F x) {
  using F = typename S::F;
  const F lowest = S::set(-87.33f);
  const F held = S::min(S::max(x, lowest), S::set(88.0f));
  const F n = S::round(S::mul(held, S::set(1.44269504f)));
  // ln 2 in two parts, so that the remainder keeps its bits.
  F r = S::fma(n, S::set(-0.693359375f), held);
  r = S::fma(n, S::set(2.12194440e-4f), r);
  F p = S::set(1.3926181810e-3f);
  p = S::fma(p, r, S::set(8.3631776300e-3f));
  p = S::fma(p, r, S::set(4.1666554628e-2f));
  p = S::fma(p, r, S::set(1.6666576998e-1f));
  p = S::fma(p, r, S::set(0.5f));
  p = S::add(S::fma(p, S::mul(r, r), r), S::set(1.0f));
  return S::if_less(x, lowest, S::zero(), S::mul(p, S::power_of_two(n)));
}

/// 1 / (1 + e^-x)
template <class S>
typename S::F sigmoid_of(typename S::F x) {
  const typename S::F one = S::set(1.0f);
  return S::div(one, S::add(one, exp_of<S>(S::sub(S::zero(), x))));
}

template <class S>
typename S::F tanh_of(typename S::F x) {
  using F = typename S::F;
  const F magnitude = S::abs(x), one = S::set(1.0f);
  const F e = exp_of<S>(S::add(magnitude, magnitude));
  const F far = S::sub(one, S::div(S::set(2.0f), S::add(e, one)));
  // Near 0 the difference above would lose bits: x + x^3 * polynomial of x^2.
  const F y = S::mul(x, x);
  F p = S::set(2.292744933e-3f);
  p = S::fma(p, y, S::set(-8.343945657e-3f));
  p = S::fma(p, y, S::set(2.176891871e-2f));
  p = S::fma(p, y, S::set(-5.395925959e-2f));
  p = S::fma(p, y, S::set(1.333330356e-1f));
  p = S::fma(p, y, S::set(-3.333333317e-1f));
  const F near = S::fma(S::mul(p, y), magnitude, magnitude);
  return S::with_sign_of(S::if_less(magnitude, S::set(0.625f), near, far), x);
}

}  // namespace
}  // namespace engine::cpu
