// SPDX-License-Identifier: MIT
#include "hwdb/catalog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

namespace hwdb {
namespace {

const Catalog& catalog() {
  return Catalog::builtin();
}

template <class T>
std::string id_or_error(const Result<const T*>& found) {
  return found ? (*found)->id : found.error().code;
}

struct Named {
  const char* name;
  const char* id;
};

TEST(FindGpu, NamesOfVendorsPeopleAndTables) {
  for (const Named& n : std::vector<Named>{
           {"RTX 4090", "nvidia-geforce-rtx-4090"},
           {"NVIDIA GeForce RTX 4090", "nvidia-geforce-rtx-4090"},
           {"4090", "nvidia-geforce-rtx-4090"},
           {"rtx4090", "nvidia-geforce-rtx-4090"},
           {"RTX 4090 48GB", "nvidia-geforce-rtx-4090-48-gb-modified"},
           {"7900 XTX", "amd-radeon-rx-7900-xtx"},
           {"AMD Radeon RX 7900 XTX (RADV NAVI31)", "amd-radeon-rx-7900-xtx"},
           {"M3 Ultra", "apple-m3-ultra-80-core-gpu"},
           {"Apple M2 Ultra (76-core GPU)", "apple-m2-ultra-76-core-gpu"},
           {"Apple M2 Ultra (60-core GPU)", "apple-m2-ultra-60-core-gpu"},
           {"A770", "intel-arc-a770"},
           {"A770 8GB", "intel-arc-a770-8-gb"},
           {"Intel(R) Arc(tm) A770 Graphics (DG2)", "intel-arc-a770"},
           {"RTX 4060 Laptop", "nvidia-geforce-rtx-4060-mobile"},
           {"NVIDIA GeForce RTX 4060 Laptop GPU", "nvidia-geforce-rtx-4060-mobile"},
           {"RTX 4060 Ti 16GB", "nvidia-geforce-rtx-4060-ti-16-gb"},
           {"RTX 4060 Ti 8 GiB", "nvidia-geforce-rtx-4060-ti-8-gb"},
           {"3060", "nvidia-geforce-rtx-3060-12-gb"},
           {"DGX Spark", "nvidia-gb10"},
           {"NVIDIA GB10 (DGX Spark)", "nvidia-gb10"},
           {"AMD Ryzen AI Max+ 395 (Strix Halo)", "amd-radeon-8060s"},
           {"A100 80GB", "nvidia-a100-sxm4-80-gb"},
           {"H100", "nvidia-h100-sxm5-80-gb"},
           {"RTX PRO 6000", "nvidia-rtx-pro-6000-blackwell"},
       }) {
    EXPECT_EQ(id_or_error(catalog().find_gpu(n.name)), n.id) << n.name;
  }
}

TEST(FindGpu, MissesNameTheNearest) {
  const auto unknown = catalog().find_gpu("RTX 4091");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "name.unknown");
  EXPECT_EQ(unknown.error().where, "RTX 4091");
  EXPECT_NE(unknown.error().hint.find("GeForce RTX 4090"), std::string::npos)
      << unknown.error().hint;
  const auto size = catalog().find_gpu("RTX 3090 48GB");
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().code, "name.unknown");
  EXPECT_NE(size.error().hint.find("RTX 3090"), std::string::npos);
  EXPECT_EQ(id_or_error(catalog().find_gpu("")), "name.unknown");
  EXPECT_EQ(id_or_error(catalog().find_gpu("()")), "name.unknown");
  EXPECT_EQ(id_or_error(catalog().find_gpu(std::string(100000, '('))), "name.unknown");
}

