// SPDX-License-Identifier: MIT
#include "planner/cost_estimate.h"

#include <gtest/gtest.h>

#include "planner/energy_estimate.h"
#include "planner/tariff_price.h"
#include "planner/test_inputs.h"

namespace planner {
namespace {

using testing::card;
using testing::Case;
using testing::dense_model;
using testing::host;
using testing::with_cards;

hwdb::TariffRow flat(double price) {
  hwdb::TariffRow t;
  t.kind = "flat";
  t.price_per_kwh = price;
  return t;
}

// The Vietnamese residential table of 2025-05-10, without VAT.
hwdb::TariffRow six_bands() {
  hwdb::TariffRow t;
  t.kind = "tiered";
  t.band_period = "month";
  t.tax_included = false;
  t.vat_rate = 0.08;
  t.bands = {{50, 1984, 0},  {100, 2050, 0}, {200, 2380, 0},
             {300, 2998, 0}, {400, 3350, 0}, {std::nullopt, 3460, 0}};
  return t;
}

TEST(TariffPrice, ACardAtItsLimitForAMonth) {
  EXPECT_NEAR(cost_of(hwdb::Watts(450), 720, flat(0.16)), 51.84, 1e-9);
}

TEST(TariffPrice, TaxLeviesAndRebate) {
  auto t = flat(0.20);
  t.adders_per_kwh = 0.05;
  t.tax_included = false;
  t.vat_rate = 0.10;
  t.fund_rate = 0.027;
  EXPECT_NEAR(energy_bill(t, 100, 1), 25 * 1.127, 1e-9);
  t.rebate_fraction = 0.2;
  EXPECT_NEAR(energy_bill(t, 100, 1), 25 * 0.8 * 1.127, 1e-9);
  t.tax_included = true;
  EXPECT_NEAR(energy_bill(t, 100, 1), 25 * 0.8, 1e-9);
}

TEST(TariffPrice, TiersByHand) {
  const auto t = six_bands();
  EXPECT_NEAR(energy_bill(t, 50, 1), 50 * 1984 * 1.08, 1e-6);
  EXPECT_NEAR(energy_bill(t, 51, 1), (50 * 1984 + 2050) * 1.08, 1e-6);
  // 50 * 1984 + 50 * 2050 + 100 * 2380 + 100 * 2998 + 100 * 3350 + 50 * 3460
  EXPECT_NEAR(energy_bill(t, 450, 1), 1247500 * 1.08, 1e-6);
  EXPECT_NEAR(energy_bill(t, 0, 1), 0, 1e-12);
}

TEST(TariffPrice, TokensPayTheTiersAboveTheHousehold) {
  const auto t = six_bands();
  EXPECT_NEAR(marginal_cost(t, 20, 0), 20 * 1984 * 1.08, 1e-6);
  EXPECT_NEAR(marginal_cost(t, 20, 390), (10 * 3350 + 10 * 3460) * 1.08, 1e-6);
  EXPECT_NEAR(marginal_price(t, 0, 1000), 3460 * 1.08, 1e-6);
}

TEST(TariffPrice, BandFeesJumpWithTheBand) {
  hwdb::TariffRow t;
  t.kind = "tiered";
  t.bands = {{200, 120, 910}, {400, 214.6, 1600}, {std::nullopt, 307.3, 7300}};
  EXPECT_NEAR(energy_bill(t, 200, 5), 200 * 120 + 910, 1e-9);
  EXPECT_NEAR(energy_bill(t, 201, 5), 200 * 120 + 214.6 + 1600, 1e-9);
  EXPECT_NEAR(marginal_cost(t, 1, 200), 214.6 + 690, 1e-9);
}

TEST(TariffPrice, DailyTiersAndSeasons) {
  hwdb::TariffRow t;
  t.kind = "tiered";
  t.band_period = "day";
  t.bands = {{40, 0.07, 0}, {std::nullopt, 0.11, 0}};
  EXPECT_NEAR(energy_bill(t, 1300, 1), 1200 * 0.07 + 100 * 0.11, 1e-9);
  hwdb::TariffRow s;
  s.kind = "tiered";
  s.seasons.resize(2);
  s.seasons[0].months = {6, 7, 8, 9};
  s.seasons[0].bands = {{std::nullopt, 3.0, 0}};
  s.seasons[1].months = {1, 2, 3, 4, 5, 10, 11, 12};
  s.seasons[1].bands = {{std::nullopt, 1.5, 0}};
  EXPECT_NEAR(energy_bill(s, 10, 7), 30, 1e-9);
  EXPECT_NEAR(energy_bill(s, 10, 1), 15, 1e-9);
  EXPECT_NEAR(marginal_cost(s, 10), 20, 1e-9);  // (4 * 30 + 8 * 15) / 12
}

TEST(TariffPrice, TimeOfUseIsTheMeanOfTheWeek) {
  hwdb::TariffRow t;
  t.kind = "tou";
  t.periods = {{"night", "all", "00:30", "05:30", 0.085}, {"day", "all", "05:30", "00:30", 0.28}};
  EXPECT_NEAR(energy_bill(t, 1, 1), (5 * 0.085 + 19 * 0.28) / 24, 1e-12);
  t.periods = {{"peak", "weekdays", "09:00", "24:00", 5.16},
               {"off", "weekdays", "00:00", "09:00", 2.06},
               {"weekend", "weekend,holiday", "00:00", "24:00", 2.06}};
  EXPECT_NEAR(energy_bill(t, 1, 1), (5 * 15 * 5.16 + (5 * 9 + 2 * 24) * 2.06) / 168, 1e-12);
  t.surcharge_above_kwh = 2000;
  t.surcharge_per_kwh = 1.0;
  EXPECT_NEAR(energy_bill(t, 2001, 1) - energy_bill(t, 2000, 1),
              (5 * 15 * 5.16 + (5 * 9 + 2 * 24) * 2.06) / 168 + 1.0, 1e-9);
}

TEST(Energy, MemoryBoundDecodeByHand) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 100e12)}));
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  // All of the time is reading: 0.9 of 300 W at the connectors, through a Gold supply rated for
  // half as much again as 300 + 45 W: load 315 / 517.5 = 0.609.
  const double efficiency = 0.90 - 0.03 * (0.6086956 - 0.5) / 0.5;
  EXPECT_NEAR(plan->energy.decode_w.likely, 45 + 270 / efficiency, 0.5);
  EXPECT_NEAR(plan->energy.idle_w.likely, 45 + 20 / 0.87, 0.5);
  EXPECT_NEAR(plan->energy.loaded_idle_w.likely, 45 + (20 + c.assumptions.gpu_loaded_idle_w) / 0.87,
              0.5);
  EXPECT_NEAR(plan->energy.decode_wh_per_mtok.likely,
              plan->energy.decode_w.likely / plan->speed.decode_tok_per_s.likely / 3600 * 1e6,
              1e-6);
}

