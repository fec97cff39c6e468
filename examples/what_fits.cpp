// SPDX-License-Identifier: MIT
// The library as a program: what_fits "RX 7900 XTX" prints the five best models for chat on that
// machine.
#include <cstdio>

#include "hwdb/catalog.h"
#include "planner/fit.h"
#include "planner/rig/rig.h"

int main(int argc, char** argv) {
  const hwdb::Catalog& catalog = hwdb::Catalog::builtin();
  const auto machine = planner::machine_from_words(catalog, argc > 1 ? argv[1] : "RTX 4090");
  if (!machine) {
    std::fprintf(stderr, "%s\n", machine.error().what.c_str());
    return 2;
  }
  planner::FitRequest request;
  request.workload = *planner::workload_for("chat");
  const planner::FitResult result = planner::rank_models(catalog, *machine, nullptr, request);
  std::printf("%s: %zu models considered\n", machine->name.c_str(), result.considered);
  for (std::size_t i = 0; i < result.rows.size() && i < 5; ++i) {
    const planner::FitRow& row = result.rows[i];
    std::printf("%-28s %-8s %9s %7.1f tok/s\n", row.model->id.c_str(), row.quant.c_str(),
                hwdb::format_bytes(row.plan.file_size).c_str(),
                row.plan.speed.decode_tok_per_s.likely);
  }
  return 0;
}
