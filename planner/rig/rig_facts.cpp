// SPDX-License-Identifier: MIT
#include "planner/rig/rig_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "planner/rig/rig.h"

namespace planner {
namespace {

using hwdb::Basis;
using hwdb::Bytes;
using hwdb::BytesPerSecond;
using hwdb::FlopsPerSecond;
using hwdb::Sourced;
using hwdb::Watts;

std::string catalogue(std::string_view id) {
  return fmt::format("catalogue: {}", id);
}

template <class Unit>
std::optional<Sourced<Unit>> sourced(const std::optional<double>& value,
                                     const hwdb::RowOrigin& origin, std::string_view member,
                                     std::string_view id, double share = 1) {
  if (!value) return std::nullopt;
  return Sourced<Unit>{Unit(*value * share), basis_of(origin, member), catalogue(id), origin.as_of};
}

hwdb::GpuInfo::Backend usual_backend(const hwdb::GpuRow& row) {
  using Backend = hwdb::GpuInfo::Backend;
  const bool own_memory = row.kind == "discrete" || row.kind == "accelerator";
  if (row.vendor == "NVIDIA") return Backend::cuda;
  if (row.vendor == "Apple") return Backend::metal;
  if (row.vendor == "AMD" && (own_memory || is_shared_memory_platform(row))) return Backend::rocm;
  if (row.vendor == "Intel" && own_memory) return Backend::sycl;
  return Backend::vulkan;
}

/// What part of a row's figures one of its devices has: rows of boards with several devices say in
/// their note what the figures cover. Power is always the board's.
struct DeviceShares {
  double memory = 1, rate = 1, power = 1;
};
DeviceShares shares_of_device(const hwdb::GpuRow& row) {
  if (row.devices_visible <= 1) return {};
  const double one = 1.0 / row.devices_visible;
  const auto says = [&](std::string_view words) {
    return row.note.find(words) != std::string::npos;
  };
  if (says("are for one device")) return {1, 1, one};
  if (says("each")) return {one, 1, one};
  return {one, one, one};
}

bool contains_word(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

}  // namespace

Basis basis_of(const hwdb::RowOrigin& origin, std::string_view member) {
  const bool listed = std::find(origin.unverified.begin(), origin.unverified.end(), member) !=
                      origin.unverified.end();
  return origin.verified && !listed ? Basis::spec : Basis::unverified;
}

bool is_shared_memory_platform(const hwdb::GpuRow& row) {
  // Strix Halo and its kin are filed as integrated; a 256-bit bus is what sets them apart from the
  // graphics that every desktop CPU carries.
  return row.kind == "unified" ||
         (row.kind == "integrated" && row.memory_bus_bits.value_or(0) >= 256);
}

MemoryShare gpu_share_of_memory(const hwdb::GpuRow& row, std::uint64_t system_bytes) {
  if (row.vendor == "Apple") {
    if (system_bytes > 32 * hwdb::kGiB)
      return {0.75,
              "macOS lets the GPU take three quarters of the memory above 32 GB (49152 of 65536 MB "
              "seen in ggml-org/llama.cpp#1870); sysctl iogpu.wired_limit_mb raises it"};
    return {2.0 / 3,
            "macOS lets the GPU take two thirds of the memory up to 32 GB (21845 of 32768 MB seen "
            "in ggml-org/llama.cpp#2011); sysctl iogpu.wired_limit_mb raises it"};
  }
  if (row.vendor == "NVIDIA")
    return {0.9,
            "assumed: the GPU may take nine tenths of the shared memory, the rest is the "
            "system's"};
  if (is_shared_memory_platform(row))
    return {0.75,
            "assumed: three quarters of the shared memory are set aside for the GPU (firmware "
            "or driver setting)"};
  return {0.5,
          "assumed: the graphics may take half of the system's memory, the usual limit of the "
          "driver"};
}

MemoryShare app_share_of_phone_memory() {
  return {0.5,
          "assumed: one app may take about half of a phone's memory before the system ends it"};
}

std::optional<HostLink> pcie_link(const hwdb::Catalog& catalog, std::uint32_t gen,
                                  std::uint32_t lanes) {
  for (const hwdb::LinkRow& link : catalog.links())
    if (link.kind == "pcie" && link.gen == gen && link.lanes == lanes)
      return HostLink{{BytesPerSecond(link.one_way_bytes_per_s * link.practical_fraction),
                       Basis::assumed, catalogue(link.id), link.origin.as_of},
                      fmt::format("PCIe {}.0 x{}", gen, lanes)};
  return std::nullopt;
}

HostLink full_link(const hwdb::Catalog& catalog, const hwdb::GpuRow& row) {
  const std::uint32_t gen = row.pcie_gen.value_or(4), lanes = row.pcie_lanes.value_or(16);
  HostLink link;
  if (const auto found = pcie_link(catalog, gen, lanes)) {
    link = *found;
  } else {
    // Computed as the link rows are: 128/130 coding from generation 3 on, 85 % of it in practice.
    const double per_lane = 0.25e9 * std::exp2(static_cast<double>(std::min(gen, 6u)) - 1) * 0.985;
    link = {{BytesPerSecond(per_lane * lanes * 0.85), Basis::assumed, "", ""},
            fmt::format("PCIe {}.0 x{}", gen, lanes)};
  }
  link.rate.source = row.pcie_gen ? fmt::format("assumed: its full {} link", link.name)
                                  : fmt::format("assumed: {}", link.name);
  return link;
}

std::string label_of_memory(std::uint64_t bytes) {
  const double gib = static_cast<double>(bytes) / static_cast<double>(hwdb::kGiB);
  return fmt::format("{:.4g} GB", gib);
}

const hwdb::GpuRow* gpu_by_id(const hwdb::Catalog& catalog, std::string_view id) {
  for (const hwdb::GpuRow& row : catalog.gpus())
    if (row.id == id) return &row;
  return nullptr;
}
const hwdb::CpuRow* cpu_by_id(const hwdb::Catalog& catalog, std::string_view id) {
  for (const hwdb::CpuRow& row : catalog.cpus())
    if (row.id == id) return &row;
  return nullptr;
}

double default_or(const hwdb::Catalog& catalog, std::string_view id, double otherwise) {
  for (const hwdb::DefaultRow& row : catalog.defaults())
    if (row.id == id) return row.value;
  return otherwise;
}

std::uint64_t plain_host_memory(const hwdb::Catalog& catalog) {
  constexpr double kOtherwise = 64.0 * static_cast<double>(hwdb::kGiB);
  return static_cast<std::uint64_t>(default_or(catalog, "host.memory_bytes", kOtherwise));
}

const hwdb::CpuRow* plain_host_cpu(const hwdb::Catalog& catalog) {
  for (const hwdb::DefaultRow& row : catalog.defaults())
    if (row.id == "host.cpu") return cpu_by_id(catalog, row.text);
  return nullptr;
}

hwdb::GpuInfo gpu_from_row(const hwdb::Catalog& catalog, const hwdb::GpuRow& row,
                           std::uint64_t memory_bytes) {
  using Kind = hwdb::GpuInfo::Kind;
  hwdb::GpuInfo gpu;
  gpu.name = row.name;
  gpu.catalog_id = row.id;
  gpu.vendor = row.vendor;
  gpu.arch = row.arch;
  gpu.form = row.form;
  gpu.kind = is_shared_memory_platform(row) ? Kind::unified
             : row.kind == "integrated"     ? Kind::integrated
                                            : Kind::discrete;
  gpu.backend = usual_backend(row);
  const DeviceShares share = shares_of_device(row);

  std::uint64_t size = memory_bytes;
  if (size == 0 && !row.memory_bytes.empty()) size = row.memory_bytes.front();
  if (gpu.kind == Kind::discrete) {
    // What the driver shows is a little less than the label, and is what a program can be given.
    const bool reported = row.memory_bytes_reported && row.memory_bytes.size() == 1 &&
                          (memory_bytes == 0 || memory_bytes == row.memory_bytes.front());
    if (reported) size = *row.memory_bytes_reported;
    gpu.memory = {Bytes(static_cast<std::uint64_t>(static_cast<double>(size) * share.memory)),
                  basis_of(row.origin, "memory_bytes"), catalogue(row.id), row.origin.as_of};
    const HostLink link = full_link(catalog, row);
    gpu.host_link = link.rate;
    gpu.link_name = link.name;
  } else {
    if (size == 0) size = plain_host_memory(catalog);
    const MemoryShare part = gpu_share_of_memory(row, size);
    gpu.memory = {Bytes(static_cast<std::uint64_t>(static_cast<double>(size) * part.fraction)),
                  Basis::assumed, part.words, ""};
    gpu.link_name = "shared memory";
    gpu.host_link = {BytesPerSecond(row.mem_bw_bytes_per_s.value_or(0)), Basis::assumed,
                     "assumed: the shared memory's own bandwidth", ""};
  }
  gpu.bandwidth = sourced<BytesPerSecond>(row.mem_bw_bytes_per_s, row.origin, "mem_bw_bytes_per_s",
                                          row.id, share.rate);
  if (row.peak_fp16_matrix_flops_per_s)
    gpu.peak_fp16 = sourced<FlopsPerSecond>(row.peak_fp16_matrix_flops_per_s, row.origin,
                                            "peak_fp16_matrix_flops_per_s", row.id, share.rate);
  else
    gpu.peak_fp16 = sourced<FlopsPerSecond>(row.peak_fp16_flops_per_s, row.origin,
                                            "peak_fp16_flops_per_s", row.id, share.rate);
  gpu.peak_fp32 = sourced<FlopsPerSecond>(row.peak_fp32_flops_per_s, row.origin,
                                          "peak_fp32_flops_per_s", row.id, share.rate);
  gpu.peak_int8 = sourced<FlopsPerSecond>(row.peak_int8_ops_per_s, row.origin,
                                          "peak_int8_ops_per_s", row.id, share.rate);
  gpu.power_limit = sourced<Watts>(row.tdp_watts, row.origin, "tdp_watts", row.id, share.power);
  gpu.idle = sourced<Watts>(row.idle_watts, row.origin, "idle_watts", row.id, share.power);
  gpu.price_usd = sourced<double>(row.price_usd, row.origin, "price_usd", row.id, share.power);
  return gpu;
}

hwdb::CpuInfo cpu_from_row(const hwdb::CpuRow& row, std::uint32_t packages) {
  hwdb::CpuInfo cpu;
  cpu.name = row.name;
  cpu.catalog_id = row.id;
  cpu.packages = packages;
  cpu.numa_nodes = packages;
  cpu.cores = row.cores.value_or(0) * packages;
  cpu.threads = row.threads.value_or(row.cores.value_or(0)) * packages;
  if (row.p_cores && *row.p_cores < row.cores.value_or(0))
    cpu.performance_cores = *row.p_cores * packages;
  cpu.isa = row.isa;
  if (row.tdp_watts)
    cpu.tdp = Sourced<Watts>{Watts(*row.tdp_watts * packages), basis_of(row.origin, "tdp_watts"),
                             catalogue(row.id), row.origin.as_of};
  return cpu;
}

void fill_memory_rate(const hwdb::CpuRow* row, std::uint32_t packages, const MemoryWords& words,
                      hwdb::MemoryInfo* info, std::vector<std::string>* notes) {
  // Of a processor nobody knows: a current desktop's two channels.
  constexpr std::uint32_t kPlainRate = 5600, kPlainChannels = 2;
  const std::string row_type = row ? row->memory_type : std::string("DDR5");
  const std::optional<std::uint32_t> row_rate =
      row ? row->memory_rate_mt_per_s : std::optional(kPlainRate);
  // Eight bytes a channel; rows of soldered memory give the bus instead of channels.
  double bytes_wide = 8.0 * kPlainChannels;
  if (row && row->memory_channels) bytes_wide = 8.0 * *row->memory_channels;
  if (row && row->memory_bus_bits) bytes_wide = *row->memory_bus_bits / 8.0;
  std::uint32_t channels =
      row && row->memory_channels
          ? *row->memory_channels
          : std::max(1u, static_cast<std::uint32_t>(std::lround(bytes_wide / 8)));
  const std::string of = row ? row->name : std::string("a current desktop");

  info->type = words.type.empty() ? row_type : words.type;
  if (words.channels) {
    // Said for the whole machine; a socket's own count said of two sockets means each.
    channels = *words.channels;
    bytes_wide = 8.0 * channels;
    if (packages > 1 && row && row->memory_channels && channels <= *row->memory_channels) {
      channels *= packages;
      bytes_wide *= packages;
    }
  } else {
    channels *= packages;
    bytes_wide *= packages;
  }
  info->channels = channels;

  if (words.empty() || (!words.rate_mt_per_s && words.type.empty() && !words.channels)) {
    info->rate_mt_per_s = row_rate;
    if (row && row->mem_bw_bytes_per_s) {
      info->bandwidth = {
          BytesPerSecond(*row->mem_bw_bytes_per_s * packages),
          basis_of(row->origin, "mem_bw_bytes_per_s") == Basis::unverified ? Basis::unverified
                                                                           : Basis::assumed,
          fmt::format("assumed: official speed, all channels filled ({})", catalogue(row->id)),
          row->origin.as_of};
    } else {
      info->bandwidth = {BytesPerSecond(bytes_wide * row_rate.value_or(kPlainRate) * 1e6),
                         Basis::assumed, "assumed: all channels filled", ""};
    }
    notes->push_back(
        fmt::format("Memory speed: assumed {}{} in all {} channels ({}), as {} takes it.",
                    info->type.empty() ? "memory" : info->type,
                    info->rate_mt_per_s ? fmt::format("-{}", *info->rate_mt_per_s) : "", channels,
                    hwdb::format_bandwidth(info->bandwidth.value), of));
    return;
  }

  std::uint32_t rate = 0;
  if (words.rate_mt_per_s) {
    rate = *words.rate_mt_per_s;
  } else if (info->type == row_type && row_rate) {
    rate = *row_rate;
    notes->push_back(
        fmt::format("Memory rate: assumed {}-{}, the official speed of {}.", info->type, rate, of));
  } else {
    // Another kind than the CPU's own: its highest common module speed.
    constexpr std::array<std::pair<std::string_view, std::uint32_t>, 5> kCommon = {
        {{"DDR3", 1600}, {"DDR4", 3200}, {"DDR5", 5600}, {"LPDDR4X", 4266}, {"LPDDR5", 6400}}};
    rate = kPlainRate;
    for (const auto& [type, common] : kCommon)
      if (type == info->type) rate = common;
    notes->push_back(fmt::format("Memory rate: assumed {}-{}.", info->type, rate));
  }
  info->rate_mt_per_s = rate;
  if (!words.channels)
    notes->push_back(fmt::format("Memory channels: assumed all {} of {} filled.", channels, of));
  const bool all_said = words.rate_mt_per_s && words.channels;
  info->bandwidth = {BytesPerSecond(bytes_wide * rate * 1e6),
                     all_said ? Basis::spec : Basis::assumed,
                     fmt::format("{} MT/s x {:.4g} bytes", rate, bytes_wide), ""};
}

std::string form_of(const hwdb::CpuRow& row, std::uint32_t packages) {
  if (row.family == "phone" || contains_word(row.name, "Apple A")) return "phone";
  constexpr std::array<std::string_view, 9> kBoards = {"Broadcom", "Rockchip",  "CIX",
                                                       "Amlogic",  "Allwinner", "SpacemiT",
                                                       "StarFive", "MediaTek",  "Espressif"};
  if (std::find(kBoards.begin(), kBoards.end(), row.vendor) != kBoards.end()) return "board";
  if (packages > 1 || row.memory_channels.value_or(0) >= 6 || contains_word(row.name, "Xeon") ||
      contains_word(row.name, "EPYC") || row.vendor == "Ampere")
    return "server";
  if (row.vendor == "Qualcomm" || contains_word(row.name, "Ryzen AI")) return "laptop";
  // Letters after the model number tell mobile parts apart: 165H, 7840HS, 1165G7, 14900HX.
  const std::string_view name = row.name;
  const std::size_t space = name.find_last_of(' ');
  std::string_view last = space == std::string_view::npos ? name : name.substr(space + 1);
  std::size_t digits = last.find_last_of("0123456789");
  if (last.size() >= 2 && last.substr(last.size() - 2) == "G7") return "laptop";
  if (digits != std::string_view::npos && digits + 1 < last.size()) {
    const std::string_view tail = last.substr(digits + 1);
    for (const std::string_view mobile : {"H", "HX", "HS", "HK", "U", "P", "V"})
      if (tail == mobile) return "laptop";
  }
  return "desktop";
}

Sourced<Watts> assumed_base_idle(const hwdb::Catalog& catalog, std::string_view form,
                                 std::uint32_t packages) {
  struct Default {
    std::string_view form, id;
    double otherwise;
  };
  constexpr std::array<Default, 6> kDefaults = {{{"desktop", "idle_w.desktop_board_cpu_ram", 45},
                                                 {"laptop", "idle_w.laptop_screen_off", 6},
                                                 {"mini", "idle_w.mini_pc", 8},
                                                 {"board", "idle_w.single_board_computer", 3},
                                                 {"phone", "idle_w.single_board_computer", 3},
                                                 {"server", "idle_w.server_two_socket", 150}}};
  for (const Default& row : kDefaults) {
    if (row.form != form) continue;
    double watts = default_or(catalog, row.id, row.otherwise);
    // The server figure is of two sockets.
    if (form == "server" && packages == 1) watts /= 2;
    return {Watts(watts), Basis::assumed, fmt::format("assumed: {} at rest", form), ""};
  }
  return {Watts(45), Basis::assumed, "assumed: desktop at rest", ""};
}

}  // namespace planner