TEST(Energy, IdleIsLeastAndPrefillMost) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 10e12)}));
  const auto e = c.plan()->energy;
  EXPECT_LT(e.idle_w.likely, e.loaded_idle_w.likely);
  EXPECT_LT(e.loaded_idle_w.likely, e.decode_w.likely);
  EXPECT_LT(e.decode_w.likely, e.prefill_w.likely);
}

TEST(Energy, SmallModelsDrawLess) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 10e12)}));
  const double before = c.plan()->energy.decode_w.likely;
  c.factors[0].product_s = 1e-3;
  EXPECT_LT(c.plan()->energy.decode_w.likely, 0.75 * before);
}

TEST(Energy, CpuOnlyAddsTheProcessorsWatts) {
  Case c(dense_model(), host());
  const auto e = c.plan()->energy;
  EXPECT_NEAR(e.decode_w.likely, 45 + 65 * 0.9 / 0.89, 2);
  EXPECT_NEAR(e.idle_w.likely, 45, 1e-9);
}

TEST(Energy, TwoCardsInAChainShareTheTime) {
  Case one(dense_model(), with_cards({card("A", 24e9, 1e12, 1e13)}));
  Case two(dense_model(), with_cards({card("A", 24e9, 1e12, 1e13), card("B", 24e9, 1e12, 1e13)}));
  one.inputs.settings.n_gpu_layers = two.inputs.settings.n_gpu_layers = 11;
  const double a = one.plan()->energy.decode_w.likely, b = two.plan()->energy.decode_w.likely;
  EXPECT_GT(b, a);
  EXPECT_LT(b, a + 100);  // not another 270 W
}

TEST(PsuEfficiency, BetweenThePoints) {
  Assumptions a;
  a.psu_load = {0.2, 0.5, 1.0};
  a.psu_efficiency = {0.8, 0.9, 0.85};
  EXPECT_DOUBLE_EQ(psu_efficiency(a, 0.1), 0.8);
  EXPECT_DOUBLE_EQ(psu_efficiency(a, 0.35), 0.85);
  EXPECT_DOUBLE_EQ(psu_efficiency(a, 0.75), 0.875);
  EXPECT_DOUBLE_EQ(psu_efficiency(a, 2), 0.85);
}

TEST(Duty, HoursOfAMonthByHand) {
  Workload w;
  w.n_gen = 360;
  w.hours_per_day = 2;
  w.requests_per_day = 10;
  SpeedEstimate speed;
  speed.ttft_s.likely = 6;
  speed.decode_tok_per_s.likely = 10;
  const Duty d = duty_of(w, speed);
  EXPECT_NEAR(d.prefill_hours, 300 * 6 / 3600.0, 1e-12);
  EXPECT_NEAR(d.decode_hours, 300 * 36 / 3600.0, 1e-12);
  EXPECT_NEAR(d.loaded_idle_hours, 60 - d.prefill_hours - d.decode_hours, 1e-12);
  EXPECT_LT(d.saturation, 1);
  w.requests_per_day = 1e6;
  const Duty full = duty_of(w, speed);
  EXPECT_NEAR(full.prefill_hours + full.decode_hours, 60, 1e-9);
  EXPECT_EQ(full.loaded_idle_hours, 0);
  EXPECT_GT(full.saturation, 1);
}

TEST(Cost, MonthOfAWorkload) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 10e12)}));
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  const CostEstimate& cost = plan->cost;
  const double kwh = (cost.prefill_hours * plan->energy.prefill_w.likely +
                      cost.decode_hours * plan->energy.decode_w.likely +
                      cost.loaded_idle_hours * plan->energy.loaded_idle_w.likely) /
                     1000;
  EXPECT_NEAR(cost.prefill_hours + cost.decode_hours + cost.loaded_idle_hours, 60, 1e-9);
  EXPECT_NEAR(cost.kwh_per_month.likely, kwh, 1e-9);
  EXPECT_NEAR(cost.cost_per_month.likely, kwh * 0.16, 1e-9);
  EXPECT_NEAR(cost.price_per_kwh, 0.16, 1e-12);
  EXPECT_EQ(cost.currency, "USD");
  c.inputs.tariff = nullptr;
  EXPECT_EQ(c.plan()->cost.tariff_id, "");
}

}  // namespace
}  // namespace planner
