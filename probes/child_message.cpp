// SPDX-License-Identifier: MIT
#include "probes/child_message.h"

#include <limits>
#include <optional>
#include <type_traits>

#include "hwdb/json.h"
#include "probes/sys_root.h"

namespace probes {
namespace {

using engine::NvmlAnswer;
using engine::NvmlDevice;
using engine::VulkanDevice;
using engine::VulkanHeap;
using hwdb::Json;

constexpr std::size_t kMaxDevices = 256, kMaxHeaps = 64, kMaxText = 512;
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 50;
constexpr std::uint64_t kMaxWord = std::numeric_limits<std::uint32_t>::max();

Json error_json(const hwdb::Error& e) {
  return Json(Json::Object{
      {"error", Json(Json::Object{
                    {"code", Json(e.code)}, {"what", Json(e.what)}, {"hint", Json(e.hint)}})}});
}

template <class T>
void put(Json::Object* out, const char* key, const std::optional<T>& v) {
  if constexpr (std::is_floating_point_v<T>) {
    if (v) out->emplace_back(key, Json(double{*v}));
  } else {
    if (v) out->emplace_back(key, Json(std::uint64_t{*v}));
  }
}

Json to_json(const VulkanDevice& d) {
  Json::Array heaps;
  for (const VulkanHeap& h : d.heaps) {
    Json::Object heap = {{"size_bytes", Json(h.size_bytes)},
                         {"device_local", Json(h.device_local)}};
    put(&heap, "budget_bytes", h.budget_bytes);
    put(&heap, "usage_bytes", h.usage_bytes);
    heaps.emplace_back(std::move(heap));
  }
  return Json(Json::Object{{"name", Json(d.name)},
                           {"type", Json(static_cast<int>(d.type))},
                           {"vendor_id", Json(std::uint64_t{d.vendor_id})},
                           {"device_id", Json(std::uint64_t{d.device_id})},
                           {"driver_id", Json(std::uint64_t{d.driver_id})},
                           {"driver_name", Json(d.driver_name)},
                           {"driver_info", Json(d.driver_info)},
                           {"api_version", Json(d.api_version)},
                           {"uuid", Json(d.uuid)},
                           {"luid", Json(d.luid)},
                           {"pci_address", Json(d.pci_address)},
                           {"subgroup_size", Json(std::uint64_t{d.subgroup_size})},
                           {"min_subgroup_size", Json(std::uint64_t{d.min_subgroup_size})},
                           {"max_subgroup_size", Json(std::uint64_t{d.max_subgroup_size})},
                           {"max_buffer_bytes", Json(d.max_buffer_bytes)},
                           {"max_allocation_bytes", Json(d.max_allocation_bytes)},
                           {"storage_16bit", Json(d.storage_16bit)},
                           {"shader_float16", Json(d.shader_float16)},
                           {"shader_int8", Json(d.shader_int8)},
                           {"int_dot", Json(d.int_dot)},
                           {"matrix", Json(d.matrix)},
                           {"matrix_bf16", Json(d.matrix_bf16)},
                           {"heaps", Json(std::move(heaps))}});
}

Json to_json(const NvmlDevice& d) {
  Json::Object out = {{"name", Json(d.name)},
                      {"uuid", Json(d.uuid)},
                      {"pci_address", Json(d.pci_address)},
                      {"pci_id", Json(std::uint64_t{d.pci_id})},
                      {"compute_capability", Json(d.compute_capability)},
                      {"mig", Json(d.mig)}};
  put(&out, "memory_total_bytes", d.memory_total_bytes);
  put(&out, "memory_free_bytes", d.memory_free_bytes);
  put(&out, "power_limit_watts", d.power_limit_watts);
  put(&out, "power_watts", d.power_watts);
  put(&out, "energy_joules", d.energy_joules);
  put(&out, "max_pcie_gen", d.max_pcie_gen);
  put(&out, "max_pcie_width", d.max_pcie_width);
  put(&out, "pcie_width", d.pcie_width);
  return Json(std::move(out));
}

/// Reads members; `good` turns false at the first that is missing or out of range.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(json), good_(json.is_object()) {}
  bool good() const { return good_; }

