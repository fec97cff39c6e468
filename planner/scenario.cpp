// SPDX-License-Identifier: MIT
#include "planner/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "hwdb/limits.h"
#include "hwdb/names.h"
#include "planner/setting_words.h"

namespace planner {
namespace {

using hwdb::Error;
using hwdb::Json;
using hwdb::Ok;
using hwdb::Status;

// The largest counts that anybody means; beyond them arithmetic would still hold, but not sense.
constexpr std::uint64_t kMaxSequences = 4096, kMaxBatch = 1u << 20, kMaxThreads = 4096;
constexpr std::size_t kMaxDevices = 256, kMaxText = 4096, kMaxDepths = 64;

constexpr std::array<std::string_view, 9> kCacheTypes = {"f16",  "bf16", "f32",  "q8_0",  "q5_1",
                                                         "q5_0", "q4_1", "q4_0", "iq4_nl"};

using Backend = hwdb::GpuInfo::Backend;

Error wrong_type(const Json& value, std::string_view expected) {
  return Error{
      "scenario.type", fmt::format("{}, expected {}", value.type_name(), expected), {}, {}};
}

/// A list of words as "a, b or c".
template <class Words, class TextOf>
std::string alternatives(const Words& words, TextOf text_of) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    out += i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
    out += text_of(words[i]);
  }
  return out;
}

template <class Integer>
Status read_count(const Json& json, std::uint64_t least, std::uint64_t most, Integer* out) {
  const auto whole = [&] { return fmt::format("a whole number from {} to {}", least, most); };
  if (!json.is_integer()) {
    // 4096.0 is a number, but not what a program writes that means a count.
    return json.is_number() ? Error{"scenario.type",
                                    fmt::format("{}, expected {}", hwdb::write_json(json), whole()),
                                    {},
                                    {}}
                            : wrong_type(json, whole());
  }
  const auto value = json.as_uint64();
  if (!value || *value < least || *value > most) {
    return Error{
        "scenario.range", fmt::format("{}, expected {}", hwdb::write_json(json), whole()), {}, {}};
  }
  *out = static_cast<Integer>(*value);
  return Ok{};
}

Status read_text(const Json& json, std::string* out) {
  const std::string* text = json.as_string();
  if (text == nullptr) return wrong_type(json, "text");
  if (text->empty() || text->size() > kMaxText) {
    return Error{"scenario.range",
                 fmt::format("text of {} bytes, expected 1 to {}", text->size(), kMaxText),
                 {},
                 {}};
  }
  *out = *text;
  return Ok{};
}

template <class T, std::size_t N>
Status read_word(const Json& json, const std::array<Word<T>, N>& words, T* out) {
  const auto names = [&] { return alternatives(words, [](const auto& w) { return w.text; }); };
  const std::string* text = json.as_string();
  if (text == nullptr) return wrong_type(json, names());
  const auto it = std::ranges::find(words, std::string_view(*text), &Word<T>::text);
  if (it == words.end()) {
    return Error{"scenario.range", fmt::format("\"{}\", expected {}", *text, names()), {}, {}};
  }
  *out = it->value;
  return Ok{};
}

Status read_cache_type(const Json& json, std::string* out) {
  const auto names = [] { return alternatives(kCacheTypes, [](auto name) { return name; }); };
  const std::string* text = json.as_string();
  if (text == nullptr) return wrong_type(json, names());
  if (std::ranges::find(kCacheTypes, std::string_view(*text)) == kCacheTypes.end()) {
    return Error{"scenario.range", fmt::format("\"{}\", expected {}", *text, names()), {}, {}};
  }
  *out = *text;
  return Ok{};
}

Status read_optional_count(const Json& json, std::uint64_t least, std::uint64_t most,
                           std::optional<std::uint32_t>* out) {
  if (json.is_null()) {
    out->reset();
    return Ok{};
  }
  std::uint32_t value = 0;
  Status status = read_count(json, least, most, &value);
  if (status) *out = value;
  return status;
}

