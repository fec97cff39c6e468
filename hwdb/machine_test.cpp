// SPDX-License-Identifier: MIT
#include "hwdb/machine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace hwdb {
namespace {

/// A machine in which every member differs from its default.
Machine full_machine() {
  Machine m;
  m.name = "test rig";
  m.form = "laptop";
  m.os = "Debian GNU/Linux 12 (bookworm)";
  m.environment = "kvm";
  m.described = true;
  m.cpu.name = "AMD Ryzen 9 7950X";
  m.cpu.catalog_id = "amd-ryzen-9-7950x";
  m.cpu.packages = 2;
  m.cpu.cores = 16;
  m.cpu.threads = 32;
  m.cpu.performance_cores = 8;
  m.cpu.usable_threads = 30;
  m.cpu.isa = {"avx2", "avx512f"};
  m.cpu.peak_fp32 = {FlopsPerSecond(1.2e12), Basis::spec, "catalogue", "2025-01-15"};
  m.cpu.peak_int8 = {FlopsPerSecond(4.8e12), Basis::modelled, "ISA x clock", ""};
  m.cpu.tdp = {Watts(170), Basis::spec, "catalogue", ""};
  m.cpu.cache_bytes = {32768, 1048576, 33554432};
  m.cpu.last_level_cache_total_bytes = 67108864;
  m.cpu.numa_nodes = 4;
  m.memory.total = {Bytes(67330347008), Basis::detected, "/proc/meminfo", ""};
  m.memory.available = {Bytes(60000000000), Basis::detected, "/proc/meminfo", ""};
  m.memory.limit = {Bytes(34359738368), Basis::detected, "cgroup", ""};
  m.memory.bandwidth = {BytesPerSecond(83.2e9), Basis::assumed, "all channels filled", ""};
  m.memory.type = "DDR5";
  m.memory.rate_mt_per_s = 5200;
  m.memory.channels = 2;
  GpuInfo g;
  g.name = "NVIDIA GeForce RTX 4090";
  g.catalog_id = "nvidia-geforce-rtx-4090";
  g.vendor = "NVIDIA";
  g.arch = "Ada";
  g.kind = GpuInfo::Kind::unified;
  g.backend = GpuInfo::Backend::cuda;
  g.memory = {Bytes(25757220864), Basis::detected, "NVML", ""};
  g.available = {Bytes(25000000000), Basis::detected, "NVML", ""};
  g.bandwidth = {BytesPerSecond(1008e9), Basis::spec, "catalogue", ""};
  g.peak_fp16 = {FlopsPerSecond(165.2e12), Basis::spec, "catalogue", ""};
  g.peak_fp32 = {FlopsPerSecond(82.6e12), Basis::spec, "catalogue", ""};
  g.peak_int8 = {FlopsPerSecond(660e12), Basis::spec, "catalogue", ""};
  g.power_limit = {Watts(450), Basis::detected, "NVML", ""};
  g.idle = {Watts(20), Basis::unverified, "catalogue", ""};
  g.host_link = {BytesPerSecond(31.5e9), Basis::detected, "sysfs", ""};
  g.link_name = "PCIe 4.0 x16";
  g.price_usd = {1599.0, Basis::spec, "catalogue", "2022-10-12"};
  g.pci_address = "0000:01:00.0";
  g.pci_id = "10de:2684";
  g.uuid = "GPU-1";
  g.driver = "NVIDIA 550.1";
  g.form = "laptop";
  m.gpus = {g, GpuInfo{}};
  m.gpu_link = {BytesPerSecond(15.8e9), Basis::assumed, "PCIe", ""};
  m.base_idle = {Watts(60), Basis::assumed, "default", ""};
  m.price_usd = {3999.0, Basis::spec, "catalogue", ""};
  m.software_renderers = {{"llvmpipe (LLVM 15.0.6, 256 bits)", "llvmpipe"}};
  m.notes = {"Memory bandwidth is assumed."};
  Reading r;
  r.id = "gpu.read_bandwidth";
  r.value = 9.4e11;
  r.unit = "B/s";
  r.spread = 0.01;
  r.method = "sums a buffer";
  r.reason = "on battery";
  r.samples = {9.3e11, 9.4e11, 9.5e11};
  r.device = "0000:01:00.0";
  r.as_of = "2025-01-15";
  Reading failed;
  failed.id = "gpu.fp16_rate";
  failed.status = ReadingStatus::unsupported;
  failed.reason = "no fp16";
  m.readings = {r, failed};
  return m;
}

/// The full machine's JSON with one value replaced; `path` is keys and list indices.
Json with_value(std::initializer_list<std::string_view> path, Json value) {
  Json json = machine_to_json(full_machine());
  Json* at = &json;
  for (const std::string_view step : path) {
    if (Json::Array* list = at->as_array()) {
      at = &(*list)[static_cast<std::size_t>(step[0] - '0')];
      continue;
    }
    Json::Object& object = *at->as_object();
    Json* next = nullptr;
    for (auto& [key, member] : object) {
      if (key == step) next = &member;
    }
    if (next == nullptr) next = &object.emplace_back(std::string(step), Json()).second;
    at = next;
  }
  *at = std::move(value);
  return json;
}

std::string code_of(const Json& json) {
  const auto result = machine_from_json(json, "rig.json");
  return result ? "ok" : result.error().code;
}

TEST(Machine, EveryMemberSurvivesTheRoundTrip) {
  const std::string text = write_json(machine_to_json(full_machine()));
  const auto parsed = parse_json(text, "rig.json");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().what;
  const auto back = machine_from_json(*parsed, "rig.json");
  ASSERT_TRUE(back.has_value()) << back.error().where << ": " << back.error().what;
  EXPECT_EQ(write_json(machine_to_json(*back)), text);
  EXPECT_EQ(back->gpus[0].memory.value.value, 25757220864u);
  EXPECT_EQ(back->gpus[0].kind, GpuInfo::Kind::unified);
  EXPECT_EQ(back->gpus[0].pci_id, "10de:2684");
  EXPECT_EQ(back->cpu.peak_int8->value.value, 4.8e12);
  EXPECT_EQ(back->memory.limit->basis, Basis::detected);
  EXPECT_EQ(back->software_renderers[0].driver, "llvmpipe");
  EXPECT_TRUE(back->described);
  // No key of the record may be missing from the text: each is named once per object at least.
  for (const std::string_view key :
       {"catalog_id", "usable_threads", "peak_int8_ops_per_s", "last_level_cache_total_bytes",
        "rate_mt_per_s", "idle_watts", "host_link_bytes_per_s", "gpu_link_bytes_per_s",
        "base_idle_watts", "price_usd", "uuid", "form", "notes", "environment"}) {
    EXPECT_NE(text.find('"' + std::string(key) + '"'), std::string::npos) << key;
  }
}

TEST(Machine, UnknownIsAbsentNotZero) {
  const std::string text = write_json(machine_to_json(Machine{}));
  EXPECT_EQ(text.find("bandwidth"), std::string::npos);
  EXPECT_EQ(text.find("\"cores\""), std::string::npos);
  const auto back = machine_from_json(*parse_json(text, "m"), "m");
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->memory.bandwidth.value.value, 0);
  EXPECT_FALSE(back->memory.available.has_value());
}

