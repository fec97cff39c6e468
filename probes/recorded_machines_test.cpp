// SPDX-License-Identifier: MIT
// Every machine of tests/fixtures/machines, unpacked and detected. To accept a change, run with
// TOKWATT_UPDATE_FIXTURES=1 and read the difference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "hwdb/json.h"
#include "probes/detect/topology_files.h"
#include "probes/detect_machine.h"

namespace probes {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(TOKWATT_SOURCE_DIR) / "tests" / "fixtures" / "machines";

/// "\0", "\r" and "\n" as the bytes they stand for.
std::string unescape(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : ' ';
    if (text[i] == '\\' && (next == '0' || next == 'r' || next == 'n')) {
      out += next == '0' ? '\0' : next == 'r' ? '\r' : '\n';
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

fs::path below(const fs::path& root, const std::string& path) {
  static std::set<fs::path> made;  // asking the file system each time takes most of the test
  fs::path full = root / path.substr(1);
  if (made.insert(full.parent_path()).second) fs::create_directories(full.parent_path());
  return full;
}

/// Makes the tree that a tree.txt describes (tests/fixtures/machines/README.md).
void unpack(const fs::path& recording, const fs::path& root) {
  std::ifstream in(recording);
  std::ofstream block;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::size_t equals = line.find(" ="), arrow = line.find(" -> ");
    if (line.starts_with("  ")) {
      block << unescape(line.substr(2)) << '\n';
    } else if (line.ends_with('/')) {
      fs::create_directories(below(root, line));
    } else if (arrow != std::string::npos) {
      const fs::path link = below(root, line.substr(0, arrow));
      if (!fs::is_symlink(link)) fs::create_symlink(line.substr(arrow + 4), link);
    } else if (equals != std::string::npos) {
      const std::string value = line.size() > equals + 3 ? line.substr(equals + 3) : "";
      std::ofstream(below(root, line.substr(0, equals)), std::ios::binary)
          << unescape(value) << '\n';
    } else if (line.ends_with(':')) {
      block = std::ofstream(below(root, line.substr(0, line.size() - 1)), std::ios::binary);
    } else {
      ADD_FAILURE() << recording << ": " << line;
    }
  }
}

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

class Unpacked {
 public:
  explicit Unpacked(const std::string& name) {
    // Thousands of small files: in memory where that is possible.
    const fs::path base = fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
    std::string pattern = (base / "tokwatt-machine-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) return;
    root_ = pattern;
    unpack(kFolder / name / "tree.txt", root_);
  }
  ~Unpacked() { fs::remove_all(root_); }
  Detected detect() const {
    DetectOptions options;
    options.sysroot = root_.string();
    return detect_machine(options);
  }
  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

std::vector<std::string> recorded_machines() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (fs::exists(entry.path() / "tree.txt")) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

class RecordedMachines : public testing::TestWithParam<std::string> {};

TEST_P(RecordedMachines, GivesTheExpectedMachine) {
  const Unpacked machine(GetParam());
  const Detected found = machine.detect();
  const std::string text = hwdb::write_json(hwdb::machine_to_json(found.machine), 1) + "\n";
  const fs::path expected = kFolder / GetParam() / "machine.json";
  if (std::getenv("TOKWATT_UPDATE_FIXTURES") != nullptr) std::ofstream(expected) << text;
  EXPECT_EQ(text, slurp(expected));
  for (const DetectStep& step : found.steps) {
    EXPECT_FALSE(step.status.empty()) << step.name;
    EXPECT_TRUE(step.status == "ok" || !step.reason.empty()) << step.name;
  }
}

/// The recording itself reads as the files that it describes.
TEST_P(RecordedMachines, IsTheSameInMemory) {
  DetectOptions options;
  options.sysroot = (kFolder / GetParam()).string();
  ASSERT_TRUE(SysRoot::check(options.sysroot));
  const std::string text =
      hwdb::write_json(hwdb::machine_to_json(detect_machine(options).machine), 1) + "\n";
  EXPECT_EQ(text, slurp(kFolder / GetParam() / "machine.json"));
}

INSTANTIATE_TEST_SUITE_P(All, RecordedMachines, testing::ValuesIn(recorded_machines()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Recordings, ThereAreAtLeastTwelve) {
  EXPECT_GE(recorded_machines().size(), 12u);
}

TEST(Recordings, EqualCardsStayTwoAndKeepTheirLinks) {
  const hwdb::Machine m = Unpacked("two-3090").detect().machine;
  ASSERT_EQ(m.gpus.size(), 2u);
  EXPECT_EQ(m.gpus[0].name, m.gpus[1].name);
  EXPECT_NE(m.gpus[0].pci_address, m.gpus[1].pci_address);
  EXPECT_EQ(m.gpus[0].link_name, "PCIe 3.0 x8");  // the board's generation, the trained lanes
  EXPECT_EQ(m.gpus[1].link_name, "PCIe 3.0 x16");
  EXPECT_NEAR(m.gpus[1].host_link.value.value, 15.75e9, 0.01e9);
}

TEST(Recordings, MemoryLentByAGpuIsCountedOnce) {
  const hwdb::Machine m = Unpacked("gh200").detect().machine;
  EXPECT_EQ(m.cpu.name, "NVIDIA Grace (GH200)");
  EXPECT_LT(m.memory.total.value.value, 480 * hwdb::kGiB);
  EXPECT_GT(m.memory.total.value.value, 470 * hwdb::kGiB);
  EXPECT_EQ(m.gpus.at(0).link_name, "NVLink-C2C");
}

TEST(Recordings, SharedMemoryIsCountedOnce) {
  for (const char* name : {"strix-halo-small", "strix-halo-large"}) {
    const hwdb::Machine m = Unpacked(name).detect().machine;
    ASSERT_EQ(m.gpus.size(), 1u);
    EXPECT_EQ(m.gpus[0].kind, hwdb::GpuInfo::Kind::integrated);
    // Carve-out and shared part together never exceed what was soldered on.
    EXPECT_LE(m.gpus[0].memory.value.value, 128 * hwdb::kGiB);
    EXPECT_GE(m.gpus[0].memory.value.value, 60 * hwdb::kGiB);
    ASSERT_TRUE(m.gpus[0].carve_out && m.gpus[0].shared_limit && m.gpus[0].reclaimable);
    EXPECT_EQ(m.gpus[0].carve_out->value.value,
              name == std::string_view("strix-halo-large") ? 96 * hwdb::kGiB : hwdb::kGiB / 2);
  }
}

TEST(Recordings, AnEmptyFolderIsAMachineOfWhichNothingIsKnown) {
  std::string pattern = (fs::temp_directory_path() / "tokwatt-empty-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  DetectOptions options;
  options.sysroot = pattern;
  const Detected found = detect_machine(options);
  fs::remove_all(pattern);
  EXPECT_EQ(found.machine.cpu.threads, 0u);
  EXPECT_EQ(found.machine.cpu.cores, 0u);
  EXPECT_EQ(found.machine.memory.total.value.value, 0u);
  EXPECT_TRUE(found.machine.gpus.empty());
  EXPECT_TRUE(found.machine.cpu.isa.empty());
}

/// Damage in every file must end in a Machine that can be written and read back.
TEST(Recordings, DamagedTreesNeverBreakDetection) {
  const std::vector<std::string> damage = {"",
                                           "\0\0\0",
                                           "-1",
                                           "99999999999999999999",
                                           "0x",
                                           "0-4294967295",
                                           std::string(200000, '7'),
                                           "\xff\xfe"};
  std::size_t round = 0;
  for (const char* name : {"container-limits", "old-box", "laptop-hybrid", "desktop-amd"}) {
    const Unpacked machine(name);
    for (const auto& entry : fs::recursive_directory_iterator(machine.root())) {
      if (!entry.is_regular_file() || entry.is_symlink()) continue;
      const std::string path = entry.path().string();
      // One processor's files stand for all.
      if (path.find("/system/cpu/cpu") != std::string::npos &&
          path.find("/cpu1/") == std::string::npos)
        continue;
      const std::string before = slurp(entry.path());
      std::ofstream(entry.path(), std::ios::binary) << damage[round++ % damage.size()];
      const Detected found = machine.detect();
      const hwdb::Json json = hwdb::machine_to_json(found.machine);
      const auto parsed = hwdb::parse_json(hwdb::write_json(json), "m");
      ASSERT_TRUE(parsed.has_value()) << path;
      const auto back = hwdb::machine_from_json(*parsed, "m");
      EXPECT_TRUE(back.has_value()) << path << ": " << back.error().where << back.error().what;
      std::ofstream(entry.path(), std::ios::binary) << before;
    }
  }
  EXPECT_GT(round, 100u);
}

TEST(ThisMachine, BothReadersOfTopologyAgree) {
  const auto hwloc = read_topology_hwloc();
  const Topology files = read_topology_files(SysRoot());
  if (!hwloc || files.cores == 0) GTEST_SKIP() << "this system does not say its topology";
  EXPECT_EQ(hwloc->threads, files.threads);
  EXPECT_EQ(hwloc->cores, files.cores);
  EXPECT_EQ(hwloc->packages, files.packages);
  EXPECT_EQ(hwloc->first_threads, files.first_threads);
  EXPECT_EQ(std::max(1u, hwloc->numa_nodes), std::max(1u, files.numa_nodes));
  for (std::size_t level = 0; level < files.caches.size(); ++level) {
    EXPECT_EQ(hwloc->caches[level].bytes, files.caches[level].bytes) << "L" << level + 1;
    EXPECT_EQ(hwloc->caches[level].instances, files.caches[level].instances) << "L" << level + 1;
  }
}

TEST(ThisMachine, IsDetectedWithoutAGpuDriverInThisProcess) {
  DetectOptions options;
  options.ask_vulkan = false;
  const Detected found = detect_machine(options);
  const hwdb::Machine& m = found.machine;
  EXPECT_GT(m.memory.total.value.value, 0u);
  EXPECT_GT(m.cpu.threads, 0u);
  EXPECT_GE(m.cpu.threads, m.cpu.usable_threads);
  EXPECT_GT(m.cpu.usable_threads, 0u);
  EXPECT_FALSE(m.os.empty());
  EXPECT_FALSE(m.described);
  for (const hwdb::GpuInfo& gpu : m.gpus) EXPECT_EQ(gpu.name.find("llvmpipe"), std::string::npos);
  // What hwloc was told through the environment is gone again.
  EXPECT_EQ(std::getenv("HWLOC_PLUGINS_PATH"), nullptr);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    for (const char* library : {"libvulkan", "libOpenCL", "libGL", "libnvidia", "libcuda"})
      EXPECT_EQ(line.find(library), std::string::npos) << line;
  }
}

TEST(ThisMachine, SoftwareRenderersAreListedWhenForced) {
  if (!fs::exists("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"))
    GTEST_SKIP() << "Mesa's llvmpipe is not installed";
  DetectOptions options;
  options.force_vulkan = true;
  options.child_program = TOKWATT_PROBES_CHILD;
  options.vulkan_drivers = {"/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"};
  const hwdb::Machine m = detect_machine(options).machine;
  ASSERT_EQ(m.software_renderers.size(), 1u);
  EXPECT_NE(m.software_renderers[0].name.find("llvmpipe"), std::string::npos);
  EXPECT_EQ(m.software_renderers[0].driver, "llvmpipe");
  for (const hwdb::GpuInfo& gpu : m.gpus) EXPECT_EQ(gpu.name.find("llvmpipe"), std::string::npos);
}

}  // namespace
}  // namespace probes
