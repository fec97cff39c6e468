// SPDX-License-Identifier: MIT
#include "hwdb/catalog.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <iterator>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "hwdb/json_rows.h"
#include "hwdb/name_index.h"
#include "hwdb/names.h"
#include "hwdb/row_blob.h"
#include "hwdb/units.h"

namespace hwdb {
namespace {

// A longer text is no name: only its beginning is looked up.
constexpr std::size_t kLongestName = 256;

/// Lays the rows of `over` on `base`: equal keys replace, new ones are added.
template <class Row>
void overlay(std::vector<Row>&& over, std::vector<Row>* base) {
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < base->size(); ++i) places.emplace(row_key((*base)[i]), i);
  for (Row& row : over) {
    if (const auto it = places.find(row_key(row)); it != places.end()) {
      (*base)[it->second] = std::move(row);
    } else {
      base->push_back(std::move(row));
    }
  }
}

std::vector<std::string> names_of(const GpuRow& row) {
  std::vector<std::string> names = {row.name, row.id};
  names.insert(names.end(), row.aliases.begin(), row.aliases.end());
  return names;
}
std::vector<std::string> names_of(const CpuRow& row) {
  std::vector<std::string> names = {row.name, row.id};
  // "Raspberry Pi 5 (BCM2712)" is also known without its chip.
  if (const auto open = row.name.find(" ("); open != std::string::npos) {
    names.push_back(row.name.substr(0, open));
  }
  names.insert(names.end(), row.aliases.begin(), row.aliases.end());
  return names;
}
std::vector<std::string> names_of(const SystemRow& row) {
  std::vector<std::string> names = {row.name, row.id};
  names.insert(names.end(), row.aliases.begin(), row.aliases.end());
  return names;
}
std::vector<std::string> names_of(const ModelRow& row) {
  std::vector<std::string> names = {row.id};
  names.insert(names.end(), row.aliases.begin(), row.aliases.end());
  names.insert(names.end(), row.quality_ids.begin(), row.quality_ids.end());
  return names;
}
std::vector<std::string> names_of(const TariffRow& row) {
  std::vector<std::string> names = {row.id};
  names.insert(names.end(), row.aliases.begin(), row.aliases.end());
  return names;
}
std::vector<std::string> names_of(const LinkRow& row) {
  return {row.name, row.id};
}
std::vector<std::string> names_of(const PresetRow& row) {
  return {row.id};
}

std::string shown(const GpuRow& row) {
  return row.name;
}
std::string shown(const CpuRow& row) {
  return row.name;
}
std::string shown(const SystemRow& row) {
  return row.name;
}
std::string shown(const LinkRow& row) {
  return row.name;
}
template <class Row>
std::string shown(const Row& row) {
  return row.id;
}

/// An index of one table, made at the first look-up by name.
class LazyIndex {
 public:
  template <class Row>
  const NameIndex& of(const std::vector<Row>& rows, const NameRules& rules) {
    std::call_once(once_, [&] {
      index_ = std::make_unique<NameIndex>(rules);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        for (const std::string& name : names_of(rows[i])) {
          index_->add(static_cast<std::uint32_t>(i), name);
        }
      }
    });
    return *index_;
  }

 private:
  std::once_flag once_;
  std::unique_ptr<NameIndex> index_;
};

Error unknown(std::string_view kind, std::string_view name, const NameIndex& index) {
  const std::vector<std::string> nearest = index.nearest(name);
  return {"name.unknown", "no " + std::string(kind) + " of that name is known", std::string(name),
          nearest.empty() ? std::string() : "did you mean " + list_names(nearest) + "?"};
}

template <class Row>
Error ambiguous(std::string_view kind, std::string_view name, const std::vector<const Row*>& rows) {
  std::vector<std::string> names;
  for (const Row* row : rows) {
    if (names.size() < 8) names.push_back(shown(*row));
  }
  return {"name.ambiguous", "several " + std::string(kind) + " have that name", std::string(name),
          "name one of " + list_names(names)};
}