TEST(Machine, UnknownKeysAreNamed) {
  const auto result = machine_from_json(with_value({"gpus", "0", "memori_bytes"}, 1), "rig.json");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, "row.unknown_key");
  EXPECT_NE(result.error().what.find("memori_bytes"), std::string::npos);
  EXPECT_NE(result.error().where.find("rig.json: gpus[0]"), std::string::npos);
  EXPECT_EQ(code_of(with_value({"memory", "total_bytes", "unit"}, "B")), "row.unknown_key");
}

TEST(Machine, TypesAreChecked) {
  EXPECT_EQ(code_of(with_value({"name"}, 3)), "row.type");
  EXPECT_EQ(code_of(with_value({"cpu"}, "fast")), "row.type");
  EXPECT_EQ(code_of(with_value({"gpus"}, Json::Object{})), "row.type");
  EXPECT_EQ(code_of(with_value({"gpus", "0", "kind"}, "external")), "row.type");
  EXPECT_EQ(code_of(with_value({"memory", "total_bytes", "value"}, "64 GiB")), "row.type");
  EXPECT_EQ(code_of(with_value({"memory", "total_bytes", "basis"}, "guessed")), "row.type");
  EXPECT_EQ(code_of(with_value({"described"}, 1)), "row.type");
  EXPECT_EQ(code_of(Json(Json::Array{})), "row.type");
}

