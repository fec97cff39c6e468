// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string_view>

#include "hwdb/rows.h"
#include "hwdb/units.h"

/// What electricity costs by a tariff row. All prices are in the tariff's currency, with taxes,
/// levies and rebates of the row; standing and minimum charges are left out: they are paid anyway.
namespace planner {

inline constexpr double kHoursPerMonth = 720;  // 30 days

/// A flat tariff of one price, taxes included: "0.16/kWh", "0.30 EUR/kWh"; without a currency it is
/// US dollars. Absent for other text.
std::optional<hwdb::TariffRow> tariff_from_price(std::string_view text);

/// The energy part of one month's bill. `month` is 1..12. Tiers are taken by the month (rows of a
/// day's or a year's tiers are scaled to it), time-of-use prices at their mean over the week.
double energy_bill(const hwdb::TariffRow& tariff, double kwh, unsigned month);

/// What `kwh` more in a month cost a household that uses `household_kwh` besides: the bill with
/// them less the bill without, mean of twelve months. So tokens pay the upper tiers.
double marginal_cost(const hwdb::TariffRow& tariff, double kwh, double household_kwh = 0);

/// The price of one kWh of those `kwh`, or of the next one when `kwh` is 0.
double marginal_price(const hwdb::TariffRow& tariff, double kwh, double household_kwh = 0);

/// What a load of `watts` at the wall costs when it runs `hours` in one month.
double cost_of(hwdb::Watts watts, double hours, const hwdb::TariffRow& tariff,
               double household_kwh = 0);

}  // namespace planner
