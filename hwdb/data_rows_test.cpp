// SPDX-License-Identifier: MIT
// The rows themselves: ids, sources, dates, ranges and references. Keys and types are checked while
// the rows are embedded, so a row with an unknown key does not build.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "hwdb/catalog.h"
#include "hwdb/quant_format.h"
#include "hwdb/weight_plan.h"

namespace hwdb {
namespace {

const Catalog& catalog() {
  return Catalog::builtin();
}

template <class Row>
bool has(const std::vector<Row>& rows, const std::string& id) {
  return std::ranges::find(rows, id, &Row::id) != rows.end();
}

/// "2026", "2026-11" or "2026-11-20", perhaps with a word behind it.
bool is_date(const std::string& text) {
  return text.size() >= 4 &&
         std::all_of(text.begin(), text.begin() + 4, [](char c) { return c >= '0' && c <= '9'; });
}

template <class Row>
void expect_origin(const std::vector<Row>& rows, std::size_t at_least) {
  EXPECT_GE(rows.size(), at_least);
  std::set<std::string> ids;
  for (const Row& row : rows) {
    EXPECT_TRUE(ids.insert(row.id).second) << row.id;
    EXPECT_FALSE(row.origin.source.empty()) << row.id;
    for (const std::string& source : row.origin.source) EXPECT_FALSE(source.empty()) << row.id;
    EXPECT_TRUE(is_date(row.origin.as_of)) << row.id << " " << row.origin.as_of;
  }
}

void expect_between(const std::optional<double>& value, double low, double high,
                    const std::string& id) {
  if (!value) return;
  EXPECT_GE(*value, low) << id;
  EXPECT_LE(*value, high) << id;
}

TEST(DataRows, EachHasAnIdASourceAndADate) {
  expect_origin(catalog().gpus(), 508);
  expect_origin(catalog().cpus(), 258);
  expect_origin(catalog().models(), 257);
  expect_origin(catalog().presets(), 42);
  expect_origin(catalog().formats(), 21);
  expect_origin(catalog().kv_cache_types(), 13);
  expect_origin(catalog().tariffs(), 132);
  expect_origin(catalog().carbon(), 222);
  expect_origin(catalog().fx(), 13);
  expect_origin(catalog().api_prices(), 138);
  expect_origin(catalog().subscriptions(), 11);
  expect_origin(catalog().rentals(), 6);
  expect_origin(catalog().statements(), 1);
  expect_origin(catalog().links(), 68);
  expect_origin(catalog().systems(), 50);
  expect_origin(catalog().power_points(), 100);
  expect_origin(catalog().psus(), 13);
  expect_origin(catalog().defaults(), 20);
  expect_origin(catalog().speed_factors(), 0);
  expect_origin(catalog().speed_accuracy(), 0);
  EXPECT_GE(catalog().quant_quality().size(), 518u);
  for (const QuantQualityRow& row : catalog().quant_quality()) {
    EXPECT_FALSE(row.source.empty() && row.url.empty()) << row.model << " " << row.quant;
  }
  for (const ScoreTableRow& table : catalog().score_tables()) {
    EXPECT_FALSE(table.source.empty()) << table.benchmark;
    EXPECT_FALSE(table.scores.empty()) << table.benchmark;
    EXPECT_TRUE(table.reported_by == "independent" || table.reported_by == "vendor");
  }
}

TEST(DataRows, GpusArePlausible) {
  const std::set<std::string> kinds = {"discrete", "accelerator", "integrated", "unified"};
  std::size_t checked = 0;
  for (const GpuRow& row : catalog().gpus()) {
    EXPECT_TRUE(kinds.contains(row.kind)) << row.id << " " << row.kind;
    EXPECT_TRUE(row.form.empty() || row.form == "laptop") << row.id;
    for (std::uint64_t bytes : row.memory_bytes) {
      expect_between(static_cast<double>(bytes), 1e9, 6e11, row.id);
    }
    expect_between(row.mem_bw_bytes_per_s, 5e9, 3e13, row.id);
    expect_between(row.peak_fp32_flops_per_s, 1e11, 1e15, row.id);
    expect_between(row.peak_fp16_matrix_flops_per_s, 1e12, 2e16, row.id);
    expect_between(row.tdp_watts, 4, 2000, row.id);
    expect_between(row.price_usd, 20, 100000, row.id);
    if (row.pcie_gen) expect_between(*row.pcie_gen, 1, 7, row.id);
    EXPECT_TRUE(row.nvlink.empty() || has(catalog().links(), row.nvlink)) << row.id;
    for (const std::string& pci : row.pci_ids) {
      EXPECT_EQ(pci.size(), 9u) << row.id << " " << pci;
      EXPECT_EQ(pci.find(':'), 4u) << row.id << " " << pci;
    }
    // A rate that was worked back from the bandwidth would prove nothing.
    if (row.memory_rate_basis == "clock" && row.memory_bus_bits && row.memory_rate_mt_per_s &&
        row.mem_bw_bytes_per_s) {
      const double expected = *row.memory_bus_bits / 8.0 * *row.memory_rate_mt_per_s * 1e6;
      EXPECT_NEAR(*row.mem_bw_bytes_per_s / expected, 1.0, 0.02) << row.id;
      ++checked;
    }
  }
  EXPECT_GE(checked, 380u);
}

TEST(DataRows, CpusArePlausible) {
  std::size_t checked = 0;
  for (const CpuRow& row : catalog().cpus()) {
    expect_between(row.mem_bw_bytes_per_s, 1e7, 1.5e12, row.id);
    expect_between(row.tdp_watts, 0.5, 600, row.id);
    if (row.cores) expect_between(*row.cores, 1, 512, row.id);
    if (row.cores && row.threads) {
      EXPECT_GE(*row.threads, *row.cores) << row.id;
    }
    EXPECT_TRUE(row.igpu_id.empty() || has(catalog().gpus(), row.igpu_id)) << row.id;
    if (row.memory_bus_bits && row.memory_rate_mt_per_s && row.mem_bw_bytes_per_s) {
      const double expected = *row.memory_bus_bits / 8.0 * *row.memory_rate_mt_per_s * 1e6;
      // Some lists of Intel are in GiB/s, 2.4 % below GB/s. AMD rates the EPYC 7282 and 7232P at
      // half their channels.
      const bool special = row.id == "amd-epyc-7282" || row.id == "amd-epyc-7232p";
      if (!special) {
        EXPECT_NEAR(*row.mem_bw_bytes_per_s / expected, 1.0, 0.03) << row.id;
      }
      ++checked;
    }
  }
  EXPECT_GE(checked, 200u);
}

TEST(DataRows, ModelsArePlausible) {
  std::size_t joined = 0, verified = 0;
  std::set<std::string> scored;
  for (const ScoreTableRow& table : catalog().score_tables()) {
    for (const ScoreEntry& entry : table.scores) scored.insert(entry.model_id);
  }
  for (const ModelRow& row : catalog().models()) {
    const ModelShape& shape = row.shape;
    EXPECT_GE(shape.n_layers, 1u) << row.id;
    EXPECT_LE(shape.n_layers, 200u) << row.id;
    EXPECT_GE(shape.n_embd, 128u) << row.id;
    expect_between(row.params_total, 1e8, 2e12, row.id);
    if (row.params_active && row.params_total) {
      EXPECT_LE(*row.params_active, *row.params_total);
    }
    for (const PerLayer* list : {&shape.n_heads, &shape.n_kv_heads, &shape.n_ff}) {
      EXPECT_TRUE(list->values.size() <= 1 || list->values.size() == shape.n_layers) << row.id;
    }
    EXPECT_LE(shape.n_experts_used, shape.n_experts) << row.id;
    for (std::uint32_t layer : shape.global_layers) EXPECT_LT(layer, shape.n_layers) << row.id;
    for (std::uint32_t layer : shape.attention_layers) EXPECT_LT(layer, shape.n_layers) << row.id;
    if (!shape.layer_pattern.empty()) {
      EXPECT_EQ(shape.layer_pattern.size(), shape.n_layers);
    }
    EXPECT_FALSE(shape.all_layers_sliding && !shape.global_layers.empty()) << row.id;
    EXPECT_TRUE(row.kv_elements_per_token.has_value()) << row.id;
    if (shape.known_architecture && !shape.hybrid) {
      EXPECT_FALSE(shape.n_ff.empty()) << row.id;
      EXPECT_GT(shape.n_vocab, 0u) << row.id;
    }
    joined += std::ranges::any_of(row.quality_ids,
                                  [&](const std::string& id) { return scored.contains(id); });
    verified += row.origin.verified;
  }
  EXPECT_GE(joined, 190u) << "models whose scores can be looked up";
  EXPECT_GE(verified, 240u);
}

TEST(DataRows, ShapesAddUpToTheirParameterCount) {
  std::size_t exact = 0;
  for (const ModelRow& row : catalog().models()) {
    if (row.params_check != "exact" || !row.shape.known_architecture) continue;
    const auto tensors = tensor_list(row.shape);
    if (!tensors) continue;  // an architecture that is not built in
    std::uint64_t sum = 0;
    for (const PlannedTensor& tensor : *tensors) {
      const bool counted = tensor.role != TensorRole::mtp && !tensor.info.name.starts_with("rope_");
      if (counted) sum += tensor.info.elements();
    }
    EXPECT_EQ(sum, *row.params_total) << row.id;
    ++exact;
  }
  EXPECT_GE(exact, 120u);
}

TEST(DataRows, ShapesAddUpToTheirCachePerToken) {
  std::size_t checked = 0;
  for (const ModelRow& row : catalog().models()) {
    if (row.shape_incomplete) continue;
    std::uint64_t elements = 0;
    for (const LayerShape& layer : layers_of(row.shape)) {
      if (layer.kind == LayerKind::recurrent || layer.kind == LayerKind::none) continue;
      elements += layer.kind == LayerKind::mla
                      ? std::uint64_t{row.shape.mla->kv_lora_rank} + row.shape.mla->qk_rope_dim
                      : std::uint64_t{layer.n_kv_heads} * (layer.head_dim_k + layer.head_dim_v);
    }
    EXPECT_EQ(elements, *row.kv_elements_per_token) << row.id;
    ++checked;
  }
  EXPECT_GE(checked, 240u);
}

TEST(DataRows, QuantRowsNameTensorTypes) {
  for (const PresetRow& row : catalog().presets()) {
    if (row.community || row.default_type.find(' ') != std::string::npos) continue;
    EXPECT_NE(find_tensor_format(row.default_type), nullptr) << row.id << " " << row.default_type;
    EXPECT_FALSE(row.words.empty()) << row.id;
  }
  for (const QuantQualityRow& row : catalog().quant_quality()) {
    expect_between(row.top1_agree_fraction, 0, 1, row.model + " " + row.quant);
    expect_between(row.bpw, 0.5, 32, row.model + " " + row.quant);
  }
}

std::uint32_t minutes(const std::string& clock) {
  EXPECT_EQ(clock.size(), 5u) << clock;
  return static_cast<std::uint32_t>(std::stoi(clock.substr(0, 2)) * 60 +
                                    std::stoi(clock.substr(3)));
}

void expect_bands(const std::vector<TariffBand>& bands, const std::string& id) {
  for (std::size_t i = 0; i < bands.size(); ++i) {
    EXPECT_EQ(bands[i].upto_kwh.has_value(), i + 1 < bands.size()) << id;
    if (i > 0) {
      EXPECT_GT(bands[i].price_per_kwh, bands[i - 1].price_per_kwh) << id;
    }
    if (i > 0 && bands[i].upto_kwh) {
      EXPECT_GT(*bands[i].upto_kwh, *bands[i - 1].upto_kwh) << id;
    }
  }
}

/// Every hour of a weekday and of a weekend day has exactly one price.
void expect_whole_days(const std::vector<TariffPeriod>& periods, const std::string& id) {
  std::uint32_t weekday = 0, weekend = 0;
  for (const TariffPeriod& period : periods) {
    const std::uint32_t from = minutes(period.from), to = minutes(period.to);
    const std::uint32_t length = to > from ? to - from : to + 24 * 60 - from;
    const bool all = period.days == "all";
    if (all || period.days == "weekdays") weekday += length;
    if (all || period.days.find("weekend") != std::string::npos) weekend += length;
  }
  EXPECT_EQ(weekday, 24u * 60) << id;
  EXPECT_EQ(weekend, 24u * 60) << id;
}

TEST(DataRows, TariffsAreWhole) {
  for (const TariffRow& row : catalog().tariffs()) {
    EXPECT_TRUE(has(catalog().fx(), row.currency)) << row.id;
    EXPECT_TRUE(is_date(row.effective_from)) << row.id;
    expect_between(row.vat_rate, 0, 0.3, row.id);
    if (row.kind == "flat") {
      ASSERT_TRUE(row.price_per_kwh) << row.id;
      EXPECT_GT(*row.price_per_kwh, 0) << row.id;
    }
    EXPECT_TRUE(row.kind != "tiered" || !row.bands.empty() || !row.seasons.empty()) << row.id;
    EXPECT_TRUE(row.kind != "tou" || !row.periods.empty() || !row.seasons.empty()) << row.id;
    EXPECT_EQ(row.band_period.empty(), row.kind != "tiered") << row.id;
    expect_bands(row.bands, row.id);
    if (!row.periods.empty()) expect_whole_days(row.periods, row.id);
    std::multiset<std::uint32_t> months;
    for (const TariffSeason& season : row.seasons) {
      months.insert(season.months.begin(), season.months.end());
      expect_bands(season.bands, row.id);
      if (!season.periods.empty()) expect_whole_days(season.periods, row.id);
    }
    if (row.seasons.empty()) continue;
    EXPECT_EQ(months.size(), 12u) << row.id;
    for (std::uint32_t month = 1; month <= 12; ++month)
      EXPECT_EQ(months.count(month), 1u) << row.id;
  }
}

TEST(DataRows, PricesLinksAndPowerArePlausible) {
  for (const ApiPriceRow& row : catalog().api_prices()) {
    expect_between(row.input_per_mtok, 0, 200, row.id);
    expect_between(row.output_per_mtok, 0, 1000, row.id);
    if (row.cached_input_per_mtok) {
      EXPECT_LE(*row.cached_input_per_mtok, row.input_per_mtok) << row.id;
    }
  }
  for (const CarbonRow& row : catalog().carbon())
    expect_between(row.g_co2_per_kwh, 0, 1500, row.id);
  for (const LinkRow& row : catalog().links()) {
    expect_between(row.one_way_bytes_per_s, 1e7, 1e14, row.id);
    expect_between(row.practical_fraction, 0.5, 1, row.id);
    expect_between(row.latency_s, 1e-8, 1e-2, row.id);
  }
  for (const PowerPointRow& row : catalog().power_points()) {
    EXPECT_TRUE(row.gpu_id.empty() || has(catalog().gpus(), row.gpu_id)) << row.id;
    EXPECT_TRUE(row.draw_watts || row.cap_watts) << row.id;
  }
  for (const RentalRow& row : catalog().rentals()) EXPECT_TRUE(has(catalog().gpus(), row.gpu_id));
  for (const PsuRow& row : catalog().psus()) {
    EXPECT_EQ(row.load_fraction.size(), row.efficiency.size()) << row.id;
    for (double e : row.efficiency) expect_between(e, 0.5, 1, row.id);
  }
  for (const DefaultRow& row : catalog().defaults()) {
    EXPECT_FALSE(row.words.empty()) << row.id;
    EXPECT_FALSE(row.origin.verified) << row.id << ": a default is a judgement";
  }
}

/// What is wrong with a row of accuracy; "" when nothing is.
std::string fault_of(const SpeedAccuracyRow& row) {
  const std::set<std::string> phases = {"decode", "prefill"};
  const std::set<std::string> backends = {"", "cuda", "rocm", "vulkan", "metal", "sycl", "cpu"};
  const std::set<std::string> situations = {"",        "plain",   "depth", "several_gpus",
                                            "experts", "offload", "cpu",   "batch"};
  if (!phases.contains(row.phase)) return "phase";
  if (!backends.contains(row.backend)) return "backend";
  if (!situations.contains(row.situation)) return "situation";
  if (row.devices == 0 || row.rows < row.devices) return "rows and devices";
  if (row.median_error < 0 || row.median_error > row.p90_error) return "errors out of order";
  if (row.device_median_error < 0 || row.p90_error > 5) return "error out of range";
  if (!(row.low > 0 && row.low <= 1 && row.high >= 1 && row.high < 10)) return "band";
  if (!(row.coverage > 0.5 && row.coverage <= 1)) return "coverage";
  if (row.naive_median_error.has_value() != row.naive_p90_error.has_value()) return "naive";
  return {};
}

TEST(DataRows, SpeedAccuracyIsPlausible) {
  // The check itself is held against rows that are right and wrong.
  SpeedAccuracyRow row;
  row.phase = "decode", row.backend = "cuda", row.situation = "plain";
  row.rows = 40, row.devices = 7;
  row.median_error = 0.1, row.p90_error = 0.3, row.device_median_error = 0.09;
  row.low = 0.75, row.high = 1.3, row.coverage = 0.9;
  EXPECT_EQ(fault_of(row), "");
  SpeedAccuracyRow wrong = row;
  wrong.low = 1.1;
  EXPECT_EQ(fault_of(wrong), "band");
  wrong = row, wrong.situation = "moe";
  EXPECT_EQ(fault_of(wrong), "situation");
  wrong = row, wrong.median_error = 0.4;
  EXPECT_EQ(fault_of(wrong), "errors out of order");

  ASSERT_GT(catalog().speed_accuracy().size(), 20u);
  std::set<std::string> keys;
  for (const SpeedAccuracyRow& shipped : catalog().speed_accuracy()) {
    EXPECT_EQ(fault_of(shipped), "") << shipped.id;
    const std::string key = shipped.phase + "/" + shipped.backend + "/" + shipped.situation +
                            (shipped.known_device ? "/known" : "");
    EXPECT_TRUE(keys.insert(key).second) << key << " is judged twice";
  }
}

TEST(DataRows, SystemsReferToRows) {
  const std::set<std::string> forms = {"desktop", "laptop", "mini", "board", "phone", "server"};
  for (const SystemRow& row : catalog().systems()) {
    EXPECT_TRUE(forms.contains(row.form)) << row.id;
    EXPECT_TRUE(row.cpu_id.empty() || has(catalog().cpus(), row.cpu_id)) << row.id;
    EXPECT_TRUE(row.gpu_id.empty() || has(catalog().gpus(), row.gpu_id)) << row.id;
    EXPECT_FALSE(row.cpu_id.empty() && row.gpu_id.empty()) << row.id;
    EXPECT_FALSE(row.memory_bytes.empty()) << row.id;
  }
}

TEST(DataRows, SeedFactsHold) {
  const GpuRow& rtx4090 = **catalog().find_gpu("RTX 4090");
  EXPECT_EQ(rtx4090.tdp_watts, 450);
  EXPECT_EQ(rtx4090.mem_bw_bytes_per_s, 1008e9);
  EXPECT_EQ((*catalog().find_gpu("H100"))->tdp_watts, 700);
  EXPECT_NEAR(*(*catalog().find_cpu("Core Ultra 7 165H"))->mem_bw_bytes_per_s, 119.5e9, 1e8);
  EXPECT_EQ((*catalog().find_tariff("us-average"))->price_per_kwh, 0.16);
  EXPECT_EQ((*catalog().find_model("llama-3.1-8b"))->params_total, 8030261248u);
}

}  // namespace
}  // namespace hwdb