TEST(FindCpu, NamesOfVendorsPeopleAndOperatingSystems) {
  for (const Named& n : std::vector<Named>{
           {"Core Ultra 7 165H", "intel-core-ultra-7-165h"},
           {"Intel(R) Core(TM) Ultra 7 165H", "intel-core-ultra-7-165h"},
           {"165H", "intel-core-ultra-7-165h"},
           {"AMD Ryzen 9 7950X 16-Core Processor", "amd-ryzen-9-7950x"},
           {"7950X", "amd-ryzen-9-7950x"},
           {"13th Gen Intel(R) Core(TM) i7-1365U", "intel-core-i7-1365u"},
           {"Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "intel-xeon-e5-2680-v4"},
           {"Intel(R) Xeon(R) CPU E5-2680 v3 @ 2.50GHz", "intel-xeon-e5-2680-v3"},
           {"AMD Ryzen 7 7840HS w/ Radeon 780M Graphics", "amd-ryzen-7-7840hs"},
           {"Intel Core i5-13400F", "intel-core-i5-13400"},
           {"EPYC 9554", "amd-epyc-9554"},
           {"Apple M4 Max CPU (12P+4E)", "apple-m4-max"},
           {"Raspberry Pi 5", "raspberry-pi-5-bcm2712"},
           {"Orion O6", "cix-p1-cd8180"},
           {"iPhone 15 Pro", "apple-a17-pro"},
           {"Strix Halo", "amd-ryzen-ai-maxplus-395"},
       }) {
    EXPECT_EQ(id_or_error(catalog().find_cpu(n.name)), n.id) << n.name;
  }
  EXPECT_EQ(id_or_error(catalog().find_cpu("Core Ultra 7 999H")), "name.unknown");
}

TEST(FindSystem, ComputersPeopleName) {
  for (const Named& n : std::vector<Named>{
           {"DGX Spark", "dgx-spark"},
           {"Mac Studio M3 Ultra 512GB", "mac-studio-m3-ultra"},
           {"M3 Ultra Mac Studio", "mac-studio-m3-ultra"},
           {"MacBook Pro M4 Max", "macbook-pro-m4-max"},
           {"Raspberry Pi 5", "raspberry-pi-5"},
           {"Raspberry Pi 5 16GB", "raspberry-pi-5"},
           {"Orion O6", "radxa-orion-o6"},
           {"Framework Desktop", "framework-desktop"},
           {"AMD Ryzen AI Max+ 395 (Strix Halo)", "strix-halo-mini-pc"},
           {"Jetson Orin Nano", "jetson-orin-nano-8gb"},
           {"Jetson AGX Orin 32GB", "jetson-agx-orin-32gb"},
           {"iPhone 15 Pro", "iphone-15-pro"},
       }) {
    EXPECT_EQ(id_or_error(catalog().find_system(n.name)), n.id) << n.name;
  }
  EXPECT_EQ(id_or_error(catalog().find_system("RTX 4090")), "name.unknown");
}

TEST(FindModel, WaysPeopleWriteThem) {
  for (const Named& n : std::vector<Named>{
           {"llama-3.1-8b", "llama-3.1-8b"},
           {"Llama 3.1 8B", "llama-3.1-8b"},
           {"llama3.1:8b", "llama-3.1-8b"},
           {"Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b"},
           {"meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"},
           {"Llama 3 8B", "llama-3-8b"},
           {"Qwen2.5-Coder 32B", "qwen2.5-coder-32b"},
           {"gemma3:27b-it-qat", "gemma-3-27b"},
           {"Mistral-Nemo-Instruct-2407", "mistral-nemo-12b"},
           {"mistral nemo", "mistral-nemo-12b"},
           {"gpt-oss:20b", "gpt-oss-20b"},
           {"DeepSeek R1 671B", "deepseek-r1-671b"},
           {"deepseek-r1:32b", "deepseek-r1-distill-qwen-32b"},
           {"GPT-2 XL (1.5B)", "gpt2-xl"},
           {"GPT-3 175B", "gpt3-175b"},
           {"OpenELM 3B", "openelm-3b"},
           {"Command R+", "command-r-plus-104b"},
           {"phi-4", "phi-4-14b"},
           {"qwen3:30b", "qwen3-30b-a3b"},
       }) {
    EXPECT_EQ(id_or_error(catalog().find_model(n.name)), n.id) << n.name;
  }
  const auto family = catalog().find_model("llama 3.1");
  ASSERT_FALSE(family);
  EXPECT_EQ(family.error().code, "name.ambiguous");
  EXPECT_NE(family.error().hint.find("llama-3.1-70b"), std::string::npos) << family.error().hint;
  const auto typo = catalog().find_model("Lama 3.1 8B");
  ASSERT_FALSE(typo);
  EXPECT_EQ(typo.error().hint.find("did you mean llama-3.1-8b"), 0u) << typo.error().hint;
  const auto newer = catalog().find_model("Qwen3-4B-Instruct-2507");
  ASSERT_FALSE(newer) << "another checkpoint must not pass as this one";
  EXPECT_NE(newer.error().hint.find("qwen3-4b"), std::string::npos) << newer.error().hint;
}

TEST(Find, TariffsLinksAndPresets) {
  EXPECT_EQ(id_or_error(catalog().find_tariff("Vietnam")), "vn-evn-2025-05-10");
  EXPECT_EQ(id_or_error(catalog().find_tariff("DE")), "de-eurostat");
  EXPECT_EQ(id_or_error(catalog().find_tariff("us")), "us-average");
  EXPECT_EQ(id_or_error(catalog().find_tariff("California")), "us-ca");
  EXPECT_EQ(id_or_error(catalog().find_tariff("Atlantis")), "name.unknown");
  EXPECT_EQ(id_or_error(catalog().find_link("PCIe 4.0 x16")), "pcie4-x16");
  EXPECT_EQ(id_or_error(catalog().find_link("PCIe 4 x16")), "pcie4-x16");
  EXPECT_EQ(id_or_error(catalog().find_preset("q4_k_m")), "Q4_K_M");
  EXPECT_EQ(id_or_error(catalog().find_preset("Q4_K_X")), "name.unknown");
}

TEST(Find, EveryRowIsFoundByItsOwnIdAndName) {
  for (const GpuRow& row : catalog().gpus()) {
    EXPECT_EQ(id_or_error(catalog().find_gpu(row.id)), row.id);
    EXPECT_EQ(id_or_error(catalog().find_gpu(row.name)), row.id) << row.name;
  }
  for (const CpuRow& row : catalog().cpus()) {
    EXPECT_EQ(id_or_error(catalog().find_cpu(row.name)), row.id) << row.name;
  }
  for (const ModelRow& row : catalog().models()) {
    EXPECT_EQ(id_or_error(catalog().find_model(row.id)), row.id);
    for (const std::string& alias : row.aliases) {
      EXPECT_EQ(id_or_error(catalog().find_model(alias)), row.id) << alias;
    }
  }
  for (const SystemRow& row : catalog().systems()) {
    EXPECT_EQ(id_or_error(catalog().find_system(row.name)), row.id) << row.name;
  }
}

TEST(Find, PciIdsGiveEveryCandidate) {
  const auto found = catalog().find_gpus_by_pci_id("10de:2684");
  ASSERT_FALSE(found.empty());
  for (const GpuRow* row : found) EXPECT_NE(row->name.find("4090"), std::string::npos) << row->name;
  EXPECT_GT(catalog().find_gpus_by_pci_id("1002:744c").size(), 1u)
      << "7900 XT, XTX and GRE share it";
  EXPECT_TRUE(catalog().find_gpus_by_pci_id("ffff:ffff").empty());
}

TEST(CatalogTables, ScoresAreTheTablesSpelledOut) {
  std::size_t entries = 0;
  for (const ScoreTableRow& table : catalog().score_tables()) entries += table.scores.size();
  EXPECT_EQ(catalog().scores().size(), entries);
  EXPECT_GT(entries, 5000u);
}

TEST(CatalogTables, DefaultsHaveTheValuesOthersRelyOn) {
  EXPECT_EQ(catalog().default_row("host.memory_bytes").value, 64.0 * 1024 * 1024 * 1024);
  EXPECT_TRUE(catalog().find_cpu(catalog().default_row("host.cpu").text));
  EXPECT_TRUE(catalog().find_link(catalog().default_row("host.pcie_link").text));
  EXPECT_TRUE(catalog().find_tariff(catalog().default_row("tariff").text));
  EXPECT_EQ(catalog().default_row("psu.level").text, "Gold");
}

TEST(CatalogTables, SafeToShareBetweenThreads) {
  const auto shared = Catalog::with_overrides(std::string(TOKWATT_SOURCE_DIR) + "/hwdb/data");
  ASSERT_TRUE(shared) << shared.error().where << ": " << shared.error().what;
  std::vector<std::jthread> threads;
  std::array<std::string, 4> ids;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    threads.emplace_back([&, i] {
      ids[i] = id_or_error((*shared)->find_gpu("GeForce 4090")) +
               id_or_error((*shared)->find_model("phi 4"));
    });
  }
  threads.clear();
  for (const std::string& id : ids) EXPECT_EQ(id, "nvidia-geforce-rtx-4090phi-4-14b");
}