/// The row of that id exactly, or null.
template <class Row>
const Row* by_id(const std::vector<Row>& rows, std::string_view id) {
  const auto it = std::ranges::find(rows, id, &Row::id);
  return it == rows.end() ? nullptr : &*it;
}

template <class Row>
bool sold_with(const Row& row, std::uint64_t gib) {
  return std::ranges::find(row.memory_bytes, gib * kGiB) != row.memory_bytes.end();
}

/// The rows one of whose names has the same letters: what most look-ups are, answered without an
/// index.
template <class Row>
std::vector<const Row*> by_letters(const std::vector<Row>& rows, std::string_view name) {
  std::vector<const Row*> found;
  for (const Row& row : rows) {
    bool hit = same_letters(row.id, name) || same_letters(shown(row), name);
    if constexpr (requires { row.aliases; }) {
      hit = hit || std::ranges::any_of(row.aliases, [&](const std::string& alias) {
              return same_letters(alias, name);
            });
    }
    if (hit) found.push_back(&row);
  }
  return found;
}

/// The one row of a name, for kinds whose rows do not come in variants.
template <class Row>
Result<const Row*> find_single(std::string_view kind, std::string_view kinds, std::string_view name,
                               const std::vector<Row>& rows, const NameRules& rules,
                               LazyIndex* names) {
  name = name.substr(0, kLongestName);
  if (const Row* row = by_id(rows, name)) return row;
  std::vector<const Row*> candidates = by_letters(rows, name);
  if (candidates.size() == 1) return candidates[0];
  const NameIndex& index = names->of(rows, rules);
  const NameIndex::Found found = index.find(name);
  if (found.rows.empty()) return unknown(kind, name, index);
  if (found.rows.size() == 1) return &rows[found.rows[0]];
  candidates.clear();
  for (std::uint32_t row : found.rows) candidates.push_back(&rows[row]);
  if constexpr (requires(Row row) { row.memory_bytes; }) {
    std::vector<const Row*> of_size;
    std::ranges::copy_if(candidates, std::back_inserter(of_size),
                         [&](const Row* row) { return sold_with(*row, found.memory_gib); });
    if (of_size.size() == 1) return of_size[0];
  }
  return ambiguous(kinds, name, candidates);
}

/// The name without sizes and core counts: builds of one product share it.
std::string product(const GpuRow& row) {
  std::string key;
  std::vector<std::string> words = name_words(row.name);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool counted = i + 1 < words.size() && (words[i + 1] == "gb" || words[i + 1] == "core");
    if (counted || words[i] == "gb" || words[i] == "core" || words[i] == "gpu") continue;
    key += words[i];
  }
  return key;
}

/// Larger builds first: memory, then compute units, then bandwidth.
bool larger(const GpuRow* a, const GpuRow* b) {
  const auto size = [](const GpuRow* row) {
    return row->memory_bytes.empty() ? 0 : *std::ranges::max_element(row->memory_bytes);
  };
  return std::tuple(size(a), a->compute_units.value_or(0), a->mem_bw_bytes_per_s.value_or(0)) >
         std::tuple(size(b), b->compute_units.value_or(0), b->mem_bw_bytes_per_s.value_or(0));
}

}  // namespace

struct Catalog::Tables {
  explicit Tables(std::string_view bytes) : blob(bytes) {}

  /// The table, decoded at its first use; rows laid over it come with it.
  template <class Row>
  const std::vector<Row>& get(std::vector<Row> RowTables::*table) {
    std::call_once(decoded[table_index(table)], [&] {
      rows.*table = blob.read(table);
      if (overrides) overlay(std::move((*overrides).*table), &(rows.*table));
    });
    return rows.*table;
  }

