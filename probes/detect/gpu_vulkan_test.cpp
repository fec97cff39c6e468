// SPDX-License-Identifier: MIT
// Detection through the real loader and a real child process, with drivers made for these tests.
#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "probes/detect/scene.h"

namespace probes {
namespace {

namespace fs = std::filesystem;
using hwdb::GpuInfo;
using hwdb::kGiB;
using hwdb::kMiB;

class VulkanTest : public testing::Test {
 protected:
  void SetUp() override {
    void* loader = ::dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (loader == nullptr) GTEST_SKIP() << "the Vulkan loader is not installed";
    ::dlclose(loader);
    std::string pattern = (fs::temp_directory_path() / "tokwatt-vulkan-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options_.child_program = TOKWATT_PROBES_CHILD;
    options_.force_vulkan = true;  // whatever this machine has
    options_.deadline_seconds = 20;
  }
  void TearDown() override {
    ::unsetenv("TOKWATT_MOCK_GPUS");
    if (!folder_.empty()) fs::remove_all(folder_);
  }
  /// A driver manifest for a library; the loader reads it from the options.
  std::string manifest(const std::string& name, const std::string& library) {
    const fs::path path = folder_ / (name + ".json");
    std::ofstream(path) << fmt::format(
        R"({{"file_format_version":"1.0.0","ICD":{{"library_path":"{}","api_version":"1.2.0"}}}})",
        library);
    return path.string();
  }
  void use(std::initializer_list<std::string> manifests) { options_.vulkan_drivers = manifests; }
  static void devices(const std::string& text) { ::setenv("TOKWATT_MOCK_GPUS", text.c_str(), 1); }
  Outcome detect() {
    scene_.machine.memory.total = {hwdb::Bytes(32 * kGiB), hwdb::Basis::detected, "test", ""};
    Outcome outcome = detect_gpu_vulkan(&scene_);
    join_gpus(&scene_);
    return outcome;
  }
  GpuSighting on_bus(const std::string& address, std::uint32_t vendor, std::uint32_t device) {
    GpuSighting gpu;
    gpu.pci_address = address;
    gpu.vendor_id = vendor;
    gpu.device_id = device;
    return gpu;
  }

  const std::string mock_ = TOKWATT_DRIVER_MOCK;
  fs::path folder_;
  DetectOptions options_;
  SysRoot sys_;
  Scene scene_{sys_, options_, {}, {}, {}, {}, {}, {}};
};

constexpr const char* kCard =
    "AMD Radeon RX 7900 XTX (RADV NAVI31)|discrete|1002:744c|0000:03:00.0|24320,256|";

TEST_F(VulkanTest, ACardIsReadAndJoinedByItsAddress) {
  use({manifest("mock", mock_)});
  devices(kCard);
  scene_.gpus.push_back(on_bus("0000:03:00.0", 0x1002, 0x744c));
  ASSERT_EQ(detect().status, Status::ok);
  ASSERT_EQ(scene_.machine.gpus.size(), 1u);
  const GpuInfo& gpu = scene_.machine.gpus[0];
  EXPECT_EQ(gpu.name, "AMD Radeon RX 7900 XTX");
  EXPECT_EQ(gpu.pci_id, "1002:744c");
  EXPECT_EQ(gpu.pci_address, "0000:03:00.0");
  EXPECT_EQ(gpu.kind, GpuInfo::Kind::discrete);
  EXPECT_EQ(gpu.backend, GpuInfo::Backend::rocm);
  EXPECT_EQ(gpu.memory.value.value, 24576 * kMiB);
  EXPECT_EQ(gpu.available->value.value, 12288 * kMiB);
  EXPECT_EQ(scene_.gpus[0].vulkan->subgroup_size, 32u);
  EXPECT_TRUE(scene_.machine.software_renderers.empty());
}

TEST_F(VulkanTest, NvidiasWindowIsNoMemoryOfItsOwn) {
  use({manifest("mock", mock_)});
  devices("NVIDIA GeForce RTX 3090|discrete|10de:2204|0000:01:00.0|24576,24000h,246|");
  detect();
  ASSERT_EQ(scene_.machine.gpus.size(), 1u);
  EXPECT_EQ(scene_.machine.gpus[0].memory.value.value, 24576 * kMiB);
}

TEST_F(VulkanTest, TwoEqualCardsAreTwo) {
  use({manifest("mock", mock_)});
  devices(
      "NVIDIA GeForce RTX 3090|discrete|10de:2204|0000:41:00.0|24576|;"
      "NVIDIA GeForce RTX 3090|discrete|10de:2204|0000:01:00.0|24576|");
  detect();
  ASSERT_EQ(scene_.machine.gpus.size(), 2u);
  EXPECT_EQ(scene_.machine.gpus[0].pci_address, "0000:01:00.0");
  EXPECT_EQ(scene_.machine.gpus[1].pci_address, "0000:41:00.0");
}

TEST_F(VulkanTest, OneCardThroughTwoDriversIsOne) {
  fs::copy_file(mock_, folder_ / "second.so");
  use({manifest("one", mock_), manifest("two", (folder_ / "second.so").string())});
  devices(kCard);
  const Outcome outcome = detect();
  EXPECT_EQ(outcome.reason, "2 devices, 0 of them software");
  EXPECT_EQ(scene_.machine.gpus.size(), 1u);
}

TEST_F(VulkanTest, ADriverWithoutAddressMeansTheOneCardOfItsId) {
  use({manifest("mock", mock_)});
  devices("Intel Arc A770|discrete|8086:56a0||16384|");
  scene_.gpus.push_back(on_bus("0000:03:00.0", 0x8086, 0x56a0));
  detect();
  ASSERT_EQ(scene_.machine.gpus.size(), 1u);
  EXPECT_EQ(scene_.machine.gpus[0].memory.value.value, 16384 * kMiB);
}

TEST_F(VulkanTest, SharedMemoryIsAShareOfTheSystems) {
  use({manifest("mock", mock_)});
  devices("Intel(R) Iris(R) Xe Graphics|integrated|8086:9a49|0000:00:02.0|65536|");
  detect();
  ASSERT_EQ(scene_.machine.gpus.size(), 1u);
  EXPECT_EQ(scene_.machine.gpus[0].kind, GpuInfo::Kind::integrated);
  EXPECT_EQ(scene_.machine.gpus[0].memory.value.value, 32 * kGiB);  // never more than there is
}

TEST_F(VulkanTest, SoftwareRenderersAreNeverGpus) {
  use({manifest("mock", mock_)});
  devices(
      "llvmpipe (LLVM 15.0.6, 256 bits)|cpu|10005:0||32768|;"
      "SwiftShader Device (LLVM 10.0.0)|virtual|1ae0:c0de||32768|;"
      "A renderer of tomorrow|cpu|10005:1||32768|");
  EXPECT_EQ(detect().status, Status::ok);
  EXPECT_TRUE(scene_.machine.gpus.empty());
  ASSERT_EQ(scene_.machine.software_renderers.size(), 3u);
  EXPECT_EQ(scene_.machine.software_renderers[0].driver, "mock");
}

TEST_F(VulkanTest, SoftwareIsLoadedOnlyWhenForced) {
  use({manifest("lvp_icd.test", mock_)});  // named as Mesa names llvmpipe's
  devices(kCard);
  scene_.gpus.push_back(on_bus("0000:03:00.0", 0x1002, 0x744c));
  EXPECT_EQ(detect().reason, "1 devices, 0 of them software");
  options_.force_vulkan = false;
  EXPECT_EQ(detect().status, Status::unsupported);
}

TEST_F(VulkanTest, VirtualDevicesAreListedAsUnverified) {
  use({manifest("mock", mock_)});
  devices("Virtio-GPU Venus|virtual|1002:744c|0000:00:05.0|8192|");
  detect();
  ASSERT_EQ(scene_.machine.gpus.size(), 1u);
  EXPECT_EQ(scene_.machine.gpus[0].memory.basis, hwdb::Basis::unverified);
  ASSERT_EQ(scene_.machine.notes.size(), 1u);
  EXPECT_NE(scene_.machine.notes[0].find("not verified"), std::string::npos);
}

TEST_F(VulkanTest, WithoutSixteenBitStorageADeviceIsNoUse) {
  use({manifest("mock", mock_)});
  devices("V3D 7.1.7|integrated|14e4:55701c33||4096|no16");
  detect();
  EXPECT_TRUE(scene_.machine.gpus.empty());
  ASSERT_EQ(scene_.machine.notes.size(), 1u);
  EXPECT_NE(scene_.machine.notes[0].find("V3D"), std::string::npos);
}

TEST_F(VulkanTest, AnAbortingDriverHidesNoGoodOne) {
  const std::string bad = manifest("bad", TOKWATT_DRIVER_ABORT);
  use({bad, manifest("mock", mock_)});
  devices(kCard);
  const Outcome outcome = detect();
  EXPECT_EQ(outcome.status, Status::ok);
  EXPECT_EQ(scene_.machine.gpus.size(), 1u);
  EXPECT_NE(outcome.reason.find(bad + " (its process died by signal 6"), std::string::npos)
      << outcome.reason;
  ASSERT_EQ(scene_.extra_steps.size(), 2u);
  EXPECT_EQ(scene_.extra_steps[0].status, "error");
  EXPECT_EQ(scene_.extra_steps[1].status, "ok");
}

TEST_F(VulkanTest, AHangingDriverMeetsItsDeadline) {
  use({manifest("bad", TOKWATT_DRIVER_HANG), manifest("mock", mock_)});
  devices(kCard);
  options_.deadline_seconds = 2;
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = detect();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_EQ(outcome.status, Status::ok) << outcome.reason;
  EXPECT_EQ(scene_.machine.gpus.size(), 1u);
  EXPECT_NE(outcome.reason.find("no answer within"), std::string::npos) << outcome.reason;
  EXPECT_GE(seconds, 4.0);  // together, then alone
  EXPECT_LT(seconds, 9.0);
}

TEST_F(VulkanTest, NullEntryPointsAndGarbageHideNoGoodDriver) {
  const std::string garbage = (folder_ / "garbage.json").string();
  std::ofstream(garbage) << "{ \"ICD\": [[[[ \x01\x02";
  use({manifest("null", TOKWATT_DRIVER_NULL), garbage,
       manifest("missing", "/nonexistent/libvulkan_gone.so"), manifest("mock", mock_)});
  devices(kCard);
  EXPECT_EQ(detect().status, Status::ok);
  EXPECT_EQ(scene_.machine.gpus.size(), 1u);
}

TEST_F(VulkanTest, ABannerOnStdoutDoesNotReachTheMessage) {
  use({manifest("banner", TOKWATT_DRIVER_BANNER)});
  devices(kCard);
  const Outcome outcome = detect();
  EXPECT_EQ(outcome.status, Status::ok) << outcome.reason;
  EXPECT_EQ(scene_.machine.gpus.size(), 1u);
}

TEST_F(VulkanTest, OnlyBrokenDriversAreAnErrorWithAReason) {
  use({manifest("bad", TOKWATT_DRIVER_ABORT)});
  Outcome outcome = detect();
  EXPECT_EQ(outcome.status, Status::error);
  EXPECT_NE(outcome.reason.find("signal 6"), std::string::npos) << outcome.reason;
  use({manifest("null", TOKWATT_DRIVER_NULL)});
  outcome = detect();
  EXPECT_EQ(outcome.status, Status::unsupported);
  EXPECT_NE(outcome.reason.find("no driver that works"), std::string::npos) << outcome.reason;
  EXPECT_TRUE(scene_.machine.gpus.empty());
}

TEST_F(VulkanTest, AChildThatIsNotOursIsAnError) {
  for (const char* program : {"/bin/true", "/bin/false", "/bin/echo", "/nonexistent"}) {
    options_.child_program = program;
    const Outcome outcome = detect();
    EXPECT_EQ(outcome.status, Status::error) << program;
    EXPECT_FALSE(outcome.reason.empty()) << program;
  }
}

TEST_F(VulkanTest, SleepingCardsAndEmptyMachinesAreNotAsked) {
  options_.force_vulkan = false;
  options_.child_program = "/nonexistent";
  scene_.gpus.push_back(on_bus("0000:01:00.0", 0x10de, 0x28e0));
  scene_.gpus[0].asleep = true;
  EXPECT_EQ(detect().status, Status::skipped);
  ASSERT_EQ(scene_.machine.gpus.size(), 1u);
  EXPECT_EQ(scene_.machine.gpus[0].memory.value.value, 0u);
  EXPECT_NE(scene_.machine.gpus[0].memory.source.find("asleep"), std::string::npos);
  if (has_gpu_node(sys_)) GTEST_SKIP() << "this machine has a GPU device node";
  scene_.gpus.clear();
  const Outcome outcome = detect();
  EXPECT_EQ(outcome.status, Status::skipped);
  EXPECT_EQ(outcome.reason, "no GPU device node; only a software renderer could answer");
}

TEST_F(VulkanTest, NvmlSpeaksForNvidiasCards) {
  options_.force_vulkan = false;
  options_.child_program = "/nonexistent";
  scene_.gpus.push_back(on_bus("0000:01:00.0", 0x10de, 0x2684));
  engine::NvmlDevice card;
  card.name = "NVIDIA GeForce RTX 4090";
  card.uuid = "GPU-0";
  card.memory_total_bytes = 25757220864;
  card.memory_free_bytes = 25000000000;
  card.power_limit_watts = 450;
  scene_.gpus[0].nvml = card;
  EXPECT_EQ(detect().status, Status::skipped);  // nothing is left to ask
  const GpuInfo& gpu = scene_.machine.gpus.at(0);
  EXPECT_EQ(gpu.name, "NVIDIA GeForce RTX 4090");
  EXPECT_EQ(gpu.memory.value.value, 25757220864u);
  EXPECT_EQ(gpu.memory.source, "NVML");
  EXPECT_EQ(gpu.available->value.value, 25000000000u);
  EXPECT_EQ(gpu.power_limit->value.value, 450);
  EXPECT_EQ(gpu.backend, GpuInfo::Backend::cuda);
}

}  // namespace
}  // namespace probes
