// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hwdb/catalog.h"
#include "hwdb/machine.h"
#include "planner/rig/rig_text.h"

/// How catalogue rows become parts of a machine, with the assumption said where one is made.
namespace planner {

/// spec, or unverified where nobody read that member of the row in a source.
hwdb::Basis basis_of(const hwdb::RowOrigin& origin, std::string_view member);

/// A share of a shared memory, and the sentence that says where the share comes from.
struct MemoryShare {
  double fraction = 1;
  std::string words;
};
/// What a GPU without memory of its own may be given of `system_bytes`.
MemoryShare gpu_share_of_memory(const hwdb::GpuRow& row, std::uint64_t system_bytes);
/// What one program may take of a phone's memory.
MemoryShare app_share_of_phone_memory();

/// The sustained rate of a PCIe link and its name; absent when no such row is known.
struct HostLink {
  hwdb::Sourced<hwdb::BytesPerSecond> rate;
  std::string name;
};
std::optional<HostLink> pcie_link(const hwdb::Catalog& catalog, std::uint32_t gen,
                                  std::uint32_t lanes);
/// The full link of a card: of its row, else PCIe 4.0 x16, said to be assumed.
HostLink full_link(const hwdb::Catalog& catalog, const hwdb::GpuRow& row);

/// Whether the CPU and this GPU share one memory by design, so that naming one names both.
bool is_shared_memory_platform(const hwdb::GpuRow& row);

/// CPU figures of `packages` sockets.
hwdb::CpuInfo cpu_from_row(const hwdb::CpuRow& row, std::uint32_t packages);

/// Memory as said and, where nothing was said, as the CPU's row has it: official rate, all channels
/// filled. `row` may be null: then a desktop's two channels. Adds a sentence to `notes` for each
/// assumption. `info.total` is left alone.
void fill_memory_rate(const hwdb::CpuRow* row, std::uint32_t packages, const MemoryWords& words,
                      hwdb::MemoryInfo* info, std::vector<std::string>* notes);

/// desktop, laptop, board, phone or server, from what the row says of its family and memory.
std::string form_of(const hwdb::CpuRow& row, std::uint32_t packages);

/// Watts of the computer at rest without its GPUs, by form, from the catalogue's defaults.
hwdb::Sourced<hwdb::Watts> assumed_base_idle(const hwdb::Catalog& catalog, std::string_view form,
                                             std::uint32_t packages);

/// The value of a default of the catalogue, or `otherwise` when it has no such row.
double default_or(const hwdb::Catalog& catalog, std::string_view id, double otherwise);
/// The memory of the plain current computer that stands around a GPU named alone.
std::uint64_t plain_host_memory(const hwdb::Catalog& catalog);
/// Its processor; null when the catalogue does not have it.
const hwdb::CpuRow* plain_host_cpu(const hwdb::Catalog& catalog);

/// "64 GB", "1.5 TB": memory as it is labelled.
std::string label_of_memory(std::uint64_t bytes);

/// Null when no row has that id.
const hwdb::GpuRow* gpu_by_id(const hwdb::Catalog& catalog, std::string_view id);
const hwdb::CpuRow* cpu_by_id(const hwdb::Catalog& catalog, std::string_view id);

}  // namespace planner