  std::string text(const char* key) {
    const Json* j = json_.find(key);
    const std::string* s = j != nullptr ? j->as_string() : nullptr;
    good_ = good_ && s != nullptr && s->size() <= kMaxText;
    return good_ ? *s : std::string();
  }
  bool flag(const char* key) {
    const Json* j = json_.find(key);
    const auto b = j != nullptr ? j->as_bool() : std::nullopt;
    good_ = good_ && b.has_value();
    return b.value_or(false);
  }
  std::uint64_t number(const char* key, std::uint64_t max) {
    const auto n = maybe_number(key, max);
    good_ = good_ && n.has_value();
    return n.value_or(0);
  }
  std::uint32_t word(const char* key) { return static_cast<std::uint32_t>(number(key, kMaxWord)); }
  /// Absent is fine; there but wrong is not.
  std::optional<std::uint64_t> maybe_number(const char* key, std::uint64_t max) {
    const Json* j = json_.find(key);
    if (j == nullptr) return std::nullopt;
    const auto n = j->as_uint64();
    good_ = good_ && n && *n <= max;
    return good_ ? n : std::nullopt;
  }
  std::optional<std::uint32_t> maybe_word(const char* key, std::uint64_t max) {
    const auto n = maybe_number(key, max);
    return n ? std::optional(static_cast<std::uint32_t>(*n)) : std::nullopt;
  }
  std::optional<double> maybe_watts(const char* key) { return maybe_real(key, 0.001, 1e5); }
  std::optional<double> maybe_real(const char* key, double least, double most) {
    const Json* j = json_.find(key);
    if (j == nullptr) return std::nullopt;
    const auto n = j->as_double();
    good_ = good_ && n && *n >= least && *n < most;
    return good_ ? n : std::nullopt;
  }
  const Json::Array& list(const char* key, std::size_t max) {
    static const Json::Array kNone;
    const Json* j = json_.find(key);
    const Json::Array* a = j != nullptr ? j->as_array() : nullptr;
    good_ = good_ && a != nullptr && a->size() <= max;
    return good_ ? *a : kNone;
  }
  void require(bool condition) { good_ = good_ && condition; }