  RowBlob blob;
  std::unique_ptr<RowTables> overrides;
  RowTables rows;
  std::array<std::once_flag, kTableCount> decoded;
  std::vector<ScoreRow> scores;
  std::once_flag scores_made;
  LazyIndex gpu_names, cpu_names, system_names, model_names, tariff_names, link_names, preset_names;
};

Catalog::Catalog(std::unique_ptr<Tables> tables) : tables_(std::move(tables)) {}
Catalog::~Catalog() = default;

const Catalog& Catalog::builtin() {
  static const Catalog catalog(std::make_unique<Tables>(embedded_rows()));
  return catalog;
}

Result<std::shared_ptr<const Catalog>> Catalog::with_overrides(const std::string& dir) {
  auto over = read_row_tables(dir);
  if (!over) return over.error();
  auto tables = std::make_unique<Tables>(embedded_rows());
  tables->overrides = std::make_unique<RowTables>(std::move(*over));
  return std::shared_ptr<const Catalog>(new Catalog(std::move(tables)));
}

const std::vector<GpuRow>& Catalog::gpus() const {
  return tables_->get(&RowTables::gpus);
}
const std::vector<CpuRow>& Catalog::cpus() const {
  return tables_->get(&RowTables::cpus);
}
const std::vector<ModelRow>& Catalog::models() const {
  return tables_->get(&RowTables::models);
}
const std::vector<PresetRow>& Catalog::presets() const {
  return tables_->get(&RowTables::presets);
}
const std::vector<FormatRow>& Catalog::formats() const {
  return tables_->get(&RowTables::formats);
}
const std::vector<FormatRow>& Catalog::kv_cache_types() const {
  return tables_->get(&RowTables::kv_cache_types);
}
const std::vector<QuantQualityRow>& Catalog::quant_quality() const {
  return tables_->get(&RowTables::quant_quality);
}
const std::vector<ScoreTableRow>& Catalog::score_tables() const {
  return tables_->get(&RowTables::score_tables);
}
const std::vector<TariffRow>& Catalog::tariffs() const {
  return tables_->get(&RowTables::tariffs);
}
const std::vector<CarbonRow>& Catalog::carbon() const {
  return tables_->get(&RowTables::carbon);
}
const std::vector<FxRow>& Catalog::fx() const {
  return tables_->get(&RowTables::fx);
}
const std::vector<ApiPriceRow>& Catalog::api_prices() const {
  return tables_->get(&RowTables::api_prices);
}
const std::vector<SubscriptionRow>& Catalog::subscriptions() const {
  return tables_->get(&RowTables::subscriptions);
}
const std::vector<RentalRow>& Catalog::rentals() const {
  return tables_->get(&RowTables::rentals);
}
const std::vector<StatementRow>& Catalog::statements() const {
  return tables_->get(&RowTables::statements);
}
const std::vector<LinkRow>& Catalog::links() const {
  return tables_->get(&RowTables::links);
}
const std::vector<SystemRow>& Catalog::systems() const {
  return tables_->get(&RowTables::systems);
}
const std::vector<PowerPointRow>& Catalog::power_points() const {
  return tables_->get(&RowTables::power_points);
}
const std::vector<PsuRow>& Catalog::psus() const {
  return tables_->get(&RowTables::psus);
}
const std::vector<DefaultRow>& Catalog::defaults() const {
  return tables_->get(&RowTables::defaults);
}
const std::vector<SpeedFactorRow>& Catalog::speed_factors() const {
  return tables_->get(&RowTables::speed_factors);
}
const std::vector<SpeedAccuracyRow>& Catalog::speed_accuracy() const {
  return tables_->get(&RowTables::speed_accuracy);
}

