// SPDX-License-Identifier: MIT
#include "planner/cli/session.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "hwdb/file_reader.h"
#include "hwdb/model_file.h"
#include "hwdb/model_stores.h"
#include "hwdb/names.h"
#include "hwdb/op_counts.h"
#include "planner/cli/calibration_store.h"
#include "planner/cli/profile.h"
#include "planner/rig/rig.h"
#include "planner/tariff_price.h"
#include "probes/measure/measure_machine.h"

namespace cli {
namespace {

using hwdb::Error;
using hwdb::Result;
using ModelPointer = std::shared_ptr<const planner::ResolvedModel>;
using MachinePointer = std::shared_ptr<const hwdb::Machine>;

constexpr std::string_view kDefaultTariff = "us-average";
constexpr std::string_view kThis = "this";

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

/// True for text that can only mean something on disk or in a store.
bool looks_like_path(const std::string& name) {
  return name.starts_with('.') || name.starts_with('/') || name.starts_with('~') ||
         name.ends_with(".gguf") || name.ends_with(".json") || name.ends_with(".safetensors");
}

}  // namespace

/// What was looked up, so that it is looked up once.
struct Session::Records {
  std::shared_ptr<const hwdb::Catalog> overrides;
  std::optional<planner::Assumptions> assumptions;
  std::optional<hwdb::StateStore> store;
  MachinePointer here, unmeasured;
  std::vector<planner::Calibration> calibrations;     // of `here`
  std::map<std::string, hwdb::TariffRow> own_prices;  // by the text they were given as
  std::vector<std::string> notices;
};

Session::Session(const Options& options, const Environment& environment,
                 std::function<bool(std::string_view)> write)
    : options_(options),
      environment_(environment),
      write_(std::move(write)),
      records_(std::make_unique<Records>()) {}
Session::~Session() = default;

hwdb::Status Session::open_catalog() {
  if (options_.hwdb_dir.empty()) {
    catalog_ = &hwdb::Catalog::builtin();
    return hwdb::Ok{};
  }
  auto catalog = hwdb::Catalog::with_overrides(options_.hwdb_dir);
  if (!catalog) return catalog.error();
  records_->overrides = *catalog;
  catalog_ = records_->overrides.get();
  return hwdb::Ok{};
}

const planner::Assumptions& Session::assumptions() {
  if (!records_->assumptions) records_->assumptions = planner::assumptions_from(*catalog_);
  return *records_->assumptions;
}

hwdb::StateStore* Session::store() {
  if (options_.no_state) return nullptr;
  if (!records_->store) {
    hwdb::StateStoreOptions store;
    store.folder = options_.state_dir.empty()
                       ? hwdb::state_folders(environment_.lookup, environment_.home).state
                       : options_.state_dir;
    if (store.folder.empty()) return nullptr;
    store.on_notice = [records = records_.get()](const std::string& text) {
      records->notices.push_back(text);
    };
    records_->store.emplace(std::move(store));
  }
  return &*records_->store;
}

const std::vector<std::string>& Session::notices() const {
  return records_->notices;
}

Result<MachinePointer> Session::machine(const std::string& rig) {
  const auto shared = [](hwdb::Machine machine) {
    return std::make_shared<const hwdb::Machine>(std::move(machine));
  };
  if (rig == kThis) {
    if (!records_->here) {
      const auto detected = detect(false);
      if (!detected) return detected.error();
      auto here = completed(detected->machine);
      if (!here) return here.error();
      load_calibrations(detected->machine, &*here);
      records_->here = shared(std::move(*here));
    }
    return records_->here;
  }
  if (rig.ends_with(".json")) {
    auto file = hwdb::FileReader::open(rig);
    if (!file) return file.error();
    auto text = file->read_text(hwdb::limits::kConfigJsonBytes);
    if (!text) return text.error();
    auto json = hwdb::parse_json(*text, rig);
    if (!json) return json.error();
    auto machine = hwdb::machine_from_json(*json, rig);
    if (!machine) return machine.error();
    return shared(std::move(*machine));
  }
  // A saved name goes before words, so that "office" can be a machine; words that are no valid
  // file name are no saved name either.
  if (hwdb::StateStore* saved = store()) {
    auto machine = saved->load_machine(rig);
    if (machine && *machine) return shared(std::move(**machine));
    if (!machine && machine.error().code != "name.invalid") return machine.error();
  }
  auto machine = planner::machine_from_words(*catalog_, rig);
  if (!machine) return machine.error();
  return shared(std::move(*machine));
}

Result<probes::Detected> Session::detect(bool complete) {
  probes::DetectOptions how;
  how.sysroot = options_.sysroot;
  how.complete = complete;
  if (!how.sysroot.empty()) {
    if (auto status = probes::check_sysroot(how.sysroot); !status) return status.error();
  }
  return probes::detect_machine(how);
}

hwdb::Machine Session::completed(const hwdb::Machine& detected,
                                 const std::vector<hwdb::Reading>& readings) const {
  hwdb::Machine machine = detected;
  // Bandwidths first, so that nothing is assumed in their place; rates are held against the
  // catalogue's afterwards.
  std::vector<hwdb::Reading> bandwidths;
  std::ranges::copy_if(readings, std::back_inserter(bandwidths),
                       [](const hwdb::Reading& r) { return r.unit == "B/s"; });
  probes::apply_readings(bandwidths, &machine);
  planner::complete_from_catalog(*catalog_, &machine);
  machine.readings.clear();
  probes::apply_readings(readings, &machine);
  return machine;
}

Result<hwdb::Machine> Session::completed(const hwdb::Machine& detected) {
  std::optional<Profile> profile;
  // A recorded machine has no profile: what is stored was measured on this one.
  if (options_.sysroot.empty()) {
    auto stored = load_profile(store(), detected);
    if (!stored) return stored.error();
    profile = *std::move(stored);
  }
  if (!profile) return completed(detected, {});
  if (profile->differences.empty()) return completed(detected, profile->machine.readings);
  hwdb::Machine machine = completed(detected, {});
  std::string why;
  for (const std::string& difference : profile->differences)
    why += (why.empty() ? "" : "; ") + difference;
  machine.notes.push_back(fmt::format(
      "What was measured on {} is not used, the machine has changed ({}): tokwatt probe --measure.",
      profile->saved_at.substr(0, 10), why));
  return machine;
}

void Session::load_calibrations(const hwdb::Machine& detected, hwdb::Machine* here) {
  // A recorded machine has none: what is stored was measured on this one.
  if (!options_.sysroot.empty()) return;
  auto stored = load_calibration(store(), detected);
  if (!stored) {
    records_->notices.push_back("calibrations are not used: " + stored.error().what);
    return;
  }
  if (!stored->has_value()) return;
  if ((*stored)->differences.empty()) {
    records_->calibrations = std::move((*stored)->record.calibrations);
    return;
  }
  std::string why;
  for (const std::string& difference : (*stored)->differences)
    why += (why.empty() ? "" : "; ") + difference;
  here->notes.push_back(
      fmt::format("The calibration of {} is not used, the machine has changed ({}): tokwatt "
                  "calibrate.",
                  (*stored)->saved_at.substr(0, 10), why));
}

Result<MachinePointer> Session::unmeasured_machine(const std::string& rig) {
  if (rig != kThis) return machine(rig);
  if (!records_->unmeasured) {
    auto detected = detect(false);
    if (!detected) return detected.error();
    planner::complete_from_catalog(*catalog_, &detected->machine);
    records_->unmeasured = std::make_shared<const hwdb::Machine>(std::move(detected->machine));
  }
  return records_->unmeasured;
}

Result<hwdb::ModelFile> Session::model_file(const std::string& name) {
  if (!hwdb::is_store_name(name)) return hwdb::open_model_file(name);
  const hwdb::StoreRoots roots = hwdb::default_store_roots(
      environment_.home,
      [this](std::string_view variable) { return environment_.lookup(variable).value_or(""); });
  auto stored = hwdb::find_store_model(roots, name);
  if (!stored) return stored.error();
  return hwdb::open_model_file(stored->path);
}

Result<ModelPointer> Session::model(const std::string& name, const std::string& quant) {
  planner::ResolvedModel resolved;
  const bool stored = hwdb::is_store_name(name);
  if (stored || looks_like_path(name) || (name.find('/') != std::string::npos && exists(name))) {
    auto file = model_file(name);
    if (!file) return file.error();
    if (auto status = hwdb::check_plannable(*file); !status) return status.error();
    auto costs = hwdb::model_costs_of_file(*file);
    if (!costs) return costs.error();
    resolved.name = name.substr(stored ? 0 : name.find_last_of('/') + 1);
    resolved.costs = std::move(*costs);
    resolved.notes = file->warnings;
    if (file->format == hwdb::ModelFile::Format::gguf) {
      resolved.tensors =
          [path = file->paths.front()]() -> hwdb::Result<std::vector<hwdb::PlannedTensor>> {
        const auto again = hwdb::open_model_file(path);
        if (!again) return again.error();
        return hwdb::tensors_of_file(*again);
      };
    }
    for (const std::string& term : file->unknown_terms) {
      resolved.notes.push_back(fmt::format("not known for this architecture: {}", term));
    }
    return std::make_shared<const planner::ResolvedModel>(std::move(resolved));
  }
  auto row = catalog_->find_model(name);
  if (!row) {
    Error error = row.error();
    if (exists(name)) error.hint = fmt::format("for the file or folder, write ./{}", name);
    return error;
  }
  resolved.name = (*row)->id;
  const std::string wanted = quant.empty() ? std::string("Q4_K_M") : quant;
  const auto format = std::ranges::find_if(catalog_->formats(), [&](const hwdb::FormatRow& f) {
    return hwdb::normalise_name(f.id) == hwdb::normalise_name(wanted);
  });
  auto preset = catalog_->find_preset(wanted);
  if (preset || format == catalog_->formats().end() || !format->bits_per_weight) {
    if (!preset) return preset.error();
    hwdb::QuantOptions how;
    how.preset = (*preset)->id;
    auto costs = hwdb::model_costs_of_preset((*row)->shape, how);
    if (!costs) return costs.error();
    resolved.costs = std::move(*costs);
    resolved.tensors = [shape = &(*row)->shape, how] {
      return hwdb::tensors_of_preset(*shape, how);
    };
  } else {
    auto costs = hwdb::model_costs_of_format((*row)->shape, format->id, *format->bits_per_weight);
    if (!costs) return costs.error();
    resolved.costs = std::move(*costs);
  }
  return std::make_shared<const planner::ResolvedModel>(std::move(resolved));
}

Result<const hwdb::TariffRow*> Session::tariff(const std::string& name) {
  const std::string& asked = options_.price.empty() ? name : options_.price;
  const auto known = records_->own_prices.find(asked);
  if (known != records_->own_prices.end()) return &known->second;
  if (auto row = planner::tariff_from_price(asked))
    return &records_->own_prices.emplace(asked, std::move(*row)).first->second;
  if (!options_.price.empty()) {
    return hwdb::Error{"usage.value", "\"" + asked + "\" is no price of a kWh", "--price",
                       "write it as 0.16 or 0.30 EUR/kWh"};
  }
  return catalog_->find_tariff(name.empty() ? kDefaultTariff : std::string_view(name));
}

planner::Scenario Session::scenario(const std::string& model) const {
  planner::Scenario scenario;
  scenario.model = model;
  if (options_.quant) scenario.quant = *options_.quant;
  scenario.on = options_.on;
  scenario.settings = options_.settings;
  scenario.workload = options_.workload;
  scenario.tariff = options_.tariff;
  scenario.calibrated = options_.calibrated;
  if (options_.n_ctx) {
    scenario.settings.n_ctx = *options_.n_ctx;
  } else if (options_.use_given) {
    scenario.settings.n_ctx = options_.workload.wanted_ctx * scenario.settings.n_seq;
  } else {
    // What was asked for one by one has to fit.
    scenario.settings.n_ctx =
        std::max(scenario.settings.n_ctx,
                 planner::context_needed(options_.workload) * scenario.settings.n_seq);
  }
  return scenario;
}

Result<planner::Plan> Session::plan(const planner::Scenario& scenario) {
  return planner::Batch(sources()).plan(scenario);
}

std::span<const planner::Calibration> Session::calibrations(const hwdb::Machine& machine) {
  if (&machine != records_->here.get()) return {};
  return records_->calibrations;
}

planner::BatchSources Session::sources() {
  planner::BatchSources sources;
  sources.model = [this](const std::string& name, const std::string& quant) {
    return model(name, quant);
  };
  sources.machine = [this](const std::string& rig) { return machine(rig); };
  sources.unmeasured_machine = [this](const std::string& rig) { return unmeasured_machine(rig); };
  sources.calibrations = [this](const hwdb::Machine& machine) { return calibrations(machine); };
  sources.tariff = [this](const std::string& name) { return tariff(name); };
  sources.assumptions = &assumptions();
  return sources;
}

}  // namespace cli
