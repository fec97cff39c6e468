// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/quant_format.h"

namespace planner {

/// Power limit over arithmetic peak where `matmul` holds as it is: 1.5 W for a TFLOP/s.
inline constexpr double kWattsPerFlop = 1.5e-12;

/// Threads of a processor for which `product_s` holds as it is, where it is a class's.
inline constexpr double kThreadsOfProductS = 8;

/// What a device reaches of its ceilings with one runtime: the parameters of the speed model,
/// fitted to classes of devices (hwdb/data/speed) or to one machine (Calibration). Shares are of
/// the rated bandwidth and of the arithmetic peak that DeviceRates carries.
struct DeviceFactors {
  double read = 0.6;           // bandwidth: weights, a few tokens
  double vector = 0.5;         // peak: products with a few tokens
  double cache_read = 0.5;     // bandwidth: the attention cache while decoding
  double matmul = 0.3;         // peak: products with many tokens
  double attention = 0.2;      // peak: attention of a prompt
  double score_flops = 100;    // FLOPs that a score of attention costs beside its products: softmax
  double activation = 0.5;     // bandwidth: activations between the products
  double expert_read = 0.8;    // routed experts: `read` times this
  double expert_matmul = 0.7;  // routed experts: `matmul` times this
  double half_tokens = 30;     // tokens of a pass at which products reach half of `matmul`
  double expert_half_tokens = 30;  // the same for the tokens of one routed expert
  double product_s = 5e-6;  // seconds of each product of a pass, whatever its size: dispatch, sync
  double pass_s = 1e-4;     // seconds of each pass, whatever it holds
  /// Products with many tokens and attention of a prompt run into the power limit of a card: their
  /// rates go with (watts per FLOP/s of the peak, over kWattsPerFlop) to this power.
  double power_exponent = 0.5;

  std::uint32_t generation_devices = 0;  // of its generation that were measured
  bool of_device = false;                // some of it was measured on that very kind of device

  /// Multipliers for one tensor type of the weights (`cache_read`, `attention`: of the cache).
  struct OfType {
    hwdb::TensorType type{};
    double read = 1, vector = 1, matmul = 1, cache_read = 1, attention = 1;
  };
  std::vector<OfType> types;  // those that are not 1; sorted by type

  /// The multipliers of a type; ones where none are kept.
  const OfType& of(hwdb::TensorType type) const;
};

/// The scalar members by name, in the order above: what fits, files and reports loop over.
struct FactorField {
  std::string_view name;
  double DeviceFactors::*member;
};
inline constexpr std::array<FactorField, 14> kFactorFields = {{
    {"read", &DeviceFactors::read},
    {"vector", &DeviceFactors::vector},
    {"cache_read", &DeviceFactors::cache_read},
    {"matmul", &DeviceFactors::matmul},
    {"attention", &DeviceFactors::attention},
    {"score_flops", &DeviceFactors::score_flops},
    {"activation", &DeviceFactors::activation},
    {"expert_read", &DeviceFactors::expert_read},
    {"expert_matmul", &DeviceFactors::expert_matmul},
    {"half_tokens", &DeviceFactors::half_tokens},
    {"expert_half_tokens", &DeviceFactors::expert_half_tokens},
    {"product_s", &DeviceFactors::product_s},
    {"pass_s", &DeviceFactors::pass_s},
    {"power_exponent", &DeviceFactors::power_exponent},
}};
/// The multipliers of a type by name.
struct TypeFactorField {
  std::string_view name;
  double DeviceFactors::OfType::*member;
};
inline constexpr std::array<TypeFactorField, 5> kTypeFactorFields = {{
    {"read", &DeviceFactors::OfType::read},
    {"vector", &DeviceFactors::OfType::vector},
    {"matmul", &DeviceFactors::OfType::matmul},
    {"cache_read", &DeviceFactors::OfType::cache_read},
    {"attention", &DeviceFactors::OfType::attention},
}};

}  // namespace planner
