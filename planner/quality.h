// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/catalog.h"

namespace planner {

/// What published scores say of a model for a use: a percentile inside one table of one protocol,
/// never an average of raw numbers of different benchmarks.
struct Quality {
  std::optional<double> percentile;  // 0..1; absent: no published evidence for this use
  std::string benchmark, source;     // the table that decided
  std::string reported_by;           // independent or vendor
  double score = 0;
  std::size_t tables = 0;  // how many tables had the model
};

/// Ready for many look-ups of one use. `use` is a workload's.
class QualityIndex {
 public:
  QualityIndex(const hwdb::Catalog& catalog, std::string_view use);
  Quality find(const hwdb::ModelRow& model) const;

 private:
  struct Table;
  std::vector<Table> tables_;  // in the order of preference

 public:
  QualityIndex(QualityIndex&&) noexcept;
  ~QualityIndex();
};

}  // namespace planner
