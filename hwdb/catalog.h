// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"
#include "hwdb/rows.h"

namespace hwdb {

/// The only door to the rows. Tables are decoded from the embedded rows on first use, each by
/// itself, so a command pays for what it asks. Immutable after construction but for that; safe to
/// share between threads.
class Catalog {
 public:
  /// The rows embedded at build time.
  static const Catalog& builtin();
  /// The embedded rows with those of `dir` (same layout as hwdb/data) laid over them: equal ids
  /// replace, new ids add. Errors: file.open, json.*, row.unknown_key, row.type, row.duplicate,
  /// each naming file, row and key.
  static Result<std::shared_ptr<const Catalog>> with_overrides(const std::string& dir);

  Catalog(const Catalog&) = delete;
  ~Catalog();

  const std::vector<GpuRow>& gpus() const;
  const std::vector<CpuRow>& cpus() const;
  const std::vector<ModelRow>& models() const;
  const std::vector<PresetRow>& presets() const;
  const std::vector<FormatRow>& formats() const;
  const std::vector<FormatRow>& kv_cache_types() const;
  const std::vector<QuantQualityRow>& quant_quality() const;
  /// Spelled out from score_tables().
  const std::vector<ScoreRow>& scores() const;
  const std::vector<ScoreTableRow>& score_tables() const;
  const std::vector<TariffRow>& tariffs() const;
  const std::vector<CarbonRow>& carbon() const;
  const std::vector<FxRow>& fx() const;
  const std::vector<ApiPriceRow>& api_prices() const;
  const std::vector<SubscriptionRow>& subscriptions() const;
  const std::vector<RentalRow>& rentals() const;
  const std::vector<StatementRow>& statements() const;
  const std::vector<LinkRow>& links() const;
  const std::vector<SystemRow>& systems() const;
  const std::vector<PowerPointRow>& power_points() const;
  const std::vector<PsuRow>& psus() const;
  const std::vector<DefaultRow>& defaults() const;
  const std::vector<SpeedFactorRow>& speed_factors() const;
  /// Empty while no fit has been judged.
  const std::vector<SpeedAccuracyRow>& speed_accuracy() const;
  /// A default; the id must be a row (our own mistake otherwise).
  const DefaultRow& default_row(std::string_view id) const;

  /// By id, name or alias as vendors, people and benchmark tables write them; case, spaces, dashes,
  /// "(R)" and vendor words do not matter ("RTX 4090", "NVIDIA GeForce RTX 4090" and "4090" are
  /// one), "Laptop GPU", "Mobile" and "Notebook" are one word, and a parenthesis may be ignored or
  /// be the name. Errors: name.unknown (the nearest names in the hint) and name.ambiguous (the
  /// candidates in the hint).
  ///
  /// GPUs: a memory size in the name ("A770 16GB") chooses between the sizes sold; a name that
  /// covers several builds of one product means the largest (memory, then compute units, then
  /// bandwidth), so "M3 Ultra" is the 80-core one and "A770" the 16 GB one. Processors, also of
  /// phones and boards, are found by find_cpu ("Core Ultra 7 165H", "Raspberry Pi 5", "Orion O6",
  /// "iPhone 15 Pro"); computers that people name whole by find_system ("DGX Spark", "Mac Studio M3
  /// Ultra 512GB", "Raspberry Pi 5 16GB", "Orion O6"), where a size only has to be parsed. Models:
  /// numbers may be left out ("Mistral Nemo"), an owner before '/' is ignored, and "llama3.1:8b"
  /// and "Meta-Llama-3.1-8B-Instruct" are one.
  Result<const GpuRow*> find_gpu(std::string_view name) const;
  Result<const CpuRow*> find_cpu(std::string_view name) const;
  Result<const ModelRow*> find_model(std::string_view name) const;
  Result<const TariffRow*> find_tariff(std::string_view name) const;
  Result<const LinkRow*> find_link(std::string_view name) const;
  Result<const SystemRow*> find_system(std::string_view name) const;
  Result<const PresetRow*> find_preset(std::string_view name) const;
  /// All rows with that "vendor:device" id; several when one id covers a family.
  std::vector<const GpuRow*> find_gpus_by_pci_id(std::string_view id) const;

 private:
  struct Tables;
  explicit Catalog(std::unique_ptr<Tables> tables);
  std::unique_ptr<Tables> tables_;
};

}  // namespace hwdb
