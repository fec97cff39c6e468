// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime/nvml_loader.h"
#include "engine/runtime/vulkan_loader.h"
#include "hwdb/result.h"

/// The one JSON message that a probe child writes, and its reader. What comes back is not trusted:
/// a driver may have damaged the child.
namespace probes {

using VulkanAnswer = hwdb::Result<std::vector<engine::VulkanDevice>>;
using NvmlResult = hwdb::Result<engine::NvmlAnswer>;

std::string write_vulkan_message(const VulkanAnswer& answer);
std::string write_nvml_message(const NvmlResult& answer);

/// The answer or the child's own error. Error of the message itself: probe.message.
VulkanAnswer read_vulkan_message(std::string_view text);
NvmlResult read_nvml_message(std::string_view text);

}  // namespace probes
