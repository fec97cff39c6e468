// SPDX-License-Identifier: MIT
#include "planner/tariff_price.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

namespace planner {
namespace {

// "HH:MM" as hours; rows were checked when they were read.
double hours_of(std::string_view text) {
  double hours = 0, minutes = 0;
  std::size_t i = 0;
  for (; i < text.size() && text[i] != ':'; ++i) hours = hours * 10 + (text[i] - '0');
  for (++i; i < text.size(); ++i) minutes = minutes * 10 + (text[i] - '0');
  return hours + minutes / 60;
}

// Days of a week that a period covers.
double days_of(std::string_view days) {
  if (days == "weekdays") return 5;
  if (days.find("weekend") != std::string_view::npos) return 2;
  return 7;
}

// A load that runs evenly through the week pays this.
double mean_price(const std::vector<hwdb::TariffPeriod>& periods) {
  double weight = 0, sum = 0;
  for (const hwdb::TariffPeriod& period : periods) {
    double hours = hours_of(period.to) - hours_of(period.from);
    if (hours <= 0) hours += 24;  // past midnight
    const double w = hours * days_of(period.days);
    weight += w;
    sum += w * period.price_per_kwh;
  }
  return weight > 0 ? sum / weight : 0;
}

double tiered_bill(const std::vector<hwdb::TariffBand>& bands, double kwh, double months_per_band) {
  double cost = 0, from = 0, fee = 0;
  for (const hwdb::TariffBand& band : bands) {
    const double upto = band.upto_kwh ? *band.upto_kwh * months_per_band : kwh;
    const double in_band = std::min(kwh, upto) - from;
    fee = band.basic_fee;
    if (in_band > 0) cost += in_band * band.price_per_kwh;
    if (kwh <= upto) break;
    from = upto;
  }
  return cost + fee;
}

const hwdb::TariffSeason* season_of(const hwdb::TariffRow& tariff, unsigned month) {
  for (const hwdb::TariffSeason& season : tariff.seasons)
    if (std::ranges::find(season.months, month) != season.months.end()) return &season;
  return nullptr;
}

}  // namespace

std::optional<hwdb::TariffRow> tariff_from_price(std::string_view text) {
  hwdb::TariffRow row;
  double price = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), price);
  if (error != std::errc{} || !std::isfinite(price) || price < 0) return std::nullopt;
  std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  row.currency = "USD";
  if (const std::size_t slash = rest.find('/'); slash == 3) {
    row.currency = rest.substr(0, 3);
    const auto letter = [](char c) { return c >= 'A' && c <= 'Z'; };
    if (!std::ranges::all_of(row.currency, letter)) return std::nullopt;
    rest.remove_prefix(3);
  }
  if (!rest.empty() && rest != "/kWh") return std::nullopt;
  row.id = "own-price";
  row.name = "the price given";
  row.kind = "flat";
  row.price_per_kwh = price;
  return row;
}

double energy_bill(const hwdb::TariffRow& tariff, double kwh, unsigned month) {
  const hwdb::TariffSeason* season = season_of(tariff, month);
  const auto& bands = season && !season->bands.empty() ? season->bands : tariff.bands;
  const auto& periods = season && !season->periods.empty() ? season->periods : tariff.periods;
  // A tier of n kWh a day is n * 30 a month; of n a year, n / 12.
  const double months_per_band = tariff.band_period == "day"    ? kHoursPerMonth / 24
                                 : tariff.band_period == "year" ? 1.0 / 12
                                                                : 1;
  double cost = 0;
  if (!bands.empty()) {
    cost = tiered_bill(bands, kwh, months_per_band);
  } else if (!periods.empty()) {
    cost = kwh * mean_price(periods);
  } else {
    cost = kwh * tariff.price_per_kwh.value_or(0);
  }
  cost += kwh * tariff.adders_per_kwh.value_or(0);
  if (tariff.surcharge_above_kwh && kwh > *tariff.surcharge_above_kwh)
    cost += (kwh - *tariff.surcharge_above_kwh) * tariff.surcharge_per_kwh.value_or(0);
  cost *= 1 - tariff.rebate_fraction.value_or(0);
  if (!tariff.tax_included) cost *= 1 + tariff.vat_rate.value_or(0) + tariff.fund_rate.value_or(0);
  return cost;
}

double marginal_cost(const hwdb::TariffRow& tariff, double kwh, double household_kwh) {
  const auto more = [&](unsigned month) {
    return energy_bill(tariff, household_kwh + kwh, month) -
           energy_bill(tariff, household_kwh, month);
  };
  if (tariff.seasons.empty()) return more(1);
  double sum = 0;
  for (unsigned month = 1; month <= 12; ++month) sum += more(month);
  return sum / 12;
}

double marginal_price(const hwdb::TariffRow& tariff, double kwh, double household_kwh) {
  const double amount = kwh > 0 ? kwh : 1;
  return marginal_cost(tariff, amount, household_kwh) / amount;
}

double cost_of(hwdb::Watts watts, double hours, const hwdb::TariffRow& tariff,
               double household_kwh) {
  return marginal_cost(tariff, watts.value * hours / 1000, household_kwh);
}

}  // namespace planner
