// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/op_counts.h"
#include "hwdb/runtime_report.h"
#include "planner/plan.h"

/// A plan held against what a runtime says it allocated.
namespace planner {

/// Why a figure differs. `bytes` (actual minus predicted, absent: not known) is what the reason
/// accounts for; a reason without it names a difference between plan and run whose size nobody
/// worked out.
struct GapReason {
  std::string_view code;  // stable: "mapped_span", "settings"...
  std::string text;
  std::optional<double> bytes;
};

struct VerifyRow {
  enum class Verdict {
    equal,          // as far as the digits that were printed go
    explained,      // equal once the reasons' bytes are taken off
    within,         // inside the tolerance
    differs,        // outside it, with or without a reason
    not_predicted,  // the plan has no such term
    not_told,       // the runtime does not say it
  };
  std::string term;                  // "weights", "kv_cache", "total"...
  std::string device;                // of the plan; "" all together
  std::optional<std::size_t> index;  // of that device in the plan's list
  std::string labels;                // the runtime's names for what was added up
  std::optional<double> predicted;   // bytes
  std::optional<double> actual;      // bytes
  double rounding = 0;               // half a unit of the printed digits, all lines together
  Verdict verdict = Verdict::not_told;
  std::vector<GapReason> reasons;
  bool is_total = false;  // of a device; the tolerance is meant for these

  /// Actual minus predicted; 0 where one of them is absent.
  double difference() const;
  /// The same over the actual; 0 where it has none.
  double relative() const;
  /// What is left of the difference after the reasons that have bytes.
  double unexplained() const;
};
std::string_view to_string(VerifyRow::Verdict verdict);

struct Verification {
  std::vector<VerifyRow> rows;  // device after device, its total last; then what is of no device
  std::vector<std::string> notes;
  /// Largest |unexplained| over the actual of a device's total; absent: no total could be compared.
  std::optional<double> worst_total;
  bool all_compared = true;  // false: some term was not told or not predicted
  bool within(double tolerance) const { return worst_total && *worst_total <= tolerance; }
};

/// The settings that the report's main load ran with, on top of `asked`; what the report does not
/// tell stays as asked.
RunSettings settings_of_report(const hwdb::RuntimeReport& report, const RunSettings& asked);

/// Holds `plan`, made for `model` with the report's settings, against the report. `tolerance` is a
/// share of the actual, for the verdict `within`.
Verification verify_plan(const Plan& plan, const hwdb::ModelCosts& model,
                         const hwdb::RuntimeReport& report, double tolerance);

/// The plan's place of a buffer by the runtime's name for it: "CUDA0" is GPU 0, "CUDA_Host" and
/// "CPU_Mapped" are the host.
struct BufferPlace {
  bool is_host = true;
  std::string backend;      // "CUDA", "Vulkan", "RPC[host:port]"...
  std::uint32_t index = 0;  // of that backend
};
BufferPlace place_of_label(std::string_view label);

}  // namespace planner