/// A folder with one file of the table layout, gone with the object.
class Overrides {
 public:
  Overrides(const std::string& file, const std::string& text)
      : dir_(std::filesystem::temp_directory_path() /
             ("tokwatt_catalog_test_" + std::to_string(::getpid()))) {
    const auto path = dir_ / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  ~Overrides() { std::filesystem::remove_all(dir_); }
  std::string dir() const { return dir_.string(); }

 private:
  std::filesystem::path dir_;
};

TEST(CatalogOverrides, EqualIdsReplaceAndNewIdsAdd) {
  const Overrides over("gpus/mine.json", R"([
    {"id": "nvidia-geforce-rtx-4090", "name": "My 4090", "tdp_watts": 300, "source": ["me"]},
    {"id": "acme-x1", "name": "Acme X1", "aliases": ["X1"], "memory_bytes": [1073741824]}])");
  const auto mine = Catalog::with_overrides(over.dir());
  ASSERT_TRUE(mine) << mine.error().what;
  EXPECT_EQ((*mine)->gpus().size(), catalog().gpus().size() + 1);
  EXPECT_EQ(*(*(*mine)->find_gpu("nvidia-geforce-rtx-4090"))->tdp_watts, 300);
  EXPECT_EQ(id_or_error((*mine)->find_gpu("acme x1")), "acme-x1");
  EXPECT_EQ((*mine)->models().size(), catalog().models().size());
  EXPECT_NE(*(*catalog().find_gpu("RTX 4090"))->tdp_watts, 300);
}

TEST(CatalogOverrides, MistakesNameFileRowAndKey) {
  {
    const Overrides over("links.json", R"([{"id": "my-link", "lane": 4}])");
    const auto mine = Catalog::with_overrides(over.dir());
    ASSERT_FALSE(mine);
    EXPECT_EQ(mine.error().code, "row.unknown_key");
    EXPECT_EQ(mine.error().where, "links.json: my-link");
    EXPECT_EQ(mine.error().hint, "did you mean lanes?");
  }
  {
    const Overrides over("gpus/mine.json", "[{");
    const auto mine = Catalog::with_overrides(over.dir());
    ASSERT_FALSE(mine);
    EXPECT_EQ(mine.error().code.substr(0, 5), "json.");
  }
  const auto none = Catalog::with_overrides("/nonexistent/rows");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, "file.open");
}

}  // namespace
}  // namespace hwdb
