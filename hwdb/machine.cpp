// SPDX-License-Identifier: MIT
#include "hwdb/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <type_traits>
#include <utility>

namespace hwdb {
namespace {

constexpr int kSchemaMajor = 1, kSchemaMinor = 1;

// Beyond any machine of our time, with room; a value above means a damaged or hostile file.
constexpr double kMaxBytes = 1ull << 50;  // 1 PiB
constexpr double kMaxBytesPerSecond = 1e15;
constexpr double kMaxFlopsPerSecond = 1e19;
constexpr double kMaxWatts = 1e6;
constexpr double kMaxUsd = 1e9;
constexpr std::uint64_t kMaxCount = 1 << 20;  // cores, threads, packages, channels
constexpr std::uint64_t kMaxRate = 1 << 20;   // MT/s
constexpr std::size_t kMaxItems = 1024;       // GPUs, notes, caches
constexpr std::size_t kMaxText = 4096;
constexpr double kMaxReading = kMaxFlopsPerSecond;  // the largest of all units

using Kind = GpuInfo::Kind;
using Backend = GpuInfo::Backend;
constexpr std::array<std::pair<Kind, std::string_view>, 3> kKinds = {{
    {Kind::discrete, "discrete"},
    {Kind::integrated, "integrated"},
    {Kind::unified, "unified"},
}};
constexpr std::array<std::pair<Backend, std::string_view>, 5> kBackends = {{
    {Backend::cuda, "cuda"},
    {Backend::rocm, "rocm"},
    {Backend::vulkan, "vulkan"},
    {Backend::metal, "metal"},
    {Backend::sycl, "sycl"},
}};

constexpr std::array<std::pair<ReadingStatus, std::string_view>, 5> kStatuses = {{
    {ReadingStatus::ok, "ok"},
    {ReadingStatus::unsupported, "unsupported"},
    {ReadingStatus::not_permitted, "not_permitted"},
    {ReadingStatus::skipped, "skipped"},
    {ReadingStatus::error, "error"},
}};

template <class T>
constexpr double kMaxOf = kMaxUsd;
template <>
constexpr double kMaxOf<Bytes> = kMaxBytes;
template <>
constexpr double kMaxOf<BytesPerSecond> = kMaxBytesPerSecond;
template <>
constexpr double kMaxOf<FlopsPerSecond> = kMaxFlopsPerSecond;
template <>
constexpr double kMaxOf<Watts> = kMaxWatts;

// One description of the record serves both ways: `describe(visitor, record)` names each member
// once, and the two visitors below write or read it.

/// Writes members into a JSON object; what is empty or unknown is left out.
class Writer {
 public:
  explicit Writer(Json::Object* out) : out_(out) {}

  void member(std::string_view key, const std::string& v) {
    if (!v.empty()) put(key, Json(v));
  }
  void member(std::string_view key, bool v) { put(key, Json(v)); }
  /// Counts and sizes: 0 is unknown, and left out.
  void member(std::string_view key, std::uint64_t v, std::uint64_t) {
    if (v != 0) put(key, Json(v));
  }
  void member(std::string_view key, const std::optional<std::uint32_t>& v, std::uint64_t) {
    if (v) put(key, Json(std::uint64_t{*v}));
  }
  void member(std::string_view key, const std::vector<std::string>& v) {
    if (v.empty()) return;
    Json::Array list;
    for (const std::string& text : v) list.emplace_back(text);
    put(key, Json(std::move(list)));
  }
  void member(std::string_view key, const std::vector<std::uint64_t>& v, std::uint64_t) {
    if (v.empty()) return;
    Json::Array list;
    for (const std::uint64_t number : v) list.emplace_back(number);
    put(key, Json(std::move(list)));
  }
  /// A plain number that is there or not.
  void number(std::string_view key, double v, bool present) {
    if (present) put(key, Json(v));
  }
  void numbers(std::string_view key, const std::vector<double>& v) {
    if (v.empty()) return;
    Json::Array list;
    for (const double number : v) list.emplace_back(number);
    put(key, Json(std::move(list)));
  }
  template <class E, std::size_t N>
  void choice(std::string_view key, E v,
              const std::array<std::pair<E, std::string_view>, N>& names) {
    put(key, Json(names[static_cast<std::size_t>(v)].second));
  }
  template <class T>
  void sourced(std::string_view key, const Sourced<T>& v) {
    // Never filled: a missing fact is absent.
    if (number(v.value).as_double() == 0.0 && v.source.empty()) return;
    Json::Object object;
    object.emplace_back("value", number(v.value));
    object.emplace_back("basis", Json(to_string(v.basis)));
    if (!v.source.empty()) object.emplace_back("source", Json(v.source));
    if (!v.as_of.empty()) object.emplace_back("as_of", Json(v.as_of));
    put(key, Json(std::move(object)));
  }
  template <class T>
  void sourced(std::string_view key, const std::optional<Sourced<T>>& v) {
    if (v) sourced(key, *v);
  }
  template <class T, class F>
  void object(std::string_view key, const T& v, F describe) {
    Json::Object inner;
    Writer writer(&inner);
    describe(writer, v);
    put(key, Json(std::move(inner)));
  }
  template <class T, class F>
  void list(std::string_view key, const std::vector<T>& v, F describe) {
    if (v.empty()) return;
    Json::Array items;
    for (const T& item : v) {
      Json::Object inner;
      Writer writer(&inner);
      describe(writer, item);
      items.emplace_back(std::move(inner));
    }
    put(key, Json(std::move(items)));
  }