Status read_tensor_split(const Json& json, std::vector<double>* out) {
  out->clear();
  if (json.is_null()) return Ok{};
  const Json::Array* list = json.as_array();
  if (list == nullptr) return wrong_type(json, "a list of shares, one a GPU");
  double sum = 0;
  for (const Json& item : *list) {
    const auto share = item.as_double();
    if (!share) return wrong_type(item, "a list of shares, one a GPU");
    if (*share < 0 || *share > 1e9) {
      return Error{"scenario.range",
                   fmt::format("a share of {}, expected 0 to 1e9", hwdb::write_json(item)),
                   {},
                   {}};
    }
    sum += *share;
    out->push_back(*share);
  }
  if (out->empty() || out->size() > kMaxDevices || sum <= 0) {
    return Error{"scenario.range",
                 fmt::format("{} shares with a sum of {}, expected 1 to {} of which one is not 0",
                             out->size(), sum, kMaxDevices),
                 {},
                 {}};
  }
  return Ok{};
}

Status read_flag(const Json& json, bool* out) {
  const auto flag = json.as_bool();
  if (!flag) return wrong_type(json, "true or false");
  *out = *flag;
  return Ok{};
}

/// null, one text or a list of texts.
Status read_texts(const Json& json, std::vector<std::string>* out) {
  out->clear();
  if (json.is_null()) return Ok{};
  const Json::Array* list = json.as_array();
  if (list == nullptr) {
    std::string one;
    Status status = read_text(json, &one);
    if (status) out->push_back(std::move(one));
    return status;
  }
  if (list->size() > kMaxDevices) {
    return Error{"scenario.range",
                 fmt::format("{} entries, at most {} are taken", list->size(), kMaxDevices),
                 {},
                 {}};
  }
  for (const Json& item : *list) {
    std::string one;
    if (auto status = read_text(item, &one); !status) return status;
    out->push_back(std::move(one));
  }
  return Ok{};
}

Status read_number(const Json& json, double least, double most, double* out) {
  const auto number = json.as_double();
  if (!number) return wrong_type(json, fmt::format("a number from {} to {}", least, most));
  // The comparison is written so that NaN fails it.
  if (!(*number >= least && *number <= most)) {
    return Error{
        "scenario.range",
        fmt::format("{}, expected a number from {} to {}", hwdb::write_json(json), least, most),
        {},
        {}};
  }
  *out = *number;
  return Ok{};
}

Status read_optional_number(const Json& json, double least, double most,
                            std::optional<double>* out) {
  out->reset();
  if (json.is_null()) return Ok{};
  double value = 0;
  Status status = read_number(json, least, most, &value);
  if (status) *out = value;
  return status;
}

Status read_depths(const Json& json, std::vector<double>* out) {
  out->clear();
  if (json.is_null()) return Ok{};
  const Json::Array* list = json.as_array();
  if (list == nullptr) return wrong_type(json, "a list of numbers of tokens");
  if (list->size() > kMaxDepths) {
    return Error{"scenario.range",
                 fmt::format("{} entries, at most {} are taken", list->size(), kMaxDepths),
                 {},
                 {}};
  }
  for (const Json& item : *list) {
    double depth = 0;
    if (auto status = read_count(item, 0, hwdb::limits::kContext, &depth); !status) return status;
    out->push_back(depth);
  }
  return Ok{};
}

struct DraftKey {
  std::string_view name;
  Status (*read)(const Json&, DraftSettings*);
};