 private:
  const Json& json_;
  bool good_;
};

VulkanDevice vulkan_device(const Json& json, bool* good) {
  Fields f(json);
  VulkanDevice d;
  d.name = f.text("name");
  d.type = static_cast<VulkanDevice::Type>(
      f.number("type", static_cast<std::uint64_t>(VulkanDevice::Type::cpu)));
  d.vendor_id = f.word("vendor_id");
  d.device_id = f.word("device_id");
  d.driver_id = f.word("driver_id");
  d.driver_name = f.text("driver_name");
  d.driver_info = f.text("driver_info");
  d.api_version = f.text("api_version");
  d.uuid = f.text("uuid");
  d.luid = f.text("luid");
  d.pci_address = f.text("pci_address");
  d.subgroup_size = f.word("subgroup_size");
  d.min_subgroup_size = f.word("min_subgroup_size");
  d.max_subgroup_size = f.word("max_subgroup_size");
  // Drivers without a limit say 2^64 - 1.
  d.max_buffer_bytes = f.number("max_buffer_bytes", std::numeric_limits<std::uint64_t>::max());
  d.max_allocation_bytes =
      f.number("max_allocation_bytes", std::numeric_limits<std::uint64_t>::max());
  d.storage_16bit = f.flag("storage_16bit");
  d.shader_float16 = f.flag("shader_float16");
  d.shader_int8 = f.flag("shader_int8");
  d.int_dot = f.flag("int_dot");
  d.matrix = f.flag("matrix");
  d.matrix_bf16 = f.flag("matrix_bf16");
  for (const Json& item : f.list("heaps", kMaxHeaps)) {
    Fields h(item);
    VulkanHeap heap;
    heap.size_bytes = h.number("size_bytes", kMaxBytes);
    heap.device_local = h.flag("device_local");
    heap.budget_bytes = h.maybe_number("budget_bytes", kMaxBytes);
    heap.usage_bytes = h.maybe_number("usage_bytes", kMaxBytes);
    f.require(h.good());
    d.heaps.push_back(heap);
  }
  *good = *good && f.good();
  return d;
}

NvmlDevice nvml_device(const Json& json, bool* good) {
  Fields f(json);
  NvmlDevice d;
  d.name = f.text("name");
  d.uuid = f.text("uuid");
  d.pci_address = f.text("pci_address");
  d.pci_id = f.word("pci_id");
  d.compute_capability = f.text("compute_capability");
  d.mig = f.flag("mig");
  d.memory_total_bytes = f.maybe_number("memory_total_bytes", kMaxBytes);
  d.memory_free_bytes = f.maybe_number("memory_free_bytes", kMaxBytes);
  d.power_limit_watts = f.maybe_watts("power_limit_watts");
  d.power_watts = f.maybe_real("power_watts", 0, 1e5);
  d.energy_joules = f.maybe_real("energy_joules", 0, 1e15);
  d.max_pcie_gen = f.maybe_word("max_pcie_gen", 32);
  d.max_pcie_width = f.maybe_word("max_pcie_width", 64);
  d.pcie_width = f.maybe_word("pcie_width", 64);
  *good = *good && f.good();
  return d;
}

hwdb::Error bad_message(std::string what) {
  return {"probe.message", std::move(what), "the probe's child process", ""};
}

/// The message as a document; its own error as ours.
hwdb::Result<Json> open_message(std::string_view text) {
  if (trim(text).empty()) return bad_message("it wrote no message");
  auto json = hwdb::parse_json(text, "message");
  if (!json) return bad_message("its message is no JSON: " + json.error().what);
  if (const Json* error = json->find("error")) {
    Fields f(*error);
    hwdb::Error e{f.text("code"), f.text("what"), "", f.text("hint")};
    if (!f.good() || !e.code.starts_with("probe.")) return bad_message("its error is not readable");
    return e;
  }
  return json;
}

}  // namespace

std::string write_vulkan_message(const VulkanAnswer& answer) {
  if (!answer) return hwdb::write_json(error_json(answer.error()));
  Json::Array devices;
  for (const VulkanDevice& d : *answer) devices.push_back(to_json(d));
  return hwdb::write_json(Json(Json::Object{{"devices", Json(std::move(devices))}}));
}

std::string write_nvml_message(const NvmlResult& answer) {
  if (!answer) return hwdb::write_json(error_json(answer.error()));
  Json::Array devices;
  for (const NvmlDevice& d : answer->devices) devices.push_back(to_json(d));
  return hwdb::write_json(Json(Json::Object{{"driver_version", Json(answer->driver_version)},
                                            {"devices", Json(std::move(devices))}}));
}

VulkanAnswer read_vulkan_message(std::string_view text) {
  const auto json = open_message(text);
  if (!json) return json.error();
  Fields f(*json);
  bool good = true;
  std::vector<VulkanDevice> devices;
  for (const Json& item : f.list("devices", kMaxDevices))
    devices.push_back(vulkan_device(item, &good));
  if (!good || !f.good()) return bad_message("its message does not say what was asked");
  return devices;
}

NvmlResult read_nvml_message(std::string_view text) {
  const auto json = open_message(text);
  if (!json) return json.error();
  Fields f(*json);
  bool good = true;
  NvmlAnswer answer;
  answer.driver_version = f.text("driver_version");
  for (const Json& item : f.list("devices", kMaxDevices))
    answer.devices.push_back(nvml_device(item, &good));
  if (!good || !f.good()) return bad_message("its message does not say what was asked");
  return answer;
}

}  // namespace probes
