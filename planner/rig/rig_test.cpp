// SPDX-License-Identifier: MIT
#include "planner/rig/rig.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "hwdb/catalog.h"

namespace planner {
namespace {

using hwdb::Basis;
using hwdb::GpuInfo;
using hwdb::kGiB;

const hwdb::Catalog& catalog() {
  return hwdb::Catalog::builtin();
}

hwdb::Machine rig(std::string_view words) {
  auto machine = machine_from_words(catalog(), words);
  EXPECT_TRUE(machine) << words << ": "
                       << (machine ? ""
                                   : machine.error().code + " " + machine.error().what + " | " +
                                         machine.error().hint);
  return machine ? *machine : hwdb::Machine{};
}

std::string code_of(std::string_view words) {
  const auto machine = machine_from_words(catalog(), words);
  return machine ? "ok" : machine.error().code;
}

bool notes_say(const hwdb::Machine& machine, std::string_view words) {
  for (const std::string& note : machine.notes)
    if (note.find(words) != std::string::npos) return true;
  return false;
}

TEST(Rig, OneCardOfManyNames) {
  for (const char* words : {"RTX 4090", "NVIDIA GeForce RTX 4090", "4090", "rtx4090"}) {
    const hwdb::Machine m = rig(words);
    ASSERT_EQ(m.gpus.size(), 1u) << words;
    EXPECT_EQ(m.gpus[0].catalog_id, "nvidia-geforce-rtx-4090") << words;
    EXPECT_NEAR(m.gpus[0].bandwidth->value.value, 1008e9, 1e9);
    EXPECT_NEAR(m.gpus[0].power_limit->value.value, 450, 1e-9);
    EXPECT_EQ(m.gpus[0].backend, GpuInfo::Backend::cuda);
    EXPECT_NEAR(m.gpus[0].memory.value.as_double() / static_cast<double>(kGiB), 24, 0.1);
  }
}

TEST(Rig, GpuAloneGetsAPlainHostAndSaysSo) {
  const hwdb::Machine m = rig("RTX 4090");
  EXPECT_TRUE(m.described);
  EXPECT_EQ(m.memory.total.value.value, 64 * kGiB);
  EXPECT_EQ(m.memory.total.basis, Basis::assumed);
  EXPECT_EQ(m.memory.channels, 2u);
  EXPECT_GT(m.cpu.cores, 0u);
  EXPECT_EQ(m.gpus[0].link_name, "PCIe 4.0 x16");
  EXPECT_NEAR(m.gpus[0].host_link.value.value, 26.8e9, 0.2e9);
  EXPECT_EQ(m.gpus[0].host_link.basis, Basis::assumed);
  EXPECT_GT(m.base_idle.value.value, 0);
  for (const char* said : {"Processor: assumed", "Memory: assumed 64 GB", "Memory speed: assumed",
                           "full PCIe 4.0 x16 link", "at rest"})
    EXPECT_TRUE(notes_say(m, said)) << said;
}

TEST(Rig, SeveralCardsAndTheirLink) {
  const hwdb::Machine plain = rig("2x RTX 3090, 64GB DDR4-3200");
  ASSERT_EQ(plain.gpus.size(), 2u);
  EXPECT_EQ(plain.memory.type, "DDR4");
  EXPECT_EQ(plain.memory.total.basis, Basis::spec);
  EXPECT_NEAR(plain.memory.bandwidth.value.value, 3200e6 * 16, 1);
  ASSERT_TRUE(plain.gpu_link);
  EXPECT_NEAR(plain.gpu_link->value.value, plain.gpus[0].host_link.value.value, 1);
  const hwdb::Machine bridged = rig("2x RTX 3090, NVLink");
  EXPECT_GT(bridged.gpu_link->value.value, plain.gpu_link->value.value);
  EXPECT_TRUE(notes_say(bridged, "NVLink"));
  EXPECT_FALSE(rig("RTX 3090").gpu_link);
  const hwdb::Machine none = rig("2x RTX 4090, NVLink");
  EXPECT_TRUE(notes_say(none, "no NVLink"));
  EXPECT_EQ(rig("RTX 4090 + RTX 3090").gpus.size(), 2u);
}

TEST(Rig, CardProcessorAndMemory) {
  const hwdb::Machine m = rig("RX 7900 XTX + Ryzen 9 7950X + 96GB DDR5-6000");
  ASSERT_EQ(m.gpus.size(), 1u);
  EXPECT_EQ(m.gpus[0].catalog_id, "amd-radeon-rx-7900-xtx");
  EXPECT_EQ(m.gpus[0].memory.value.value, 24 * kGiB);
  EXPECT_EQ(m.gpus[0].backend, GpuInfo::Backend::rocm);
  EXPECT_EQ(m.cpu.catalog_id, "amd-ryzen-9-7950x");
  EXPECT_EQ(m.cpu.cores, 16u);
  EXPECT_EQ(m.memory.total.value.value, 96 * kGiB);
  EXPECT_NEAR(m.memory.bandwidth.value.value, 96e9, 1);
  EXPECT_EQ(m.form, "desktop");
}

TEST(Rig, ServerWithItsChannels) {
  const hwdb::Machine m = rig("EPYC 9554 12ch DDR5-4800");
  EXPECT_EQ(m.cpu.catalog_id, "amd-epyc-9554");
  EXPECT_NEAR(m.memory.bandwidth.value.value, 460.8e9, 1e6);
  EXPECT_EQ(m.memory.bandwidth.basis, Basis::spec);
  EXPECT_EQ(m.form, "server");
  EXPECT_TRUE(m.gpus.empty());
  EXPECT_TRUE(notes_say(m, "as much as AMD EPYC 9554 takes"));
  EXPECT_NEAR(rig("EPYC 9554, 6 channels DDR5-4800").memory.bandwidth.value.value, 230.4e9, 1e6);

  const hwdb::Machine alone = rig("EPYC 9554");
  EXPECT_NEAR(alone.memory.bandwidth.value.value, 460.8e9, 1e6);
  EXPECT_EQ(alone.memory.bandwidth.basis, Basis::assumed);
  const hwdb::Machine two = rig("2x EPYC 9554, 768GB");
  EXPECT_EQ(two.cpu.cores, 128u);
  EXPECT_EQ(two.cpu.packages, 2u);
  EXPECT_NEAR(two.memory.bandwidth.value.value, 921.6e9, 1e6);
  EXPECT_NEAR(rig("2x EPYC 9554 12ch DDR5-4800").memory.bandwidth.value.value, 921.6e9, 1e6);
}

TEST(Rig, UnifiedMemoryIsAShareAndNeverAdded) {
  const hwdb::Machine m = rig("Mac Studio M3 Ultra 512GB");
  ASSERT_EQ(m.gpus.size(), 1u);
  EXPECT_EQ(m.gpus[0].kind, GpuInfo::Kind::unified);
  EXPECT_EQ(m.gpus[0].backend, GpuInfo::Backend::metal);
  EXPECT_EQ(m.memory.total.value.value, 512 * kGiB);
  EXPECT_EQ(m.gpus[0].memory.value.value, 384 * kGiB);
  EXPECT_EQ(m.gpus[0].memory.basis, Basis::assumed);
  EXPECT_NEAR(m.gpus[0].bandwidth->value.value, 819.2e9, 1e8);
  EXPECT_EQ(m.base_idle.value.value, 9);
  EXPECT_TRUE(notes_say(m, "llama.cpp#1870"));
  EXPECT_EQ(rig("Mac Studio, M3 Ultra 512GB").memory.total.value.value, 512 * kGiB);

  const hwdb::Machine small = rig("M1 16GB");
  ASSERT_EQ(small.gpus.size(), 1u);
  EXPECT_NEAR(small.gpus[0].memory.value.as_double(), 16.0 * static_cast<double>(kGiB) * 2 / 3, 1);
  const hwdb::Machine variant = rig("Apple M2 Ultra (76-core GPU)");
  ASSERT_EQ(variant.gpus.size(), 1u);
  EXPECT_EQ(variant.gpus[0].catalog_id, "apple-m2-ultra-76-core-gpu");
  EXPECT_EQ(variant.cpu.catalog_id, "apple-m2-ultra");
  EXPECT_EQ(variant.memory.total.value.value, 192 * kGiB);

  for (const char* words :
       {"AMD Ryzen AI Max+ 395 (Strix Halo)", "Strix Halo 128GB", "8060S", "Framework Desktop"}) {
    const hwdb::Machine halo = rig(words);
    ASSERT_EQ(halo.gpus.size(), 1u) << words;
    EXPECT_EQ(halo.gpus[0].catalog_id, "amd-radeon-8060s");
    EXPECT_EQ(halo.gpus[0].kind, GpuInfo::Kind::unified);
    EXPECT_EQ(halo.gpus[0].memory.value.value, 96 * kGiB) << words;
  }
  for (const char* words : {"DGX Spark", "NVIDIA GB10 (DGX Spark)"}) {
    const hwdb::Machine spark = rig(words);
    ASSERT_EQ(spark.gpus.size(), 1u) << words;
    EXPECT_EQ(spark.gpus[0].catalog_id, "nvidia-gb10");
    EXPECT_EQ(spark.cpu.cores, 20u);
    EXPECT_LT(spark.gpus[0].memory.value, spark.memory.total.value);
  }
}

TEST(Rig, LaptopsBoardsAndPhones) {
  const hwdb::Machine laptop = rig("RTX 4060 Laptop");
  EXPECT_EQ(laptop.form, "laptop");
  EXPECT_EQ(laptop.gpus.at(0).form, "laptop");
  EXPECT_EQ(laptop.gpus.at(0).memory.value.value, 8 * kGiB);

  const hwdb::Machine pi = rig("Raspberry Pi 5");
  EXPECT_EQ(pi.form, "board");
  EXPECT_EQ(pi.memory.total.value.value, 8 * kGiB);
  EXPECT_NEAR(pi.memory.bandwidth.value.value, 17.1e9, 1e8);
  EXPECT_TRUE(pi.gpus.empty());
  EXPECT_EQ(rig("Raspberry Pi 5 16GB").memory.total.value.value, 16 * kGiB);

  const hwdb::Machine orion = rig("Orion O6");
  EXPECT_EQ(orion.cpu.cores, 12u);
  const hwdb::Machine ultra = rig("Core Ultra 7 165H");
  EXPECT_EQ(ultra.form, "laptop");
  EXPECT_NEAR(ultra.memory.bandwidth.value.value, 119.5e9, 1e8);
  EXPECT_TRUE(notes_say(ultra, "integrated graphics"));

  const hwdb::Machine phone = rig("iPhone 15 Pro");
  EXPECT_EQ(phone.form, "phone");
  EXPECT_EQ(phone.memory.total.value.value, 8 * kGiB);
  ASSERT_TRUE(phone.memory.limit);
  EXPECT_EQ(phone.memory.limit->value.value, 4 * kGiB);
  EXPECT_EQ(phone.memory.limit->basis, Basis::assumed);
}

TEST(Rig, SizesOfOneName) {
  EXPECT_EQ(rig("A770").gpus.at(0).vendor, "Intel");
  EXPECT_EQ(rig("A770 16GB").gpus.at(0).memory.value.value, 16 * kGiB);
  EXPECT_EQ(rig("A770 8GB").gpus.at(0).memory.value.value, 8 * kGiB);
  const hwdb::Machine ti = rig("RTX 4060 Ti 16GB, 32GB DDR5-5600");
  EXPECT_NEAR(ti.gpus.at(0).memory.value.as_double() / static_cast<double>(kGiB), 16, 0.1);
  EXPECT_EQ(ti.memory.total.value.value, 32 * kGiB);
  const auto wrong = machine_from_words(catalog(), "RTX 3090 17GB");
  ASSERT_FALSE(wrong);
}

TEST(Rig, BoardsOfSeveralDevices) {
  const hwdb::Machine k80 = rig("Tesla K80");
  ASSERT_EQ(k80.gpus.size(), 2u);
  EXPECT_EQ(k80.gpus[0].memory.value.value, 12 * kGiB);
  const hwdb::Machine mi250 = rig("MI250");
  ASSERT_EQ(mi250.gpus.size(), 2u);
  EXPECT_EQ(mi250.gpus[0].memory.value.value, 64 * kGiB);
  EXPECT_NEAR(mi250.gpus[0].bandwidth->value.value, 3276.8e9 / 2, 1e9);
}

TEST(Rig, DescribedParts) {
  const hwdb::Machine m =
      rig("gpu:vram=24GiB,bw=1008GB/s,fp16=165T,tdp=450W,name=My card, power=300W");
  ASSERT_EQ(m.gpus.size(), 1u);
  EXPECT_EQ(m.gpus[0].name, "My card");
  EXPECT_EQ(m.gpus[0].memory.value.value, 24 * kGiB);
  EXPECT_NEAR(m.gpus[0].bandwidth->value.value, 1008e9, 1);
  EXPECT_NEAR(m.gpus[0].peak_fp16->value.value, 165e12, 1);
  EXPECT_EQ(m.gpus[0].power_limit->value.value, 300);
  const hwdb::Machine cpu = rig("cpu:cores=8,bw=50GB/s,ram=32GB");
  EXPECT_EQ(cpu.cpu.cores, 8u);
  EXPECT_EQ(cpu.memory.total.value.value, 32 * kGiB);
  EXPECT_NEAR(cpu.memory.bandwidth.value.value, 50e9, 1);
  EXPECT_EQ(code_of("gpu:bw=1008GB/s"), "rig.syntax");
  EXPECT_EQ(code_of("gpu:vram=24GiB,colour=red"), "rig.syntax");
  EXPECT_EQ(code_of("gpu:vram=24GiB,bw=fast"), "rig.syntax");
  EXPECT_EQ(code_of("gpu:vram=24GiB,bw=1B/s"), "rig.range");
  EXPECT_EQ(code_of("cpu:cores=0"), "rig.range");
  EXPECT_EQ(code_of("cpu:cores=1e30"), "rig.range");
  EXPECT_EQ(code_of("cpu:cores=nan"), "rig.syntax");
}

TEST(Rig, UnknownAndContradictingWords) {
  const auto unknown = machine_from_words(catalog(), "RTX 4091");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "name.unknown");
  EXPECT_NE(unknown.error().hint.find("4090"), std::string::npos) << unknown.error().hint;
  EXPECT_EQ(code_of("Flux Capacitor"), "name.unknown");
  EXPECT_EQ(code_of("64GB DDR5-5600"), "rig.syntax");
  EXPECT_EQ(code_of("EPYC 9554, Ryzen 9 7950X"), "rig.syntax");
  EXPECT_EQ(code_of("RTX 4090, 64GB, 32GB"), "rig.syntax");
  EXPECT_EQ(code_of("2x DGX Spark"), "rig.range");
}

TEST(Rig, EveryRowOfTheCatalogueMakesAMachine) {
  std::size_t speed_known = 0;
  for (const hwdb::GpuRow& row : catalog().gpus()) {
    const GpuInfo gpu = gpu_from_row(catalog(), row, 0);
    EXPECT_GT(gpu.memory.value.value, 0u) << row.id;
    EXPECT_LE(gpu.memory.value.value, 2048 * kGiB) << row.id;
    EXPECT_FALSE(gpu.link_name.empty()) << row.id;
    if (gpu.bandwidth) ++speed_known;
    if (!row.origin.verified && gpu.bandwidth) {
      EXPECT_EQ(gpu.bandwidth->basis, Basis::unverified) << row.id;
    }
  }
  EXPECT_GT(speed_known, 490u);
  for (const hwdb::CpuRow& row : catalog().cpus()) {
    const auto machine = machine_from_words(catalog(), row.name);
    if (!machine) {
      EXPECT_EQ(machine.error().code, "name.ambiguous") << row.name;
      continue;
    }
    EXPECT_GT(machine->memory.total.value.value, 0u) << row.id;
    EXPECT_GT(machine->memory.bandwidth.value.value, 0) << row.id;
  }
  for (const hwdb::SystemRow& row : catalog().systems()) {
    const hwdb::Machine machine = rig(row.name);
    EXPECT_GT(machine.memory.total.value.value, 0u) << row.id;
    EXPECT_GT(machine.memory.bandwidth.value.value, 0) << row.id;
  }
}

TEST(Rig, RandomWordsEndInAnAnswer) {
  const std::vector<std::string> pieces = {
      "RTX",      "4090",      " ",          " ",     ", ",     " + ",   "(",      ")",
      "2x ",      "64GB",      "DDR5",       "-6000", "gpu:",   "vram=", "24GiB",  "cpu:",
      "M3 Ultra", "EPYC 9554", "Mac Studio", "16GB",  "Laptop", "12ch",  "NVLink", "power=",
      "300W",     "\xc3\xa9",  "Pi 5",       "bw=",   "1e300"};
  std::mt19937 random(11);
  std::size_t ok = 0;
  for (int i = 0; i < 500; ++i) {
    std::string words;
    for (std::uint32_t n = random() % 8; n > 0; --n) words += pieces[random() % pieces.size()];
    const auto machine = machine_from_words(catalog(), words);
    if (machine) {
      ++ok;
      EXPECT_GT(machine->memory.total.value.value, 0u) << words;
      EXPECT_TRUE(std::isfinite(machine->memory.bandwidth.value.value)) << words;
    } else {
      const std::string& code = machine.error().code;
      EXPECT_TRUE(code.starts_with("rig.") || code.starts_with("name.")) << words << ": " << code;
    }
  }
  EXPECT_GT(ok, 10u);
}

TEST(Completion, ADetectedCardIsFoundByIdThenSize) {
  hwdb::Machine machine;
  machine.cpu.name = "AMD Ryzen 9 7950X 16-Core Processor";
  machine.cpu.cores = 16;
  machine.cpu.threads = 32;
  GpuInfo gpu;
  gpu.name = "AMD Radeon RX 7900 XTX (RADV NAVI31)";
  gpu.pci_id = "1002:744c";
  gpu.memory = {hwdb::Bytes(24 * kGiB - 16 * hwdb::kMiB), Basis::detected, "sysfs", ""};
  machine.gpus.push_back(gpu);
  complete_from_catalog(catalog(), &machine);
  EXPECT_EQ(machine.gpus[0].catalog_id, "amd-radeon-rx-7900-xtx");
  EXPECT_NEAR(machine.gpus[0].bandwidth->value.value, 960e9, 1e9);
  EXPECT_EQ(machine.gpus[0].memory.basis, Basis::detected) << "what was detected stays";
  EXPECT_EQ(machine.cpu.catalog_id, "amd-ryzen-9-7950x");
  EXPECT_NEAR(machine.memory.bandwidth.value.value, 83.2e9, 1e8);
  EXPECT_GT(machine.base_idle.value.value, 0);
  EXPECT_GE(machine.notes.size(), 2u);
}

TEST(Completion, UnknownPartsAreSaidToBeUnknown) {
  hwdb::Machine machine;
  machine.cpu.name = "Zhaoxin Mystery 9000";
  GpuInfo gpu;
  gpu.name = "Mystery Accelerator";
  gpu.memory = {hwdb::Bytes(8 * kGiB), Basis::detected, "sysfs", ""};
  machine.gpus.push_back(gpu);
  complete_from_catalog(catalog(), &machine);
  EXPECT_FALSE(machine.gpus[0].bandwidth);
  EXPECT_TRUE(notes_say(machine, "no speed can be said"));
  EXPECT_TRUE(notes_say(machine, "is not in the catalogue"));
  EXPECT_EQ(machine.memory.bandwidth.basis, Basis::assumed);
}

}  // namespace
}  // namespace planner