constexpr std::array kDraftKeys = {
    DraftKey{"type",
             [](const Json& j, DraftSettings* d) {
               constexpr std::array kTypes = {Word<bool>{"draft-simple", false},
                                              Word<bool>{"draft-mtp", true}};
               return read_word(j, kTypes, &d->mtp);
             }},
    DraftKey{"model", [](const Json& j, DraftSettings* d) { return read_text(j, &d->model); }},
    DraftKey{"quant", [](const Json& j, DraftSettings* d) { return read_text(j, &d->quant); }},
    DraftKey{"n_gpu_layers",
             [](const Json& j, DraftSettings* d) {
               return read_optional_count(j, 0, kMaxBatch, &d->n_gpu_layers);
             }},
    DraftKey{"n_ctx",
             [](const Json& j, DraftSettings* d) {
               return read_count(j, 0, hwdb::limits::kContext, &d->n_ctx);
             }},
    DraftKey{"cache_type_k",
             [](const Json& j, DraftSettings* d) { return read_cache_type(j, &d->cache_type_k); }},
    DraftKey{"cache_type_v",
             [](const Json& j, DraftSettings* d) { return read_cache_type(j, &d->cache_type_v); }},
    DraftKey{"n_max",
             [](const Json& j, DraftSettings* d) { return read_count(j, 0, 1024, &d->n_max); }},
    DraftKey{"acceptance",
             [](const Json& j, DraftSettings* d) {
               return read_optional_number(j, 0, 1, &d->acceptance);
             }},
};

/// null, or {"model": ...} or {"type": "draft-mtp"} with what goes with it.
Status read_draft(const Json& json, DraftSettings* out) {
  *out = {};
  if (json.is_null()) return Ok{};
  const Json::Object* object = json.as_object();
  if (object == nullptr) return wrong_type(json, "an object with a draft model, or null");
  for (const Json::Member& member : *object) {
    const auto key = std::ranges::find(kDraftKeys, member.first, &DraftKey::name);
    if (key == kDraftKeys.end()) {
      return Error{"scenario.unknown_key",
                   fmt::format("an object with \"{}\"", member.first),
                   {},
                   "known: type model quant n_gpu_layers n_ctx cache_type_k cache_type_v n_max "
                   "acceptance"};
    }
    if (auto status = key->read(member.second, out); !status) {
      Error error = status.error();
      error.what = fmt::format("wrong: {} is {}", key->name, error.what);
      return error;
    }
  }
  if (!out->active()) {
    return Error{"scenario.missing_key", "an object without \"model\" or type draft-mtp", {}, {}};
  }
  return Ok{};
}

struct Key {
  std::string_view name;
  Status (*read)(const Json&, Scenario*);
};

