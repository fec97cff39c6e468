// SPDX-License-Identifier: MIT
#pragma once

#include "hwdb/rows.h"

/// The one field table of each row struct: reading JSON, writing the embedded form and reading it
/// back are visitors of these. A visitor is called with key and member, in this order. What is not
/// named here is not stored.
namespace hwdb::row_fields {

template <class V>
void fields(V& v, RowOrigin& r) {
  v("source", r.source);
  v("as_of", r.as_of);
  v("verified", r.verified);
  v("unverified", r.unverified);
  v("derived", r.derived);
}

template <class V>
void fields(V& v, GpuLowPower& r) {
  v("mem_bw_bytes_per_s", r.mem_bw_bytes_per_s);
  v("peak_fp32_flops_per_s", r.peak_fp32_flops_per_s);
  v("tdp_watts", r.tdp_watts);
}

template <class V>
void fields(V& v, GpuRow& r) {
  v("id", r.id);
  v("name", r.name);
  v("aliases", r.aliases);
  v("vendor", r.vendor);
  v("arch", r.arch);
  v("chip", r.chip);
  v("release_year", r.release_year);
  v("kind", r.kind);
  v("form", r.form);
  v("memory_bytes", r.memory_bytes);
  v("memory_bytes_reported", r.memory_bytes_reported);
  v("memory_type", r.memory_type);
  v("memory_bus_bits", r.memory_bus_bits);
  v("memory_rate_mt_per_s", r.memory_rate_mt_per_s);
  v("memory_rate_basis", r.memory_rate_basis);
  v("mem_bw_bytes_per_s", r.mem_bw_bytes_per_s);
  v("mem_bw_platform_dependent", r.mem_bw_platform_dependent);
  v("memory_platform", r.memory_platform);
  v("peak_fp32_flops_per_s", r.peak_fp32_flops_per_s);
  v("peak_fp16_flops_per_s", r.peak_fp16_flops_per_s);
  v("peak_fp16_matrix_flops_per_s", r.peak_fp16_matrix_flops_per_s);
  v("peak_fp16_matrix_fp32acc_flops_per_s", r.peak_fp16_matrix_fp32acc_flops_per_s);
  v("peak_int8_ops_per_s", r.peak_int8_ops_per_s);
  v("peak_fp8_flops_per_s", r.peak_fp8_flops_per_s);
  v("peak_fp4_flops_per_s", r.peak_fp4_flops_per_s);
  v("peak_int4_ops_per_s", r.peak_int4_ops_per_s);
  v("matrix_engine", r.matrix_engine);
  v("compute_units", r.compute_units);
  v("boost_mhz", r.boost_mhz);
  v("cuda_cc", r.cuda_cc);
  v("gfx_target", r.gfx_target);
  v("tdp_watts", r.tdp_watts);
  v("idle_watts", r.idle_watts);
  v("system_idle_watts", r.system_idle_watts);
  v("tgp_range_watts", r.tgp_range_watts);
  v("low_power", r.low_power);
  v("pcie_gen", r.pcie_gen);
  v("pcie_lanes", r.pcie_lanes);
  v("nvlink", r.nvlink);
  v("devices_visible", r.devices_visible);
  v("pci_ids", r.pci_ids);
  v("price_usd", r.price_usd);
  v("price_note", r.price_note);
  v("used_price_usd", r.used_price_usd);
  v("used_price_date", r.used_price_date);
  v("note", r.note);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, MemoryOption& r) {
  v("type", r.type);
  v("rate_mt_per_s", r.rate_mt_per_s);
  v("mem_bw_bytes_per_s", r.mem_bw_bytes_per_s);
}

template <class V>
void fields(V& v, CpuRow& r) {
  v("id", r.id);
  v("name", r.name);
  v("aliases", r.aliases);
  v("vendor", r.vendor);
  v("family", r.family);
  v("release_year", r.release_year);
  v("cores", r.cores);
  v("threads", r.threads);
  v("p_cores", r.p_cores);
  v("e_cores", r.e_cores);
  v("lpe_cores", r.lpe_cores);
  v("memory_channels", r.memory_channels);
  v("memory_bus_bits", r.memory_bus_bits);
  v("memory_type", r.memory_type);
  v("memory_rate_mt_per_s", r.memory_rate_mt_per_s);
  v("mem_bw_bytes_per_s", r.mem_bw_bytes_per_s);
  v("measured_mem_bw_bytes_per_s", r.measured_mem_bw_bytes_per_s);
  v("memory_options", r.memory_options);
  v("max_memory_bytes", r.max_memory_bytes);
  v("isa", r.isa);
  v("tdp_watts", r.tdp_watts);
  v("turbo_watts", r.turbo_watts);
  v("ctdp_range_watts", r.ctdp_range_watts);
  v("idle_system_watts", r.idle_system_watts);
  v("igpu_id", r.igpu_id);
  v("npu_ops_per_s", r.npu_ops_per_s);
  v("note", r.note);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, PresetRow& r) {
  v("id", r.id);
  v("ftype_id", r.ftype_id);
  v("default_type", r.default_type);
  v("imatrix", r.imatrix);
  v("community", r.community);
  v("bpw_llama_3_1_8b", r.bpw_llama_3_1_8b);
  v("words", r.words);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, FormatRow& r) {
  v("id", r.id);
  v("bits_per_weight", r.bits_per_weight);
  v("runtime", r.runtime);
  v("words", r.words);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, QuantQualityRow& r) {
  v("model", r.model);
  v("quant", r.quant);
  v("bpw", r.bpw);
  v("ppl", r.ppl);
  v("ppl_delta", r.ppl_delta);
  v("kld_mean", r.kld_mean);
  v("kld_99", r.kld_99);
  v("top1_agree_fraction", r.top1_agree_fraction);
  v("size_bytes", r.size_bytes);
  v("dataset", r.dataset);
  v("notes", r.notes);
  v("source", r.source);
  v("url", r.url);
}

template <class V>
void fields(V& v, ScoreEntry& r) {
  v("model_id", r.model_id);
  v("score", r.score);
  v("reported_by", r.reported_by);
}

template <class V>
void fields(V& v, ScoreTableRow& r) {
  v("benchmark", r.benchmark);
  v("source", r.source);
  v("reasoning_mode", r.reasoning_mode);
  v("reported_by", r.reported_by);
  v("unit", r.unit);
  v("date", r.date);
  v("url", r.url);
  v("scores", r.scores);
}

template <class V>
void fields(V& v, TariffBand& r) {
  v("upto_kwh", r.upto_kwh);
  v("price_per_kwh", r.price_per_kwh);
  v("basic_fee", r.basic_fee);
}

template <class V>
void fields(V& v, TariffPeriod& r) {
  v("name", r.name);
  v("days", r.days);
  v("from", r.from);
  v("to", r.to);
  v("price_per_kwh", r.price_per_kwh);
}

template <class V>
void fields(V& v, TariffSeason& r) {
  v("name", r.name);
  v("months", r.months);
  v("bands", r.bands);
  v("periods", r.periods);
}

template <class V>
void fields(V& v, TariffRow& r) {
  v("id", r.id);
  v("aliases", r.aliases);
  v("country", r.country);
  v("region", r.region);
  v("name", r.name);
  v("currency", r.currency);
  v("kind", r.kind);
  v("price_per_kwh", r.price_per_kwh);
  v("tax_included", r.tax_included);
  v("vat_rate", r.vat_rate);
  v("fund_rate", r.fund_rate);
  v("rebate_fraction", r.rebate_fraction);
  v("fixed_per_day", r.fixed_per_day);
  v("fixed_per_month", r.fixed_per_month);
  v("minimum_per_month", r.minimum_per_month);
  v("adders_per_kwh", r.adders_per_kwh);
  v("baseline_credit_per_kwh", r.baseline_credit_per_kwh);
  v("average_per_kwh", r.average_per_kwh);
  v("surcharge_above_kwh", r.surcharge_above_kwh);
  v("surcharge_per_kwh", r.surcharge_per_kwh);
  v("band_period", r.band_period);
  v("bands", r.bands);
  v("periods", r.periods);
  v("seasons", r.seasons);
  v("effective_from", r.effective_from);
  v("effective_until", r.effective_until);
  v("note", r.note);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, CarbonRow& r) {
  v("id", r.id);
  v("name", r.name);
  v("g_co2_per_kwh", r.g_co2_per_kwh);
  v("year", r.year);
  v("second_g_co2_per_kwh", r.second_g_co2_per_kwh);
  v("second_year", r.second_year);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, FxRow& r) {
  v("id", r.id);
  v("per_usd", r.per_usd);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, ApiPriceRow& r) {
  v("id", r.id);
  v("provider", r.provider);
  v("model", r.model);
  v("name", r.name);
  v("currency", r.currency);
  v("input_per_mtok", r.input_per_mtok);
  v("output_per_mtok", r.output_per_mtok);
  v("cached_input_per_mtok", r.cached_input_per_mtok);
  v("long_context_above_tokens", r.long_context_above_tokens);
  v("long_context_input_per_mtok", r.long_context_input_per_mtok);
  v("long_context_output_per_mtok", r.long_context_output_per_mtok);
  v("open_weights", r.open_weights);
  v("context_tokens", r.context_tokens);
  v("price_from", r.price_from);
  v("note", r.note);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, SubscriptionRow& r) {
  v("id", r.id);
  v("name", r.name);
  v("usd_per_month", r.usd_per_month);
  v("usd_per_month_annual", r.usd_per_month_annual);
  v("note", r.note);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, RentalRow& r) {
  v("id", r.id);
  v("gpu_id", r.gpu_id);
  v("usd_per_hour", r.usd_per_hour);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, StatementRow& r) {
  v("id", r.id);
  v("topic", r.topic);
  v("subject_id", r.subject_id);
  v("words", r.words);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, LinkRow& r) {
  v("id", r.id);
  v("name", r.name);
  v("kind", r.kind);
  v("one_way_bytes_per_s", r.one_way_bytes_per_s);
  v("practical_fraction", r.practical_fraction);
  v("gen", r.gen);
  v("lanes", r.lanes);
  v("latency_s", r.latency_s);
  v("note", r.note);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, SystemRow& r) {
  v("id", r.id);
  v("name", r.name);
  v("aliases", r.aliases);
  v("cpu_id", r.cpu_id);
  v("gpu_id", r.gpu_id);
  v("gpu_count", r.gpu_count);
  v("memory_bytes", r.memory_bytes);
  v("form", r.form);
  v("idle_watts", r.idle_watts);
  v("max_watts", r.max_watts);
  v("price_usd", r.price_usd);
  v("note", r.note);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, PowerPointRow& r) {
  v("id", r.id);
  v("gpu_id", r.gpu_id);
  v("system", r.system);
  v("phase", r.phase);
  v("model", r.model);
  v("engine", r.engine);
  v("draw_watts", r.draw_watts);
  v("cap_watts", r.cap_watts);
  v("fraction_of_tdp", r.fraction_of_tdp);
  v("tokens_per_s", r.tokens_per_s);
  v("range_watts", r.range_watts);
  v("energy_j_per_token", r.energy_j_per_token);
  v("devices", r.devices);
  v("note", r.note);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, PsuRow& r) {
  v("id", r.id);
  v("load_fraction", r.load_fraction);
  v("efficiency", r.efficiency);
  v("voltage", r.voltage);
  v("note", r.note);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, DefaultRow& r) {
  v("id", r.id);
  v("value", r.value);
  v("text", r.text);
  v("unit", r.unit);
  v("words", r.words);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, SpeedFactorRow& r) {
  v("id", r.id);
  v("runtime", r.runtime);
  v("backend", r.backend);
  v("vendor", r.vendor);
  v("arch", r.arch);
  v("form", r.form);
  v("device", r.device);
  v("tensor_type", r.tensor_type);
  v("read", r.read);
  v("vector", r.vector);
  v("cache_read", r.cache_read);
  v("matmul", r.matmul);
  v("attention", r.attention);
  v("score_flops", r.score_flops);
  v("activation", r.activation);
  v("expert_read", r.expert_read);
  v("expert_matmul", r.expert_matmul);
  v("half_tokens", r.half_tokens);
  v("expert_half_tokens", r.expert_half_tokens);
  v("product_s", r.product_s);
  v("pass_s", r.pass_s);
  v("power_exponent", r.power_exponent);
  v("ln_errors", r.ln_errors);
  v("decode_rows", r.decode_rows);
  v("prefill_rows", r.prefill_rows);
  v("devices", r.devices);
  fields(v, r.origin);
}

template <class V>
void fields(V& v, SpeedAccuracyRow& r) {
  v("id", r.id);
  v("phase", r.phase);
  v("backend", r.backend);
  v("situation", r.situation);
  v("known_device", r.known_device);
  v("rows", r.rows);
  v("devices", r.devices);
  v("median_error", r.median_error);
  v("p90_error", r.p90_error);
  v("device_median_error", r.device_median_error);
  v("low", r.low);
  v("high", r.high);
  v("coverage", r.coverage);
  v("naive_median_error", r.naive_median_error);
  v("naive_p90_error", r.naive_p90_error);
  fields(v, r.origin);
}

}  // namespace hwdb::row_fields