const std::vector<ScoreRow>& Catalog::scores() const {
  std::call_once(tables_->scores_made, [&] {
    std::size_t count = 0;
    for (const ScoreTableRow& table : score_tables()) count += table.scores.size();
    tables_->scores.reserve(count);
    for (const ScoreTableRow& table : score_tables()) {
      for (const ScoreEntry& entry : table.scores) {
        tables_->scores.push_back(
            {entry.model_id, table.benchmark, entry.score, table.unit, table.reasoning_mode,
             entry.reported_by.empty() ? table.reported_by : entry.reported_by, table.date,
             table.source});
      }
    }
  });
  return tables_->scores;
}

const DefaultRow& Catalog::default_row(std::string_view id) const {
  const DefaultRow* row = by_id(defaults(), id);
  assert(row != nullptr);
  return *row;
}

Result<const GpuRow*> Catalog::find_gpu(std::string_view name) const {
  name = name.substr(0, kLongestName);
  const std::vector<GpuRow>& rows = gpus();
  if (const GpuRow* row = by_id(rows, name)) return row;
  std::vector<const GpuRow*> candidates = by_letters(rows, name);
  if (!candidates.empty()) return *std::ranges::min_element(candidates, larger);
  const NameIndex& index = tables_->gpu_names.of(rows, kGpuNames);
  const NameIndex::Found found = index.find(name);
  if (found.rows.empty()) return unknown("GPU", name, index);
  for (std::uint32_t row : found.rows) candidates.push_back(&rows[row]);
  if (!found.exact) {
    for (const GpuRow* row : candidates) {
      if (product(*row) != product(*candidates[0])) return ambiguous("GPUs", name, candidates);
    }
  }
  if (found.memory_gib > 0) {
    std::vector<const GpuRow*> of_size;
    std::ranges::copy_if(candidates, std::back_inserter(of_size),
                         [&](const GpuRow* row) { return sold_with(*row, found.memory_gib); });
    // The memory of a unified machine is the machine's, whatever sizes the row knows.
    const bool fixed = std::ranges::all_of(candidates, [](const GpuRow* row) {
      return row->kind == "discrete" || row->kind == "accelerator";
    });
    if (of_size.empty() && fixed) {
      std::vector<std::string> names;
      for (const GpuRow* row : candidates) names.push_back(row->name);
      return Error{"name.unknown",
                   "no such GPU with " + std::to_string(found.memory_gib) + " GB is known",
                   std::string(name), "known: " + list_names(names)};
    }
    if (!of_size.empty()) candidates = of_size;
  }
  return *std::ranges::min_element(candidates, larger);
}

Result<const CpuRow*> Catalog::find_cpu(std::string_view name) const {
  return find_single("CPU", "CPUs", name, cpus(), kCpuNames, &tables_->cpu_names);
}

Result<const ModelRow*> Catalog::find_model(std::string_view name) const {
  const std::size_t owner = name.rfind('/');
  const std::string_view own = owner == name.npos ? name : name.substr(owner + 1);
  return find_single("model", "models", own, models(), kModelNames, &tables_->model_names);
}

Result<const TariffRow*> Catalog::find_tariff(std::string_view name) const {
  return find_single("tariff", "tariffs", name, tariffs(), kTariffNames, &tables_->tariff_names);
}

Result<const LinkRow*> Catalog::find_link(std::string_view name) const {
  return find_single("link", "links", name, links(), kLinkNames, &tables_->link_names);
}

Result<const SystemRow*> Catalog::find_system(std::string_view name) const {
  return find_single("computer", "computers", name, systems(), kSystemNames,
                     &tables_->system_names);
}

Result<const PresetRow*> Catalog::find_preset(std::string_view name) const {
  return find_single("preset", "presets", name, presets(), kPresetNames, &tables_->preset_names);
}

std::vector<const GpuRow*> Catalog::find_gpus_by_pci_id(std::string_view id) const {
  std::vector<const GpuRow*> found;
  for (const GpuRow& row : gpus()) {
    if (std::ranges::find(row.pci_ids, id) != row.pci_ids.end()) found.push_back(&row);
  }
  return found;
}

}  // namespace hwdb