// In the order in which the format is documented. "use" is read before all others.
constexpr std::array kKeys = {
    Key{"id",
        [](const Json& j, Scenario* s) -> Status {
          if (j.is_array() || j.is_object()) return wrong_type(j, "text or a number");
          s->id = j;
          return Ok{};
        }},
    Key{"model", [](const Json& j, Scenario* s) { return read_text(j, &s->model); }},
    Key{"quant",
        [](const Json& j, Scenario* s) -> Status {
          if (!j.is_null()) return read_text(j, &s->quant);
          s->quant.clear();
          return Ok{};
        }},
    Key{"on", [](const Json& j, Scenario* s) { return read_text(j, &s->on); }},
    Key{"runtime",
        [](const Json& j, Scenario* s) { return read_word(j, kRuntimeWords, &s->settings.runtime); }},
    Key{"backend",
        [](const Json& j, Scenario* s) -> Status {
          s->settings.backend.reset();
          s->settings.cpu_only = false;
          if (j.is_null()) return Ok{};
          if (const std::string* text = j.as_string(); text != nullptr && *text == "cpu") {
            s->settings.cpu_only = true;
            return Ok{};
          }
          Backend backend{};
          Status status = read_word(j, kBackendWords, &backend);
          if (!status) {
            Error error = status.error();
            error.what += ", or cpu";
            return error;
          }
          s->settings.backend = backend;
          return Ok{};
        }},
    Key{"n_ctx",
        [](const Json& j, Scenario* s) {
          return read_count(j, 1, hwdb::limits::kContext, &s->settings.n_ctx);
        }},
    Key{"n_batch",
        [](const Json& j, Scenario* s) {
          return read_count(j, 1, kMaxBatch, &s->settings.n_batch);
        }},
    Key{"n_ubatch",
        [](const Json& j, Scenario* s) {
          return read_count(j, 1, kMaxBatch, &s->settings.n_ubatch);
        }},
    Key{"n_seq",
        [](const Json& j, Scenario* s) {
          return read_count(j, 1, kMaxSequences, &s->settings.n_seq);
        }},
    Key{"flash_attn",
        [](const Json& j, Scenario* s) -> Status {
          const auto flag = j.as_bool();
          if (!flag) return wrong_type(j, "true or false");
          s->settings.flash_attn = *flag;
          return Ok{};
        }},
    Key{"cache_type_k",
        [](const Json& j, Scenario* s) { return read_cache_type(j, &s->settings.cache_type_k); }},
    Key{"cache_type_v",
        [](const Json& j, Scenario* s) { return read_cache_type(j, &s->settings.cache_type_v); }},
    Key{"n_gpu_layers",
        [](const Json& j, Scenario* s) {
          return read_optional_count(j, 0, kMaxBatch, &s->settings.n_gpu_layers);
        }},
    Key{"n_cpu_moe",
        [](const Json& j, Scenario* s) {
          return read_optional_count(j, 0, kMaxBatch, &s->settings.n_cpu_moe);
        }},
    Key{"override_tensor",
        [](const Json& j, Scenario* s) -> Status {
          if (!j.is_null()) return read_text(j, &s->settings.override_tensor);
          s->settings.override_tensor.clear();
          return Ok{};
        }},
    Key{"split_mode",
        [](const Json& j, Scenario* s) {
          return read_word(j, kSplitModeWords, &s->settings.split_mode);
        }},
    Key{"tensor_split",
        [](const Json& j, Scenario* s) {
          return read_tensor_split(j, &s->settings.tensor_split);
        }},
    Key{"n_threads",
        [](const Json& j, Scenario* s) {
          return read_optional_count(j, 1, kMaxThreads, &s->settings.n_threads);
        }},
    Key{"n_prompt",
        [](const Json& j, Scenario* s) {
          return read_count(j, 1, hwdb::limits::kContext, &s->workload.n_prompt);
        }},
    Key{"n_gen",
        [](const Json& j, Scenario* s) {
          return read_count(j, 0, hwdb::limits::kContext, &s->workload.n_gen);
        }},
    Key{"depth",
        [](const Json& j, Scenario* s) {
          return read_count(j, 0, hwdb::limits::kContext, &s->workload.depth);
        }},
    Key{"batch",
        [](const Json& j, Scenario* s) {
          return read_count(j, 1, kMaxSequences, &s->workload.batch);
        }},
    Key{"speculative",
        [](const Json& j, Scenario* s) { return read_draft(j, &s->settings.draft); }},
    Key{"calibration",
        [](const Json& j, Scenario* s) -> Status {
          constexpr std::array kWays = {Word<bool>{"auto", true}, Word<bool>{"none", false}};
          return read_word(j, kWays, &s->calibrated);
        }},
    Key{"use",
        [](const Json& j, Scenario* s) -> Status {
          const std::string* text = j.as_string();
          if (text == nullptr) return wrong_type(j, "text");
          auto workload = workload_for(*text);
          if (!workload) {
            return Error{"scenario.range", fmt::format("\"{}\", no known use", *text), {},
                         workload.error().hint};
          }
          s->workload = std::move(*workload);
          return Ok{};
        }},
    Key{"cpu_moe",
        [](const Json& j, Scenario* s) { return read_flag(j, &s->settings.cpu_moe); }},
    Key{"kv_offload",
        [](const Json& j, Scenario* s) -> Status {
          bool offload = true;
          Status status = read_flag(j, &offload);
          if (status) s->settings.kv_on_host = !offload;
          return status;
        }},
    Key{"main_gpu",
        [](const Json& j, Scenario* s) {
          return read_count(j, 0, kMaxDevices, &s->settings.main_gpu);
        }},
    Key{"mmproj",
        [](const Json& j, Scenario* s) -> Status {
          if (!j.is_null()) return read_text(j, &s->settings.mmproj);
          s->settings.mmproj.clear();
          return Ok{};
        }},
    Key{"mmproj_offload",
        [](const Json& j, Scenario* s) { return read_flag(j, &s->settings.mmproj_on_gpu); }},
    Key{"lora", [](const Json& j, Scenario* s) { return read_texts(j, &s->settings.lora); }},
    Key{"cache_ram_mib",
        [](const Json& j, Scenario* s) -> Status {
          if (j.as_int64() == -1) {
            s->settings.cache_ram_mib = -1;
            return Ok{};
          }
          return read_count(j, 0, 1u << 30, &s->settings.cache_ram_mib);
        }},
    Key{"ctx_checkpoints",
        [](const Json& j, Scenario* s) {
          return read_count(j, 0, kMaxSequences, &s->settings.ctx_checkpoints);
        }},
    Key{"load_mode",
        [](const Json& j, Scenario* s) {
          return read_word(j, kLoadModeWords, &s->settings.load_mode);
        }},
    Key{"repack", [](const Json& j, Scenario* s) { return read_flag(j, &s->settings.repack); }},
    Key{"tariff", [](const Json& j, Scenario* s) { return read_text(j, &s->tariff); }},
    Key{"cached_fraction",
        [](const Json& j, Scenario* s) {
          return read_number(j, 0, 1, &s->workload.cached_fraction);
        }},
    Key{"power_limit_w",
        [](const Json& j, Scenario* s) {
          return read_optional_number(j, kLeastPowerLimitW, kMostPowerLimitW,
                                      &s->settings.power_limit_w);
        }},
    Key{"depths", [](const Json& j, Scenario* s) { return read_depths(j, &s->depths); }},
};

