// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/provenance.h"
#include "hwdb/reading.h"
#include "hwdb/units.h"

namespace hwdb {

/// The processors of a machine, all packages together.
struct CpuInfo {
  std::string name;        // as the machine or the user says it
  std::string catalog_id;  // "" when no row matches
  std::uint32_t packages = 1;
  std::uint32_t cores = 0, threads = 0;  // physical cores and hardware threads, all packages
  std::uint32_t performance_cores = 0;   // 0: all cores are of one kind
  std::uint32_t usable_threads = 0;      // after affinity, cpuset and quota
  std::vector<std::string> isa;          // "avx2", "avx512_vnni", "neon_dotprod"...
  std::optional<Sourced<FlopsPerSecond>> peak_fp32, peak_int8;
  std::optional<Sourced<Watts>> tdp;
  std::vector<std::uint64_t> cache_bytes;          // L1d, L2, L3: of one instance
  std::uint64_t last_level_cache_total_bytes = 0;  // summed over instances
  std::uint32_t numa_nodes = 1;
};

/// System memory.
struct MemoryInfo {
  Sourced<Bytes> total;
  std::optional<Sourced<Bytes>>
      available;  // free for a new program now; absent for a machine that is only described
  std::optional<Sourced<Bytes>> limit;  // a container's limit when it is below the total
  Sourced<BytesPerSecond> bandwidth;    // read, all cores, all packages
  std::string type;                     // "DDR5", "" unknown
  std::optional<std::uint32_t> rate_mt_per_s, channels;
};

/// A GPU or accelerator that can compute. Software renderers never appear here.
struct GpuInfo {
  enum class Kind {
    discrete,
    integrated,
    unified
  };  // integrated and unified: memory is a share of the system's
  enum class Backend { cuda, rocm, vulkan, metal, sycl };
  std::string name, catalog_id, vendor, arch;
  Kind kind = Kind::discrete;
  Backend backend = Backend::vulkan;  // the usual one for this vendor; the plan may choose another
  Sourced<Bytes> memory;  // what a program can be given at most; 0: not readable, see its source
  std::optional<Sourced<Bytes>> available;           // budget left now
  std::optional<Sourced<BytesPerSecond>> bandwidth;  // absent: unknown, then the plan says so
  std::optional<Sourced<FlopsPerSecond>>
      peak_fp16;  // matrix units where there are any, else vector
  std::optional<Sourced<FlopsPerSecond>> peak_fp32, peak_int8;
  std::optional<Sourced<Watts>> power_limit, idle;
  Sourced<BytesPerSecond> host_link;  // one way, to the host
  std::string link_name;              // "PCIe 4.0 x16"
  std::optional<Sourced<double>> price_usd;
  std::string pci_address, uuid, driver;  // detected only
  std::string pci_id;                     // "10de:2684", detected only: finds the catalogue row
  std::string form;                       // "laptop" or ""
};

struct Renderer {
  std::string name, driver;
};

/// What a machine is, whether detected, described in words or loaded from a file. The planner takes
/// nothing else.
struct Machine {
  std::string name;              // "this machine", or the text it was described with
  std::string form = "desktop";  // desktop, laptop, mini, board, phone, server
  CpuInfo cpu;
  MemoryInfo memory;
  std::vector<GpuInfo> gpus;
  std::optional<Sourced<BytesPerSecond>>
      gpu_link;              // one way between GPUs when there are several (PCIe or NVLink)
  Sourced<Watts> base_idle;  // the whole computer at rest without its GPUs, at the wall
  std::optional<Sourced<double>> price_usd;  // of the whole machine, when it is sold whole
  std::string os, environment;               // environment: "", "kvm", "wsl2", "container"...
  std::vector<Renderer> software_renderers;
  std::vector<std::string> notes;  // what was assumed, in sentences
  bool described = false;          // true: from text or catalogue; false: detected here
  std::vector<Reading> readings;   // what was measured, failures included; the values that a plan
                                   // uses stand in the members above too
};

/// The machine as one JSON object (schema "1.0", with readings "1.1") and back. Units stand in the
/// keys; what is unknown is left out. Errors: row.unknown_key, row.type, machine.schema (no schema,
/// or a newer major; a newer minor may bring keys that we skip), machine.range (negative, not
/// finite, or beyond any machine), each naming `where` and the key.
Json machine_to_json(const Machine& machine);
Result<Machine> machine_from_json(const Json& json, std::string_view where);

}  // namespace hwdb