 private:
  static Json number(Bytes v) { return Json(v.value); }
  static Json number(double v) { return Json(v); }
  template <class Tag>
  static Json number(Quantity<Tag> v) {
    return Json(v.value);
  }
  void put(std::string_view key, Json v) { out_->emplace_back(std::string(key), std::move(v)); }

  Json::Object* out_;
};

/// Reads members out of a JSON object. The first broken rule is kept and ends the reading.
class Reader {
 public:
  Reader(const Json& json, std::string where, bool strict, std::optional<Error>* error)
      : json_(json), where_(std::move(where)), strict_(strict), error_(error) {
    if (json_.as_object() == nullptr)
      fail("row.type", where_, fmt::format("{}, expected an object", json_.type_name()));
  }

  void member(std::string_view key, std::string& v) {
    if (const Json* j = take(key)) read_text(*j, key, &v);
  }
  void member(std::string_view key, bool& v) {
    const Json* j = take(key);
    if (j == nullptr) return;
    if (const auto b = j->as_bool()) {
      v = *b;
    } else {
      wrong_type(key, *j, "true or false");
    }
  }
  template <class T>
  void member(std::string_view key, T& v, std::uint64_t max) requires std::is_unsigned_v<T> {
    if (const Json* j = take(key)) read_count(*j, key, max, &v);
  }
  void member(std::string_view key, std::optional<std::uint32_t>& v, std::uint64_t max) {
    const Json* j = take(key);
    if (j == nullptr || j->is_null()) return;
    read_count(*j, key, max, &v.emplace());
  }
  void member(std::string_view key, std::vector<std::string>& v) {
    for_each(key, [&](const Json& item) { read_text(item, key, &v.emplace_back()); });
  }
  void member(std::string_view key, std::vector<std::uint64_t>& v, std::uint64_t max) {
    for_each(key, [&](const Json& item) { read_count(item, key, max, &v.emplace_back()); });
  }
  /// A plain number that must be there or must not.
  void number(std::string_view key, double& v, bool present) {
    const Json* j = take(key);
    if (*error_) return;
    if (present != (j != nullptr))
      return fail("row.type", path(key), present ? "missing, expected a number" : "not expected");
    if (present) read_number(*j, key, &v);
  }
  void numbers(std::string_view key, std::vector<double>& v) {
    for_each(key, [&](const Json& item) { read_number(item, key, &v.emplace_back()); });
  }
  template <class E, std::size_t N>
  void choice(std::string_view key, E& v,
              const std::array<std::pair<E, std::string_view>, N>& names) {
    std::string name;
    const Json* j = take(key);
    if (j == nullptr || !read_text(*j, key, &name)) return;
    std::string expected;
    for (const auto& [value, text] : names) {
      if (text == name) {
        v = value;
        return;
      }
      expected += fmt::format("{}{}", expected.empty() ? "" : ", ", text);
    }
    fail("row.type", path(key), fmt::format("\"{}\", expected one of {}", name, expected));
  }
  template <class T>
  void sourced(std::string_view key, Sourced<T>& v) {
    const Json* j = take(key);
    if (j == nullptr || j->is_null()) return;
    Reader inner(*j, path(key), strict_, error_);
    inner.read_value(&v.value);
    std::string basis;
    inner.member("basis", basis);
    inner.member("source", v.source);
    inner.member("as_of", v.as_of);
    inner.finish();
    if (!*error_ && !parse_basis(basis, &v.basis)) {
      fail("row.type", path(key) + ".basis",
           fmt::format("\"{}\" is no basis; expected measured, calibrated, detected, spec, "
                       "modelled, unverified or assumed",
                       basis));
    }
  }
  template <class T>
  void sourced(std::string_view key, std::optional<Sourced<T>>& v) {
    const Json* j = json_.find(key);
    if (j != nullptr && !j->is_null()) {
      sourced(key, v.emplace());
    } else {
      take(key);
    }
  }
  template <class T, class F>
  void object(std::string_view key, T& v, F describe) {
    const Json* j = take(key);
    if (j == nullptr) return;
    Reader inner(*j, path(key), strict_, error_);
    describe(inner, v);
    inner.finish();
  }
  template <class T, class F>
  void list(std::string_view key, std::vector<T>& v, F describe) {
    std::size_t i = 0;
    for_each(key, [&](const Json& item) {
      Reader inner(item, fmt::format("{}[{}]", path(key), i++), strict_, error_);
      describe(inner, v.emplace_back());
      inner.finish();
    });
  }

