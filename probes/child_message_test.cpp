// SPDX-License-Identifier: MIT
#include "probes/child_message.h"

#include <gtest/gtest.h>

#include <string>

namespace probes {
namespace {

std::vector<engine::VulkanDevice> one_device() {
  engine::VulkanDevice d;
  d.name = "Card \"X\"";
  d.type = engine::VulkanDevice::Type::discrete;
  d.vendor_id = 0x10de;
  d.device_id = 0x2684;
  d.driver_id = 4;
  d.driver_name = "NVIDIA";
  d.driver_info = "550";
  d.api_version = "1.3.277";
  d.uuid = "00ff";
  d.luid = "01";
  d.pci_address = "0000:01:00.0";
  d.subgroup_size = 32;
  d.max_buffer_bytes = ~0ull;
  d.max_allocation_bytes = 4292870144;
  d.storage_16bit = d.shader_float16 = d.shader_int8 = true;
  d.heaps = {{25757220864, true, 25000000000, 0}, {1000, false, {}, {}}};
  return {d};
}

TEST(ChildMessage, VulkanSurvivesTheRoundTrip) {
  const std::string text = write_vulkan_message(one_device());
  const VulkanAnswer back = read_vulkan_message(text);
  ASSERT_TRUE(back.has_value()) << back.error().what;
  EXPECT_EQ(write_vulkan_message(back), text);
  ASSERT_EQ(back->size(), 1u);
  EXPECT_EQ((*back)[0].heaps[0].budget_bytes, 25000000000u);
  EXPECT_FALSE((*back)[0].heaps[1].budget_bytes.has_value());
  EXPECT_EQ((*back)[0].type, engine::VulkanDevice::Type::discrete);
}

TEST(ChildMessage, NvmlSurvivesTheRoundTrip) {
  engine::NvmlDevice d;
  d.name = "NVIDIA GeForce RTX 4090";
  d.pci_id = 0x268410de;
  d.memory_total_bytes = 25757220864;
  d.power_limit_watts = 450.5;
  d.power_watts = 0;
  d.energy_joules = 123456.789;
  d.pcie_width = 8;
  d.mig = true;
  const std::string text = write_nvml_message(engine::NvmlAnswer{"550", {d}});
  const NvmlResult back = read_nvml_message(text);
  ASSERT_TRUE(back.has_value()) << back.error().what;
  EXPECT_EQ(write_nvml_message(back), text);
  EXPECT_EQ(back->devices[0].power_limit_watts, 450.5);
  EXPECT_EQ(back->devices[0].power_watts, 0);
  EXPECT_EQ(back->devices[0].energy_joules, 123456.789);
  EXPECT_FALSE(back->devices[0].max_pcie_gen.has_value());
}

TEST(ChildMessage, ErrorsComeThrough) {
  const hwdb::Error error{"probe.vulkan", "vkCreateInstance returned -9", "Vulkan", "reinstall"};
  const VulkanAnswer back = read_vulkan_message(write_vulkan_message(error));
  ASSERT_FALSE(back.has_value());
  EXPECT_EQ(back.error().code, "probe.vulkan");
  EXPECT_EQ(back.error().what, "vkCreateInstance returned -9");
  EXPECT_EQ(back.error().hint, "reinstall");
}

TEST(ChildMessage, DamagedMessagesAreRefused) {
  const std::string good = write_vulkan_message(one_device());
  for (std::size_t length = 0; length < good.size(); ++length) {
    const VulkanAnswer back = read_vulkan_message(good.substr(0, length));
    ASSERT_FALSE(back.has_value()) << length;
    EXPECT_EQ(back.error().code, "probe.message");
  }
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string& bad :
       {replaced("\"type\":2", "\"type\":9"), replaced("\"type\":2", "\"type\":-1"),
        replaced("\"size_bytes\":25757220864", "\"size_bytes\":-1"),
        replaced("\"size_bytes\":25757220864", "\"size_bytes\":9e30"),
        replaced("\"size_bytes\":25757220864", "\"size_bytes\":\"24 GiB\""),
        replaced("\"name\":\"Card \\\"X\\\"\"", "\"name\":7"),
        replaced("\"devices\":[", "\"devices\":[null,"), std::string("[]"), std::string("7"),
        std::string("{}"), std::string(R"({"error":{"code":"file.open","what":"","hint":""}})"),
        std::string(R"({"error":7})")}) {
    const VulkanAnswer back = read_vulkan_message(bad);
    ASSERT_FALSE(back.has_value()) << bad;
    EXPECT_EQ(back.error().code, "probe.message") << bad;
  }
  std::string many = "{\"devices\":[";
  for (int i = 0; i < 257; ++i) many += i == 0 ? "{}" : ",{}";
  EXPECT_FALSE(read_vulkan_message(many + "]}").has_value());
}

}  // namespace
}  // namespace probes