TEST(Machine, RangesAreChecked) {
  EXPECT_EQ(code_of(with_value({"memory", "total_bytes", "value"}, -1)), "machine.range");
  EXPECT_EQ(code_of(with_value({"memory", "total_bytes", "value"}, 1.5)), "machine.range");
  EXPECT_EQ(code_of(with_value({"memory", "total_bytes", "value"}, 1e30)), "machine.range");
  EXPECT_EQ(code_of(with_value({"memory", "bandwidth_bytes_per_s", "value"}, -83e9)),
            "machine.range");
  EXPECT_EQ(code_of(with_value({"memory", "bandwidth_bytes_per_s", "value"},
                               std::numeric_limits<double>::quiet_NaN())),
            "machine.range");
  EXPECT_EQ(code_of(with_value({"gpus", "0", "power_limit_watts", "value"},
                               std::numeric_limits<double>::infinity())),
            "machine.range");
  EXPECT_EQ(code_of(with_value({"cpu", "cores"}, -4)), "machine.range");
  EXPECT_EQ(code_of(with_value({"cpu", "cores"}, std::int64_t{1} << 40)), "machine.range");
  EXPECT_EQ(code_of(with_value({"name"}, std::string(5000, 'x'))), "machine.range");
  EXPECT_EQ(code_of(with_value({"notes"}, Json::Array(1025, Json("x")))), "machine.range");
  // At the limits.
  EXPECT_EQ(code_of(with_value({"memory", "total_bytes", "value"}, std::uint64_t{1} << 50)), "ok");
  EXPECT_EQ(code_of(with_value({"memory", "total_bytes", "value"}, (std::uint64_t{1} << 50) + 1)),
            "machine.range");
  EXPECT_EQ(code_of(with_value({"notes"}, Json::Array(1024, Json("x")))), "ok");
}

TEST(Machine, SchemaDecidesWhatIsRead) {
  EXPECT_EQ(code_of(with_value({"schema"}, "2.0")), "machine.schema");
  EXPECT_EQ(code_of(with_value({"schema"}, "one")), "machine.schema");
  EXPECT_EQ(code_of(with_value({"schema"}, 1.0)), "machine.schema");
  EXPECT_EQ(code_of(Json(Json::Object{})), "machine.schema");
  // A newer minor only adds: its keys are skipped.
  Json newer = with_value({"schema"}, "1.7");
  newer.as_object()->emplace_back("battery_wh", Json(50));
  EXPECT_EQ(code_of(newer), "ok");
}

TEST(Machine, ReadingsKeepAllTheirMembers) {
  const auto back = machine_from_json(machine_to_json(full_machine()), "rig.json");
  ASSERT_TRUE(back.has_value());
  ASSERT_EQ(back->readings.size(), 2u);
  const Reading& r = back->readings[0];
  EXPECT_EQ(r.value, 9.4e11);
  EXPECT_EQ(r.spread, 0.01);
  EXPECT_EQ(r.samples, (std::vector<double>{9.3e11, 9.4e11, 9.5e11}));
  EXPECT_EQ(r.device, "0000:01:00.0");
  EXPECT_EQ(r.as_of, "2025-01-15");
  EXPECT_EQ(r.reason, "on battery");
  EXPECT_EQ(back->readings[1].status, ReadingStatus::unsupported);
  EXPECT_TRUE(back->readings[1].samples.empty());
}

TEST(Machine, OnlyReadingsNeedTheNewerSchema) {
  Machine m = full_machine();
  EXPECT_EQ(*machine_to_json(m).find("schema")->as_string(), "1.1");
  m.readings.clear();
  EXPECT_EQ(*machine_to_json(m).find("schema")->as_string(), "1.0");
}

TEST(Machine, ReadingsThatSayTooMuchOrTooLittleAreRefused) {
  EXPECT_EQ(code_of(with_value({"readings", "0", "status"}, Json("good"))), "row.type");
  EXPECT_EQ(code_of(with_value({"readings", "0", "value"}, Json(-1.0))), "machine.range");
  EXPECT_EQ(code_of(with_value({"readings", "0", "value"}, Json(1e30))), "machine.range");
  EXPECT_EQ(code_of(with_value({"readings", "0", "value"}, Json("fast"))), "row.type");
  EXPECT_EQ(code_of(with_value({"readings", "0", "samples"}, Json(3.0))), "row.type");
  EXPECT_EQ(code_of(with_value({"readings", "0", "why"}, Json("x"))), "row.unknown_key");
  // A value belongs to ok, and to nothing else.
  EXPECT_EQ(code_of(with_value({"readings", "0", "status"}, Json("error"))), "row.type");
  EXPECT_EQ(code_of(with_value({"readings", "1", "status"}, Json("ok"))), "row.type");
}

}  // namespace
}  // namespace hwdb