  /// Refuses keys that nobody asked for.
  void finish() {
    const Json::Object* object = json_.as_object();
    if (*error_ || object == nullptr || !strict_) return;
    for (const Json::Member& m : *object) {
      if (std::ranges::find(known_, m.first) == known_.end()) {
        std::string names;
        for (const std::string_view k : known_) names += fmt::format(" {}", k);
        *error_ = Error{"row.unknown_key", fmt::format("the key \"{}\" is not known", m.first),
                        where_, "known keys:" + names};
        return;
      }
    }
  }

 private:
  std::string path(std::string_view key) const { return fmt::format("{}: {}", where_, key); }
  void fail(std::string_view code, const std::string& where, std::string what) {
    if (!*error_) *error_ = Error{std::string(code), std::move(what), where, ""};
  }
  void wrong_type(std::string_view key, const Json& j, std::string_view expected) {
    fail("row.type", path(key), fmt::format("{}, expected {}", j.type_name(), expected));
  }
  const Json* take(std::string_view key) {
    known_.push_back(key);
    return *error_ ? nullptr : json_.find(key);
  }
  bool read_text(const Json& j, std::string_view key, std::string* out) {
    const std::string* text = j.as_string();
    if (text == nullptr) {
      wrong_type(key, j, "text");
      return false;
    }
    if (text->size() > kMaxText) {
      fail("machine.range", path(key),
           fmt::format("text of {} bytes, expected at most {}", text->size(), kMaxText));
      return false;
    }
    *out = *text;
    return true;
  }
  template <class T>
  void read_count(const Json& j, std::string_view key, std::uint64_t max, T* out) {
    if (!j.is_number()) return wrong_type(key, j, "a whole number");
    const auto number = j.as_uint64();
    if (!number || *number > max) {
      return fail("machine.range", path(key),
                  fmt::format("{}, expected a whole number from 0 to {}", write_json(j), max));
    }
    *out = static_cast<T>(*number);
  }
  void read_number(const Json& j, std::string_view key, double* out) {
    if (!j.is_number()) return wrong_type(key, j, "a number");
    *out = j.as_double().value_or(std::nan(""));
    // Written so that NaN fails too.
    if (!(*out >= 0 && *out <= kMaxReading)) {
      fail("machine.range", path(key),
           fmt::format("{}, expected a number from 0 to {}", *out, kMaxReading));
    }
  }
  template <class T>
  void read_value(T* out) {
    const Json* j = take("value");
    if (*error_) return;
    if (j == nullptr) return fail("row.type", path("value"), "missing, expected a number");
    if (!j->is_number()) return wrong_type("value", *j, "a number");
    const double number = j->as_double().value_or(std::nan(""));
    // Written so that NaN fails too.
    if (!(number >= 0 && number <= kMaxOf<T>)) {
      return fail("machine.range", path("value"),
                  fmt::format("{}, expected a number from 0 to {}", number, kMaxOf<T>));
    }
    if constexpr (std::is_same_v<T, Bytes>) {
      const auto whole = j->as_uint64();
      if (!whole) {
        return fail("machine.range", path("value"),
                    fmt::format("{}, expected whole bytes", number));
      }
      *out = Bytes(*whole);
    } else {
      *out = T(number);
    }
  }
  template <class F>
  void for_each(std::string_view key, F&& read) {
    const Json* j = take(key);
    if (j == nullptr) return;
    const Json::Array* items = j->as_array();
    if (items == nullptr) return wrong_type(key, *j, "a list");
    if (items->size() > kMaxItems) {
      return fail("machine.range", path(key),
                  fmt::format("{} entries, expected at most {}", items->size(), kMaxItems));
    }
    for (const Json& item : *items) {
      if (*error_) return;
      read(item);
    }
  }

