// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "hwdb/catalog.h"
#include "hwdb/machine.h"
#include "hwdb/result.h"

namespace planner {

/// Makes a machine from words: "RTX 4090", "2x RTX 3090, 64GB DDR4-3200", "Mac Studio M3 Ultra
/// 512GB", "EPYC 9554 12ch DDR5-4800", "gpu:vram=24GiB,bw=1008GB/s,fp16=165T,tdp=450W". What is not
/// named is taken from the catalogue or assumed, and said in the machine's notes. Errors:
/// name.unknown, name.ambiguous, rig.syntax, rig.range.
hwdb::Result<hwdb::Machine> machine_from_words(const hwdb::Catalog& catalog,
                                               std::string_view words);

/// A catalogue row as a GPU of a machine; `memory_bytes` chooses among the sizes the row was sold
/// in (0: the row's first).
hwdb::GpuInfo gpu_from_row(const hwdb::Catalog& catalog, const hwdb::GpuRow& row,
                           std::uint64_t memory_bytes);

/// Fills what detection could not read (bandwidth, peaks, watts, links) from the catalogue or by
/// stated assumptions, and adds a note for each assumption. Values already there are kept.
void complete_from_catalog(const hwdb::Catalog& catalog, hwdb::Machine* machine);

}  // namespace planner
