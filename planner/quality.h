// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/catalog.h"

namespace planner {

/// What published scores say of a model for a use: a place inside one table of one protocol, never
/// an average of raw numbers of different benchmarks.
///
/// Each use has one anchor table, whose percentiles are the scale. A model that is in a table the
/// use prefers, but which is not the anchor, is placed by the straight line that predicts anchor
/// percentiles from that table's percentiles over the models that are in both. Such a line pulls
/// towards the middle as the two tables agree less. Outside the range of the models in both it is
/// not extrapolated: above it stops, below it runs to zero at the table's foot.
/// Tables with fewer than 8 models in common, or that explain less than half of the variance, are
/// not used at all. Independent tables decide before makers' own, and those before the figures of
/// one benchmark taken from several makers. Makers' figures with reasoning on are a table apart.
struct Quality {
  std::optional<double> percentile;  // 0..1 on the anchor's scale; absent: no published evidence
  std::string benchmark, source;     // the table that decided
  std::string reported_by;           // independent or vendor
  double score = 0;
  std::size_t tables = 0;  // usable benchmarks that had the model; 1 is thin evidence

  std::string scored_as;        // the model id in that table
  std::string reasoning_mode;   // on, off, or "" where there is no switch or the source is silent
  bool of_base_model = false;   // the un-tuned model's score, for want of another
  bool direct = true;           // false: mapped from its own table to the anchor's scale
  std::string anchor;           // the table whose scale this is
  double table_percentile = 0;  // inside its own table
  double intercept = 0, slope = 1;  // percentile = intercept + slope * table_percentile
  bool beyond_common =
      false;  // weaker or stronger than every model in common: placed low on purpose
  std::size_t models_in_common = 0;
  double correlation = 1;  // of the percentiles of the models in common
};

/// The evidence in one sentence, for --why and notes; "no published score for this use" when there
/// is none.
std::string describe(const Quality& quality);

/// Ready for many look-ups of one use. `use` is a workload's; one without its own benchmarks takes
/// chat's. The tables must outlive the index.
class QualityIndex {
 public:
  QualityIndex(const hwdb::Catalog& catalog, std::string_view use);
  QualityIndex(std::span<const hwdb::ScoreTableRow> tables, std::string_view use);
  Quality find(const hwdb::ModelRow& model) const;

  QualityIndex(QualityIndex&&) noexcept;
  ~QualityIndex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace planner