  const Json& json_;
  std::string where_;
  bool strict_;
  std::optional<Error>* error_;
  std::vector<std::string_view> known_;
};

const auto kDescribeCpu = [](auto& v, auto& cpu) {
  v.member("name", cpu.name);
  v.member("catalog_id", cpu.catalog_id);
  v.member("packages", cpu.packages, kMaxCount);
  v.member("cores", cpu.cores, kMaxCount);
  v.member("threads", cpu.threads, kMaxCount);
  v.member("performance_cores", cpu.performance_cores, kMaxCount);
  v.member("usable_threads", cpu.usable_threads, kMaxCount);
  v.member("isa", cpu.isa);
  v.sourced("peak_fp32_flops_per_s", cpu.peak_fp32);
  v.sourced("peak_int8_ops_per_s", cpu.peak_int8);
  v.sourced("tdp_watts", cpu.tdp);
  v.member("cache_bytes", cpu.cache_bytes, std::uint64_t{1} << 40);
  v.member("last_level_cache_total_bytes", cpu.last_level_cache_total_bytes,
           std::uint64_t{1} << 40);
  v.member("numa_nodes", cpu.numa_nodes, kMaxCount);
};

const auto kDescribeMemory = [](auto& v, auto& memory) {
  v.sourced("total_bytes", memory.total);
  v.sourced("available_bytes", memory.available);
  v.sourced("limit_bytes", memory.limit);
  v.sourced("bandwidth_bytes_per_s", memory.bandwidth);
  v.member("type", memory.type);
  v.member("rate_mt_per_s", memory.rate_mt_per_s, kMaxRate);
  v.member("channels", memory.channels, kMaxCount);
};

const auto kDescribeGpu = [](auto& v, auto& gpu) {
  v.member("name", gpu.name);
  v.member("catalog_id", gpu.catalog_id);
  v.member("vendor", gpu.vendor);
  v.member("arch", gpu.arch);
  v.choice("kind", gpu.kind, kKinds);
  v.choice("backend", gpu.backend, kBackends);
  v.member("form", gpu.form);
  v.sourced("memory_bytes", gpu.memory);
  v.sourced("available_bytes", gpu.available);
  v.sourced("bandwidth_bytes_per_s", gpu.bandwidth);
  v.sourced("peak_fp16_flops_per_s", gpu.peak_fp16);
  v.sourced("peak_fp32_flops_per_s", gpu.peak_fp32);
  v.sourced("peak_int8_ops_per_s", gpu.peak_int8);
  v.sourced("power_limit_watts", gpu.power_limit);
  v.sourced("idle_watts", gpu.idle);
  v.sourced("host_link_bytes_per_s", gpu.host_link);
  v.member("link_name", gpu.link_name);
  v.sourced("price_usd", gpu.price_usd);
  v.member("pci_address", gpu.pci_address);
  v.member("pci_id", gpu.pci_id);
  v.member("uuid", gpu.uuid);
  v.member("driver", gpu.driver);
};

const auto kDescribeRenderer = [](auto& v, auto& renderer) {
  v.member("name", renderer.name);
  v.member("driver", renderer.driver);
};

const auto kDescribeReading = [](auto& v, auto& reading) {
  v.member("id", reading.id);
  v.choice("status", reading.status, kStatuses);
  v.member("reason", reading.reason);
  const bool ok = reading.status == ReadingStatus::ok;
  v.number("value", reading.value, ok);
  v.member("unit", reading.unit);
  v.number("spread", reading.spread, ok);
  v.member("method", reading.method);
  v.member("device", reading.device);
  v.member("as_of", reading.as_of);
  v.numbers("samples", reading.samples);
};

const auto kDescribeMachine = [](auto& v, auto& machine) {
  v.member("name", machine.name);
  v.member("form", machine.form);
  v.member("os", machine.os);
  v.member("environment", machine.environment);
  v.member("described", machine.described);
  v.object("cpu", machine.cpu, kDescribeCpu);
  v.object("memory", machine.memory, kDescribeMemory);
  v.list("gpus", machine.gpus, kDescribeGpu);
  v.sourced("gpu_link_bytes_per_s", machine.gpu_link);
  v.sourced("base_idle_watts", machine.base_idle);
  v.sourced("price_usd", machine.price_usd);
  v.list("software_renderers", machine.software_renderers, kDescribeRenderer);
  v.member("notes", machine.notes);
  v.list("readings", machine.readings, kDescribeReading);
};

/// "1.0" in two numbers; false for any other text.
bool parse_schema(const std::string& text, int* major, int* minor) {
  const std::size_t dot = text.find('.');
  if (dot == std::string::npos || dot == 0 || dot + 1 == text.size() || text.size() > 9)
    return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i != dot && (text[i] < '0' || text[i] > '9')) return false;
  }
  *major = std::stoi(text.substr(0, dot));
  *minor = std::stoi(text.substr(dot + 1));
  return true;
}

}  // namespace

