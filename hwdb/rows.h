// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hwdb/model.h"

/// The rows of the catalogue, one struct a table, in base units. Their JSON keys are the member
/// names; the members of `origin` stand in the row itself. Every row has an id, its sources and a
/// date; `verified` is true only when the main figures were read in the source, and `unverified`
/// names the members of a verified row that nobody read anywhere.
namespace hwdb {

struct RowOrigin {
  std::vector<std::string> source;
  std::string as_of;
  bool verified = false;
  std::vector<std::string> unverified;
  std::vector<std::string> derived;  // members computed from others, not read
};

/// A slower build of the same GPU, as thin laptops have it.
struct GpuLowPower {
  std::optional<double> mem_bw_bytes_per_s, peak_fp32_flops_per_s, tdp_watts;
};

struct GpuRow {
  std::string id, name;
  std::vector<std::string> aliases;
  std::string vendor, arch, chip;
  std::optional<std::uint32_t> release_year;
  std::string kind;  // discrete, accelerator, integrated, unified
  std::string form;  // "laptop" or ""
  std::vector<std::uint64_t>
      memory_bytes;  // several when one name was sold in several sizes; empty: shares system memory
  std::optional<std::uint64_t> memory_bytes_reported;  // what the driver shows
  std::string memory_type;
  std::optional<std::uint32_t> memory_bus_bits;
  std::optional<double> memory_rate_mt_per_s;
  std::string memory_rate_basis;  // clock (checks the bandwidth), nominal, back-computed
  std::optional<double> mem_bw_bytes_per_s;
  bool mem_bw_platform_dependent = false;
  std::string memory_platform;  // the memory that bandwidth is for, when platform-dependent
  std::optional<double> peak_fp32_flops_per_s, peak_fp16_flops_per_s, peak_fp16_matrix_flops_per_s,
      peak_fp16_matrix_fp32acc_flops_per_s, peak_int8_ops_per_s, peak_fp8_flops_per_s,
      peak_fp4_flops_per_s, peak_int4_ops_per_s;
  std::string matrix_engine;
  std::optional<std::uint32_t> compute_units, boost_mhz;
  std::string cuda_cc, gfx_target;
  std::optional<double> tdp_watts, idle_watts, system_idle_watts;
  std::vector<double> tgp_range_watts;
  std::optional<GpuLowPower> low_power;
  std::optional<std::uint32_t> pcie_gen, pcie_lanes;
  std::string nvlink;  // id of a LinkRow or ""
  std::uint32_t devices_visible = 1;
  std::vector<std::string> pci_ids;  // "10de:2684"
  std::optional<double> price_usd, used_price_usd;
  std::string price_note, used_price_date;
  std::string note;
  RowOrigin origin;
};

/// A slower or faster kind of memory that a CPU takes as well.
struct MemoryOption {
  std::string type;
  std::optional<std::uint32_t> rate_mt_per_s;
  std::optional<double> mem_bw_bytes_per_s;
};

struct CpuRow {
  std::string id, name;
  std::vector<std::string> aliases;
  std::string vendor, family;
  std::optional<std::uint32_t> release_year, cores, threads, p_cores, e_cores, lpe_cores;
  std::optional<std::uint32_t> memory_channels, memory_bus_bits;
  std::string memory_type;  // "DDR5"
  std::optional<std::uint32_t> memory_rate_mt_per_s;
  std::optional<double> mem_bw_bytes_per_s;           // one socket, fastest official memory
  std::optional<double> measured_mem_bw_bytes_per_s;  // where somebody measured it
  std::vector<MemoryOption> memory_options;
  std::optional<std::uint64_t> max_memory_bytes;
  std::vector<std::string> isa;
  std::optional<double> tdp_watts, turbo_watts, idle_system_watts;
  std::vector<double> ctdp_range_watts;
  std::string igpu_id;
  std::optional<double> npu_ops_per_s;
  std::string note;
  RowOrigin origin;
};

struct ModelRow {
  std::string id;
  std::vector<std::string> aliases;
  std::string family, release, license;
  std::optional<std::uint64_t> params_total, params_active, params_published;
  std::optional<std::uint64_t> params_mtp;  // multi-token-prediction block, not in params_total
  std::string params_check;       // how the computed total compares with the published count
  bool shape_incomplete = false;  // a size is not known: only the totals can be used
  std::optional<std::uint64_t>
      kv_elements_per_token;  // a check value: what layers_of() must add up to without windows
  ModelShape shape;
  std::vector<std::string>
      quality_ids;           // model ids under which published scores are filed, best first
  std::string native_quant;  // the publisher's own format, as "MXFP4" or "FP8"; "" is BF16
  std::string aware_quant;   // the preset that a checkpoint was trained for (QAT); "" none
  std::string notes;
  RowOrigin origin;
};

/// A llama.cpp file-type preset.
struct PresetRow {
  std::string id;  // "Q4_K_M"
  std::optional<std::uint32_t> ftype_id;
  std::string default_type;                // tensor type
  std::string imatrix;                     // "optional", "required" or other words; "" unknown
  bool community = false;                  // a publisher's own mix, not a llama.cpp preset
  std::optional<double> bpw_llama_3_1_8b;  // printed in llama.cpp's documents
  std::string words;                       // what the name means, one or two sentences
  RowOrigin origin;
};

/// A weight format outside GGUF, or a kind of KV cache.
struct FormatRow {
  std::string id;
  std::optional<double> bits_per_weight;
  std::string runtime, words;
  RowOrigin origin;
};

/// One published quality measurement of a quantized model.
struct QuantQualityRow {
  std::string model, quant;
  std::optional<double> bpw, ppl, ppl_delta, kld_mean, kld_99, top1_agree_fraction;
  std::optional<std::uint64_t> size_bytes;
  std::string dataset, notes, source, url;
};

/// A published table of scores made under one protocol: one benchmark, one source, one reasoning
/// mode.
struct ScoreEntry {
  std::string model_id;
  double score = 0;
  std::string reported_by;  // where it differs from the table's
};
struct ScoreTableRow {
  std::string benchmark, unit, reasoning_mode, reported_by, date, source, url;
  std::vector<ScoreEntry> scores;
};

/// One published score of a model, spelled out from its table. `source` is the comparison key:
/// equal benchmark and source means equal protocol.
struct ScoreRow {
  std::string model_id, benchmark;
  double score = 0;
  std::string unit, reasoning_mode, reported_by, date, source;
};

struct TariffBand {
  std::optional<double> upto_kwh;  // absent: the open top band
  double price_per_kwh = 0;
  double basic_fee = 0;  // per month, for a customer who ends in this band
};
struct TariffPeriod {
  std::string name, days, from,
      to;  // days: all, weekdays, "weekend,holiday"; HH:MM, may run past midnight
  double price_per_kwh = 0;
};
struct TariffSeason {
  std::string name;
  std::vector<std::uint32_t> months;
  std::vector<TariffBand> bands;
  std::vector<TariffPeriod> periods;
};
struct TariffRow {
  std::string id;
  std::vector<std::string> aliases;
  std::string country, region, name, currency, kind;  // kind: flat, tiered, tou
  std::optional<double> price_per_kwh;
  bool tax_included = true;
  std::optional<double> vat_rate, fund_rate, rebate_fraction;
  std::optional<double> fixed_per_day, fixed_per_month, minimum_per_month;
  std::optional<double> adders_per_kwh;  // sum of levies
  std::optional<double> baseline_credit_per_kwh;
  std::optional<double> average_per_kwh;  // published mean over all bands
  std::optional<double> surcharge_above_kwh, surcharge_per_kwh;
  std::string band_period;  // month, day, year
  std::vector<TariffBand> bands;
  std::vector<TariffPeriod> periods;
  std::vector<TariffSeason> seasons;
  std::string effective_from, effective_until, note;
  RowOrigin origin;
};

struct CarbonRow {
  std::string id, name;  // id: ISO 3166 alpha-3, or the name of a region
  double g_co2_per_kwh = 0;
  std::uint32_t year = 0;
  std::optional<double> second_g_co2_per_kwh;  // of another source
  std::optional<std::uint32_t> second_year;
  RowOrigin origin;
};

struct FxRow {
  std::string id;  // currency
  double per_usd = 1;
  RowOrigin origin;
};

struct ApiPriceRow {
  std::string id, provider, model, name, currency;
  double input_per_mtok = 0, output_per_mtok = 0;
  std::optional<double> cached_input_per_mtok, long_context_above_tokens,
      long_context_input_per_mtok, long_context_output_per_mtok;
  std::optional<bool> open_weights;
  std::optional<std::uint64_t> context_tokens;
  std::string price_from, note;  // price_from: date of an announced price
  RowOrigin origin;
};

struct SubscriptionRow {
  std::string id, name;
  double usd_per_month = 0;
  std::optional<double> usd_per_month_annual;  // paid a year ahead
  std::string note;
  RowOrigin origin;
};

/// A GPU by the hour at somebody else's.
struct RentalRow {
  std::string id, gpu_id;
  double usd_per_hour = 0;
  RowOrigin origin;
};

/// What somebody saw or argued, in words: kept because a figure elsewhere rests on it.
struct StatementRow {
  std::string id, topic, subject_id, words;  // subject_id: a GPU or link, or ""
  RowOrigin origin;
};

struct LinkRow {
  std::string id, name, kind;
  double one_way_bytes_per_s = 0;
  double practical_fraction = 1;
  std::optional<std::uint32_t> gen, lanes;
  std::optional<double> latency_s;
  std::string note;
  RowOrigin origin;
};

/// A whole computer that people name: "Mac Studio M3 Ultra", "DGX Spark", "Raspberry Pi 5",
/// "Framework Desktop".
struct SystemRow {
  std::string id, name;
  std::vector<std::string> aliases;
  std::string cpu_id, gpu_id;  // "" when there is none of that kind
  std::uint32_t gpu_count = 1;
  std::vector<std::uint64_t> memory_bytes;  // sold sizes, first is the common one
  std::string form;                         // desktop, laptop, mini, board, phone, server
  std::optional<double> idle_watts, max_watts, price_usd;
  std::string note;
  RowOrigin origin;
};

/// Measured power at points, and the defaults chosen from them.
struct PowerPointRow {
  std::string id, gpu_id, system, phase, model, engine;  // phase: decode, prefill, idle, wall_peak
  std::optional<double> draw_watts;
  std::optional<double> cap_watts, fraction_of_tdp, tokens_per_s;
  std::vector<double> range_watts, energy_j_per_token;
  std::uint32_t devices = 1;
  std::string note;
  RowOrigin origin;
};

/// Efficiency of a power supply class at its load points.
struct PsuRow {
  std::string id;  // "80 Plus Gold"
  std::vector<double> load_fraction, efficiency;
  std::uint32_t voltage = 115;
  std::string note;
  RowOrigin origin;
};

/// A judgement that stands in where nothing is known, with its reason:
/// "idle_w.desktop_board_cpu_ram", "host.memory_bytes".
struct DefaultRow {
  std::string id;
  double value = 0;
  std::string text;  // for a default that is a name: a CPU id, a power supply class
  std::string unit, words;
  RowOrigin origin;
};

/// What a class of devices reaches of its ceilings, as one factor of a product: a device's figure
/// is the product over all rows that match it, from the row without a class (absolute values) to
/// the most special ones (multipliers). planner/device_factors.h says what each figure means.
struct SpeedFactorRow {
  std::string id;
  std::string runtime, backend, vendor, arch, form, device;  // "" matches all; device: a row's id
  std::string tensor_type;                                   // "" : not of one type of weights
  std::optional<double> read, vector, cache_read, matmul, attention, score_flops, activation,
      expert_read, expert_matmul, half_tokens, expert_half_tokens, product_s, pass_s,
      power_exponent;
  /// Standard error of the natural logarithm of each figure, in the order of the figures present.
  std::vector<double> ln_errors;
  std::uint32_t decode_rows = 0, prefill_rows = 0, devices = 0;  // that it was fitted to
  RowOrigin origin;
};

/// How far published speeds lay from what the factors predict when the whole device is left out of
/// their fit: what bands are made of. The row that says most (situation, then backend) counts. With
/// `known_device` it was other models of the device that were in the fit.
struct SpeedAccuracyRow {
  std::string id;
  std::string phase;      // decode, prefill
  std::string backend;    // "" any
  std::string situation;  // plain, depth, several_gpus, experts, offload, cpu, batch; "" any
  bool known_device = false;
  std::uint32_t rows = 0, devices = 0;
  double median_error = 0, p90_error = 0;  // |measured / predicted - 1|
  double device_median_error = 0;          // median over devices of each one's median error
  double low = 0, high = 0;                // measured over predicted: the ends of a 90 % band
  double coverage = 0;                     // share of left-out rows inside the band
  /// Of bandwidth / bytes x one constant (prefill: peak / FLOPs x one), on the same rows.
  std::optional<double> naive_median_error, naive_p90_error;
  RowOrigin origin;
};

}  // namespace hwdb