Error unknown_key(std::string_view name) {
  std::vector<std::string> names;
  for (const Key& key : kKeys) names.emplace_back(key.name);
  const auto nearest = hwdb::nearest_names(name, names, 1);
  return Error{"scenario.unknown_key",
               fmt::format("unknown key \"{}\"", name),
               {},
               nearest.empty() ? "" : fmt::format("did you mean \"{}\"?", nearest.front())};
}

}  // namespace

hwdb::Result<Scenario> scenario_from_json(const hwdb::Json& json) {
  const Json::Object* object = json.as_object();
  if (object == nullptr) return wrong_type(json, "an object with the keys of a scenario");
  Scenario scenario;
  const auto read = [&](const Key& key, const Json& value) -> Status {
    Status status = key.read(value, &scenario);
    if (status) return status;
    Error error = status.error();
    error.what = fmt::format("{} is {}", key.name, error.what);
    error.where = key.name;
    return error;
  };
  // A use sets the whole workload, so the keys beside it must come after it.
  const Key& use_key = *std::ranges::find(kKeys, std::string_view("use"), &Key::name);
  if (const Json* use = json.find("use")) {
    if (auto status = read(use_key, *use); !status) return status.error();
  }
  // Most writers keep the documented order, so the search goes on where it last ended.
  std::size_t next = 0;
  for (const Json::Member& member : *object) {
    std::size_t tried = 0;
    while (tried < kKeys.size() && kKeys[next].name != member.first) {
      next = (next + 1) % kKeys.size();
      ++tried;
    }
    if (tried == kKeys.size()) return unknown_key(member.first);
    if (&kKeys[next] == &use_key) continue;
    if (auto status = read(kKeys[next], member.second); !status) return status.error();
  }
  if (scenario.model.empty()) {
    return Error{"scenario.missing_key", "the key \"model\" is missing", "model",
                 "name a model of \"tokwatt list models\" or a file"};
  }
  return scenario;
}

}  // namespace planner