Json machine_to_json(const Machine& machine) {
  Json::Object object;
  Writer writer(&object);
  // The lowest that has all its keys, so that older programs read what they can.
  writer.member("schema",
                fmt::format("{}.{}", kSchemaMajor, machine.readings.empty() ? 0 : kSchemaMinor));
  kDescribeMachine(writer, machine);
  return Json(std::move(object));
}

Result<Machine> machine_from_json(const Json& json, std::string_view where) {
  std::optional<Error> error;
  const std::string place(where);
  const Json* schema = json.find("schema");
  int major = 0, minor = 0;
  if (json.is_object() && (schema == nullptr || schema->as_string() == nullptr ||
                           !parse_schema(*schema->as_string(), &major, &minor))) {
    return Error{"machine.schema", "no schema, expected \"schema\": \"1.0\"", place, ""};
  }
  if (major > kSchemaMajor) {
    return Error{"machine.schema",
                 fmt::format("schema {}.{} is newer than this program reads ({}.{})", major, minor,
                             kSchemaMajor, kSchemaMinor),
                 place, "use the newer tokwatt that wrote it"};
  }
  Machine machine;
  Reader reader(json, place, minor <= kSchemaMinor, &error);
  std::string ignored;
  reader.member("schema", ignored);
  kDescribeMachine(reader, machine);
  reader.finish();
  if (error) return *std::move(error);
  return machine;
}

std::string_view to_string(ReadingStatus status) {
  return kStatuses[static_cast<std::size_t>(status)].second;
}

Json reading_to_json(const Reading& reading) {
  Json::Object object;
  Writer writer(&object);
  kDescribeReading(writer, reading);
  return Json(std::move(object));
}

Result<Reading> reading_from_json(const Json& json, std::string_view where) {
  std::optional<Error> error;
  Reading reading;
  Reader reader(json, std::string(where), true, &error);
  kDescribeReading(reader, reading);
  reader.finish();
  if (error) return *std::move(error);
  return reading;
}

}  // namespace hwdb
