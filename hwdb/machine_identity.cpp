// SPDX-License-Identifier: MIT
#include "hwdb/machine_identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace hwdb {
namespace {

constexpr std::string_view kMemory = "memory bytes";
constexpr std::string_view kDriver = "driver";
constexpr double kMemorySlack = 0.03;

/// A line of a fingerprint; a text with a line end would make two of one.
std::string line(std::string_view key, std::string value) {
  std::ranges::replace(value, '\n', ' ');
  return fmt::format("{}: {}\n", key, value);
}

struct Part {
  std::string_view key, value;
};

std::vector<Part> parts_of(std::string_view text) {
  std::vector<Part> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view row = text.substr(0, end);
    const std::size_t colon = row.find(": ");
    if (colon != std::string_view::npos)
      parts.push_back({row.substr(0, colon), row.substr(colon + 2)});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

double number_of(std::string_view text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Kernel modules without a version ("amdgpu") stand in where the driver proper was not asked.
bool has_version(std::string_view driver) {
  return driver.find_first_of("0123456789") != std::string_view::npos &&
         driver.find(' ') != std::string_view::npos;
}

bool same(std::string_view key, std::string_view a, std::string_view b) {
  if (key == kMemory) {
    const double x = number_of(a), y = number_of(b);
    return std::fabs(x - y) <= kMemorySlack * std::max(x, y);
  }
  if (key.ends_with(kDriver) && (!has_version(a) || !has_version(b))) return true;
  return a == b;
}

}  // namespace

std::string machine_key(const Machine& machine) {
  std::string text = fmt::format("{}\n{}\n{}\n{}\n", machine.cpu.name, machine.cpu.packages,
                                 machine.cpu.threads, machine.environment);
  for (const GpuInfo& gpu : machine.gpus)
    text += fmt::format("{} {} {}\n", gpu.name, gpu.pci_id, gpu.pci_address);
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a: names apart, no secret
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("machine-{:016x}", hash);
}

std::string machine_fingerprint(const Machine& machine) {
  const CpuInfo& cpu = machine.cpu;
  std::string out = line("processor", cpu.name);
  out += line("threads", fmt::format("{} of {}", cpu.usable_threads, cpu.threads));
  out += line(kMemory, fmt::format("{}", machine.memory.total.value.value));
  if (!cpu.governor.empty()) out += line("governor", cpu.governor);
  if (!machine.environment.empty()) out += line("environment", machine.environment);
  for (std::size_t i = 0; i < machine.gpus.size(); ++i) {
    const GpuInfo& gpu = machine.gpus[i];
    out += line(fmt::format("GPU {}", i + 1),
                fmt::format("{} {} at {}", gpu.name, gpu.pci_id, gpu.pci_address));
    out += line(fmt::format("GPU {} {}", i + 1, kDriver), gpu.driver);
  }
  return out;
}

std::vector<std::string> fingerprint_differences(std::string_view here, std::string_view stored) {
  std::vector<std::string> out;
  const std::vector<Part> mine = parts_of(here), theirs = parts_of(stored);
  const auto find = [](const std::vector<Part>& parts, std::string_view key) {
    const auto it = std::ranges::find(parts, key, &Part::key);
    return it != parts.end() ? it->value : std::string_view();
  };
  for (const Part& part : mine) {
    const std::string_view was = find(theirs, part.key);
    if (!same(part.key, part.value, was))
      out.push_back(fmt::format("{}: {}, was {}", part.key, part.value,
                                was.empty() ? std::string_view("not there") : was));
  }
  for (const Part& part : theirs) {
    if (find(mine, part.key).empty() && !same(part.key, "", part.value))
      out.push_back(fmt::format("{}: not there, was {}", part.key, part.value));
  }
  return out;
}

}  // namespace hwdb
