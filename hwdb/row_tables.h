// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "hwdb/rows.h"

namespace hwdb {

/// All rows of the catalogue.
struct RowTables {
  std::vector<GpuRow> gpus;
  std::vector<CpuRow> cpus;
  std::vector<ModelRow> models;
  std::vector<PresetRow> presets;
  std::vector<FormatRow> formats, kv_cache_types;
  std::vector<QuantQualityRow> quant_quality;
  std::vector<ScoreTableRow> score_tables;
  std::vector<TariffRow> tariffs;
  std::vector<CarbonRow> carbon;
  std::vector<FxRow> fx;
  std::vector<ApiPriceRow> api_prices;
  std::vector<SubscriptionRow> subscriptions;
  std::vector<RentalRow> rentals;
  std::vector<StatementRow> statements;
  std::vector<LinkRow> links;
  std::vector<SystemRow> systems;
  std::vector<PowerPointRow> power_points;
  std::vector<PsuRow> psus;
  std::vector<DefaultRow> defaults;
  std::vector<SpeedFactorRow> speed_factors;
  std::vector<SpeedAccuracyRow> speed_accuracy;
};

/// Where a table lies below hwdb/data: one file, or a folder whose *.json are read in the order of
/// their names.
template <class Row>
struct TableInfo {
  std::string_view path;
  std::vector<Row> RowTables::*rows;
};
template <class Row>
TableInfo(std::string_view, std::vector<Row> RowTables::*) -> TableInfo<Row>;

/// Every table, in the order of the embedded form. A new table is a member above and a line here.
inline constexpr auto kTables = std::make_tuple(
    TableInfo{"gpus", &RowTables::gpus}, TableInfo{"cpus", &RowTables::cpus},
    TableInfo{"models", &RowTables::models}, TableInfo{"quants/presets.json", &RowTables::presets},
    TableInfo{"quants/formats.json", &RowTables::formats},
    TableInfo{"quants/kv_cache_types.json", &RowTables::kv_cache_types},
    TableInfo{"quants/quality.json", &RowTables::quant_quality},
    TableInfo{"scores.json", &RowTables::score_tables}, TableInfo{"tariffs", &RowTables::tariffs},
    TableInfo{"carbon.json", &RowTables::carbon}, TableInfo{"fx.json", &RowTables::fx},
    TableInfo{"prices/api.json", &RowTables::api_prices},
    TableInfo{"prices/subscriptions.json", &RowTables::subscriptions},
    TableInfo{"prices/rentals.json", &RowTables::rentals},
    TableInfo{"statements.json", &RowTables::statements},
    TableInfo{"links.json", &RowTables::links}, TableInfo{"systems.json", &RowTables::systems},
    TableInfo{"power/points.json", &RowTables::power_points},
    TableInfo{"power/psu.json", &RowTables::psus},
    TableInfo{"power/defaults.json", &RowTables::defaults},
    TableInfo{"speed/factors.json", &RowTables::speed_factors},
    TableInfo{"speed/accuracy.json", &RowTables::speed_accuracy});

/// Calls the macro `M` with each row struct: for instantiating templates.
#define HWDB_FOR_EACH_ROW(M) \
  M(GpuRow)                  \
  M(CpuRow)                  \
  M(ModelRow)                \
  M(PresetRow)               \
  M(FormatRow)               \
  M(QuantQualityRow)         \
  M(ScoreTableRow)           \
  M(TariffRow)               \
  M(CarbonRow)               \
  M(FxRow)                   \
  M(ApiPriceRow)             \
  M(SubscriptionRow)         \
  M(RentalRow)               \
  M(StatementRow)            \
  M(LinkRow)                 \
  M(SystemRow)               \
  M(PowerPointRow)           \
  M(PsuRow)                  \
  M(DefaultRow)              \
  M(SpeedFactorRow)          \
  M(SpeedAccuracyRow)

inline constexpr std::size_t kTableCount = std::tuple_size_v<decltype(kTables)>;

/// Calls `f(info)` for each table in order.
template <class F>
void for_each_table(F&& f) {
  std::apply([&](const auto&... info) { (f(info), ...); }, kTables);
}

/// The place of a table in kTables.
template <class Row>
constexpr std::size_t table_index(std::vector<Row> RowTables::*rows) {
  std::size_t index = 0, found = kTableCount;
  std::apply(
      [&](const auto&... info) {
        const auto check = [&](const auto& one) {
          if constexpr (std::is_same_v<decltype(one.rows), std::vector<Row> RowTables::*const> ||
                        std::is_same_v<std::remove_cvref_t<decltype(one.rows)>,
                                       std::vector<Row> RowTables::*>) {
            if (one.rows == rows) found = index;
          }
          ++index;
        };
        (check(info), ...);
      },
      kTables);
  return found;
}

}  // namespace hwdb
