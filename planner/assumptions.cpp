// SPDX-License-Identifier: MIT
#include "planner/assumptions.h"

#include <algorithm>

namespace planner {

Assumptions assumptions_from(const hwdb::Catalog& catalog) {
  Assumptions a;
  a.class_factors = std::make_shared<const ClassFactors>(&catalog.speed_factors());
  a.speed_accuracy = &catalog.speed_accuracy();
  const auto take = [&](const char* id, double* value) {
    for (const hwdb::DefaultRow& row : catalog.defaults())
      if (row.id == id) *value = row.value;
  };
  take("decode_fraction_of_tdp.discrete_memory_bound", &a.decode_fraction_memory_bound);
  take("decode_fraction_of_tdp.discrete_small_model", &a.decode_fraction_small_model);
  take("decode_fraction_of_tdp.laptop", &a.decode_fraction_laptop);
  take("decode_fraction_of_tdp.apple_silicon", &a.decode_fraction_apple);
  take("decode_fraction_of_tdp.server_card_single_stream", &a.decode_fraction_server);
  take("prefill_fraction_of_tdp.discrete", &a.prefill_fraction);
  take("prefill_fraction_of_tdp.apple_silicon", &a.prefill_fraction_apple);
  take("idle_w.gpu_unknown", &a.gpu_idle_w);
  for (const hwdb::PsuRow& row : catalog.psus()) {
    if (row.load_fraction.empty() || row.load_fraction.size() != row.efficiency.size()) continue;
    if (row.id.find("Gold") == std::string::npos || row.voltage != 115) continue;
    a.psu_load = row.load_fraction;
    a.psu_efficiency = row.efficiency;
    a.psu_id = row.id;
    break;
  }
  return a;
}

}  // namespace planner
