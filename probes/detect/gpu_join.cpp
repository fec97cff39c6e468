// SPDX-License-Identifier: MIT
// What was seen of each GPU → Machine.gpus: one record a device, with the best source for each
// figure.
#include <fmt/format.h>

#include <algorithm>

#include "hwdb/units.h"
#include "probes/detect/scene.h"

namespace probes {
namespace {

using engine::VulkanDevice;
using hwdb::Basis;
using hwdb::Bytes;
using hwdb::GpuInfo;
using hwdb::Sourced;

constexpr std::uint32_t kNvidia = 0x10de, kAmd = 0x1002, kIntel = 0x8086;

Sourced<Bytes> detected(std::uint64_t bytes, std::string source) {
  return {Bytes(bytes), Basis::detected, std::move(source), ""};
}

/// The memory that a Vulkan driver offers. NVIDIA shows the window that the processor sees as one
/// more local heap, inside the first; AMD splits its memory into disjoint heaps.
struct HeapSum {
  std::uint64_t size = 0;
  std::optional<std::uint64_t> budget;
};
HeapSum local_heaps(const VulkanDevice& d) {
  HeapSum sum;
  for (const auto& heap : d.heaps) {
    if (!heap.device_local) continue;
    if (d.vendor_id == kNvidia && heap.size_bytes <= sum.size) continue;
    if (d.vendor_id == kNvidia) sum = {};
    sum.size += heap.size_bytes;
    if (heap.budget_bytes) sum.budget = sum.budget.value_or(0) + *heap.budget_bytes;
  }
  if (sum.budget) sum.budget = std::min(*sum.budget, sum.size);
  return sum;
}

GpuInfo::Kind kind_of(const Scene& scene, const GpuSighting& gpu) {
  using Kind = GpuInfo::Kind;
  const bool nvidia = gpu.vendor_id == kNvidia;
  const Kind shared = nvidia || gpu.pci_address.empty() ? Kind::unified : Kind::integrated;
  if (gpu.vulkan && gpu.vulkan->type == VulkanDevice::Type::integrated) return shared;
  if (gpu.vulkan && gpu.vulkan->type == VulkanDevice::Type::discrete) return Kind::discrete;
  // Without a driver's word. NVIDIA's chips with shared memory stand on boards that say so.
  if (nvidia) {
    const auto product = scene.sys.read_text("/sys/class/dmi/id/product_name", 256);
    const bool spark = product && product->find("DGX_Spark") != std::string::npos;
    return spark || gpu.pci_address.empty() ? Kind::unified : Kind::discrete;
  }
  if (gpu.vendor_id == kAmd && gpu.kernel_driver == "amdgpu")
    return gpu.known_discrete ? Kind::discrete : Kind::integrated;
  if (gpu.vendor_id == kIntel) return gpu.known_discrete ? Kind::discrete : Kind::integrated;
  return gpu.pci_address.empty() ? Kind::unified : Kind::discrete;
}

GpuInfo::Backend backend_of(const GpuSighting& gpu, GpuInfo::Kind kind) {
  const bool own = kind == GpuInfo::Kind::discrete;
  const std::uint32_t vendor = gpu.vendor_id;
  if (vendor == kNvidia) return GpuInfo::Backend::cuda;
  // The kernel's older driver, radeon, knows no compute.
  if (vendor == kAmd && own && gpu.kernel_driver != "radeon") return GpuInfo::Backend::rocm;
  if (vendor == kIntel && own) return GpuInfo::Backend::sycl;
  return GpuInfo::Backend::vulkan;
}

/// AMD names the graphics in the processor's name: "Radeon 8060S" of "... w/ Radeon 8060S"; ""
/// where that is no model ("with Radeon Graphics").
std::string graphics_in(std::string_view cpu) {
  const std::size_t at = cpu.find(" w/ Radeon ");
  if (at == std::string_view::npos) return "";
  std::string_view name = cpu.substr(at + 4);
  if (name.ends_with(" Graphics")) name.remove_suffix(9);
  return name.find_first_of("0123456789") != std::string_view::npos ? std::string(name) : "";
}

std::string name_of(const Scene& scene, const GpuSighting& gpu, GpuInfo::Kind kind) {
  if (gpu.nvml && !gpu.nvml->name.empty()) return gpu.nvml->name;
  if (!gpu.kernel_name.empty()) return gpu.kernel_name;
  // Mesa adds the chip: "AMD Radeon RX 7900 XTX (RADV NAVI31)".
  if (gpu.vulkan && !gpu.vulkan->name.empty())
    return gpu.vulkan->name.substr(
        0, std::min(gpu.vulkan->name.find(" (RADV"), gpu.vulkan->name.find(" (AMD")));
  const std::string graphics = graphics_in(scene.machine.cpu.name);
  if (gpu.vendor_id == kAmd && kind == GpuInfo::Kind::integrated && !graphics.empty())
    return "AMD " + graphics;
  const std::string_view vendor = gpu_vendor(gpu.vendor_id);
  return fmt::format("{} GPU {:04x}:{:04x}", vendor.empty() ? "unknown" : vendor, gpu.vendor_id,
                     gpu.device_id);
}

std::string driver_of(const Scene& scene, const GpuSighting& gpu) {
  if (gpu.vendor_id == kNvidia && !scene.nvidia_version.empty())
    return "NVIDIA " + scene.nvidia_version;
  if (gpu.vulkan && !gpu.vulkan->driver_name.empty())
    return fmt::format("{}{}{}", gpu.vulkan->driver_name,
                       gpu.vulkan->driver_info.empty() ? "" : " ", gpu.vulkan->driver_info);
  return gpu.kernel_driver;
}

/// Memory of a card of its own. A heap is used only where nobody knows the whole.
void fill_own_memory(const GpuSighting& gpu, GpuInfo* out) {
  if (gpu.nvml && gpu.nvml->memory_total_bytes) {
    out->memory = detected(*gpu.nvml->memory_total_bytes, "NVML");
    if (gpu.nvml->memory_free_bytes)
      out->available = detected(*gpu.nvml->memory_free_bytes, "NVML");
    return;
  }
  if (gpu.vram_bytes && *gpu.vram_bytes > 0) {
    out->memory = detected(*gpu.vram_bytes, "kernel driver " + gpu.kernel_driver);
    if (gpu.vram_used_bytes && *gpu.vram_used_bytes <= *gpu.vram_bytes)
      out->available =
          detected(*gpu.vram_bytes - *gpu.vram_used_bytes, "kernel driver " + gpu.kernel_driver);
    return;
  }
  if (!gpu.vulkan) {
    out->memory.source =
        gpu.asleep ? "not read: the GPU is asleep" : "not readable: no driver says how much it has";
    return;
  }
  const HeapSum heaps = local_heaps(*gpu.vulkan);
  const bool verified = gpu.vulkan->type == VulkanDevice::Type::discrete;
  out->memory = {Bytes(heaps.size), verified ? Basis::detected : Basis::unverified,
                 "Vulkan: device-local heap", ""};
  if (heaps.budget) out->available = detected(*heaps.budget, "Vulkan: heap budget");
}

/// The four views of shared memory, each from whoever knows it.
void fill_pool(const Scene& scene, const GpuSighting& gpu, GpuInfo* out) {
  const std::string driver = "kernel driver " + gpu.kernel_driver;
  if (gpu.vendor_id == kAmd && gpu.vram_bytes) out->carve_out = detected(*gpu.vram_bytes, driver);
  if (gpu.gtt_bytes) out->shared_limit = detected(*gpu.gtt_bytes, driver);
  if (gpu.vulkan) {
    if (const auto budget = local_heaps(*gpu.vulkan).budget)
      out->heap_budget = detected(*budget, "Vulkan: heap budget");
  }
  out->reclaimable = scene.machine.memory.available;
}

void fill_abilities(const GpuSighting& gpu, GpuInfo* out) {
  const auto clock = [&](const std::optional<double>& hz) -> std::optional<Sourced<hwdb::Hertz>> {
    if (!hz) return std::nullopt;
    return Sourced<hwdb::Hertz>{hwdb::Hertz(*hz), Basis::detected,
                                "kernel driver " + gpu.kernel_driver, ""};
  };
  out->core_clock = clock(gpu.core_clock_hz);
  out->memory_clock = clock(gpu.memory_clock_hz);
  if (!gpu.vulkan) return;
  const VulkanDevice& d = *gpu.vulkan;
  out->min_subgroup = d.min_subgroup_size;
  out->max_subgroup = d.max_subgroup_size;
  const std::pair<bool, const char*> abilities[] = {
      {d.storage_16bit, "storage16"}, {d.shader_float16, "fp16"}, {d.shader_int8, "int8"},
      {d.int_dot, "int8_dot"},        {d.matrix, "matrix"},       {d.matrix_bf16, "matrix_bf16"}};
  for (const auto& [there, name] : abilities) {
    if (there) out->features.emplace_back(name);
  }
}

/// Grace is named after the module it is soldered on, by which the catalogue knows it.
bool is_grace_hopper(const Scene& scene, const GpuSighting& gpu) {
  constexpr std::uint32_t kGh200 = 0x2342, kGh200Large = 0x2348;
  return gpu.vendor_id == kNvidia && scene.machine.cpu.name.starts_with("NVIDIA Grace") &&
         (gpu.device_id == kGh200 || gpu.device_id == kGh200Large);
}

/// The driver lends the GPU's own memory to the system as nodes without processors: it is taken
/// back, or it would count twice.
void take_back_lent_memory(Scene* scene) {
  std::uint64_t lent = 0;
  constexpr std::string_view kNodes = "/sys/devices/system/node";
  for (const std::string& entry : scene->sys.list(kNodes)) {
    const std::string base = fmt::format("{}/{}", kNodes, entry);
    const auto mask = scene->sys.read_text(base + "/cpumap");
    if (!mask || mask->find_first_not_of("0,") != std::string::npos) continue;
    for (const std::string& line : scene->sys.read_lines(base + "/meminfo")) {
      const std::size_t at = line.find("MemTotal:");
      const std::size_t unit = line.rfind("kB");
      if (at == std::string::npos || unit == std::string::npos || unit < at + 9) continue;
      std::uint64_t bytes = 0;
      const auto kib = parse_number(std::string_view(line).substr(at + 9, unit - at - 9));
      if (kib && hwdb::checked_mul(*kib, 1024, &bytes)) hwdb::checked_add(lent, bytes, &lent);
    }
  }
  auto& total = scene->machine.memory.total;
  if (lent == 0 || lent >= total.value.value) return;
  total.value = Bytes(total.value.value - lent);
  auto& available = scene->machine.memory.available;
  if (available && available->value > total.value) available->value = total.value;
  scene->machine.notes.push_back(
      fmt::format("{} of the system's memory is the GPU's own and is counted there.",
                  hwdb::format_bytes(Bytes(lent))));
}

/// Memory that is the system's: what the GPU may use of it, never more than there is.
void fill_shared_memory(const Scene& scene, const GpuSighting& gpu, GpuInfo* out) {
  const std::uint64_t system = scene.machine.memory.total.value.value;
  if (gpu.vendor_id == kAmd && gpu.vram_bytes && gpu.gtt_bytes) {
    // The carve-out is no longer part of what the system counts; the rest is.
    const std::uint64_t shared = std::min(*gpu.gtt_bytes, system);
    out->memory = detected(
        *gpu.vram_bytes + shared,
        fmt::format("amdgpu: {} set apart by the firmware and up to {} of the system's",
                    hwdb::format_bytes(Bytes(*gpu.vram_bytes)), hwdb::format_bytes(Bytes(shared))));
    return;
  }
  if (out->kind == GpuInfo::Kind::unified) {
    out->memory = detected(system, "unified with the system's memory");
    if (gpu.nvml && gpu.nvml->memory_total_bytes && *gpu.nvml->memory_total_bytes < system)
      out->memory = detected(*gpu.nvml->memory_total_bytes, "NVML, unified");
    return;
  }
  if (gpu.vulkan) {
    const HeapSum heaps = local_heaps(*gpu.vulkan);
    out->memory = detected(std::min(heaps.size, system), "Vulkan: heap shared with the system");
    if (heaps.budget)
      out->available = detected(std::min(*heaps.budget, system), "Vulkan: heap budget");
    return;
  }
  if (gpu.vendor_id == kIntel && system > 0) {
    // Mesa's driver: three quarters, half up to 4 GiB (anv_compute_sys_heap_size).
    const std::uint64_t share = system <= 4 * hwdb::kGiB ? system / 2 : system / 4 * 3;
    out->memory = {Bytes(share), Basis::assumed, "assumed: the share that Mesa's driver offers",
                   ""};
    return;
  }
  out->memory.source = "not readable: no driver says how much it may use";
}

GpuInfo info_of(Scene* scene, const GpuSighting& gpu) {
  GpuInfo out;
  out.vendor = gpu_vendor(gpu.vendor_id);
  out.kind = kind_of(*scene, gpu);
  out.name = name_of(*scene, gpu, out.kind);
  out.backend = backend_of(gpu, out.kind);
  out.pci_address = gpu.pci_address;
  if (gpu.vendor_id != 0 && gpu.vendor_id <= 0xffff)
    out.pci_id = fmt::format("{:04x}:{:04x}", gpu.vendor_id, gpu.device_id);
  out.uuid = gpu.nvml && !gpu.nvml->uuid.empty() ? gpu.nvml->uuid
             : !gpu.kernel_uuid.empty()          ? gpu.kernel_uuid
             : gpu.vulkan                        ? gpu.vulkan->uuid
                                                 : "";
  out.driver = driver_of(*scene, gpu);
  if (scene->machine.form == "laptop" && out.kind == GpuInfo::Kind::discrete) out.form = "laptop";
  if (out.kind == GpuInfo::Kind::discrete) {
    fill_own_memory(gpu, &out);
  } else {
    fill_shared_memory(*scene, gpu, &out);
    fill_pool(*scene, gpu, &out);
  }
  fill_abilities(gpu, &out);
  if (is_grace_hopper(*scene, gpu)) {
    out.link_name = "NVLink-C2C";  // the PCIe link is for control only
  } else if (gpu.link && out.kind == GpuInfo::Kind::discrete) {
    out.host_link = {hwdb::BytesPerSecond(gpu.link->bytes_per_second()), Basis::detected,
                     "PCIe width as trained, best speed of both ends", ""};
    out.link_name = gpu.link->name();
  }
  if (gpu.nvml && gpu.nvml->power_limit_watts) {
    out.power_limit = {hwdb::Watts(*gpu.nvml->power_limit_watts), Basis::detected, "NVML", ""};
  } else if (gpu.power_limit_watts) {
    out.power_limit = {hwdb::Watts(*gpu.power_limit_watts), Basis::detected,
                       "kernel driver " + gpu.kernel_driver, ""};
  }

  const auto note = [&](std::string_view sentence) {
    scene->machine.notes.push_back(fmt::format("{} {}", out.name, sentence));
  };
  if (out.link_name.starts_with("PCIe") && gpu.max_lanes > gpu.link->lanes)
    note(
        fmt::format("uses {} of its {} lanes: {}.", gpu.link->lanes, gpu.max_lanes, out.link_name));
  if (gpu.asleep && out.kind == GpuInfo::Kind::discrete)
    note("is asleep and was not woken to ask it; `doctor` asks.");
  if (gpu.nvml && gpu.nvml->mig) note("is cut into MIG slices; its memory is not one pool.");
  if (gpu.vulkan && (gpu.vulkan->type == VulkanDevice::Type::virtual_gpu ||
                     gpu.vulkan->type == VulkanDevice::Type::other))
    note("is a virtual device; its figures are not verified.");
  return out;
}

/// The board's own GPU where no bus and no driver shows it: Jetson and Apple.
void add_board_gpu(Scene* scene) {
  const std::string& board = scene->board;
  const bool jetson = board.find("Jetson") != std::string::npos;
  const bool apple = board.starts_with("Apple ") && scene->machine.cpu.name.starts_with("Apple M");
  if ((!jetson && !apple) || !scene->gpus.empty()) return;
  GpuInfo gpu;
  gpu.name = jetson ? board.substr(0, board.find(" Developer Kit")) : scene->machine.cpu.name;
  gpu.vendor = jetson ? "NVIDIA" : "Apple";
  gpu.kind = GpuInfo::Kind::unified;
  gpu.backend = jetson ? GpuInfo::Backend::cuda : GpuInfo::Backend::vulkan;  // Linux has no Metal
  gpu.memory =
      detected(scene->machine.memory.total.value.value, "unified with the system's memory");
  gpu.reclaimable = scene->machine.memory.available;
  scene->machine.gpus.push_back(std::move(gpu));
}

}  // namespace

Outcome join_gpus(Scene* scene) {
  // The order of the bus, those without an address last: equal cards keep their places.
  std::ranges::stable_sort(scene->gpus, [](const GpuSighting& a, const GpuSighting& b) {
    if (a.pci_address.empty() != b.pci_address.empty()) return b.pci_address.empty();
    return a.pci_address < b.pci_address;
  });
  if (std::ranges::any_of(scene->gpus,
                          [&](const GpuSighting& g) { return is_grace_hopper(*scene, g); })) {
    scene->machine.cpu.name = "NVIDIA Grace (GH200)";
    take_back_lent_memory(scene);
  }
  for (const GpuSighting& gpu : scene->gpus) scene->machine.gpus.push_back(info_of(scene, gpu));
  add_board_gpu(scene);
  auto& gpus = scene->machine.gpus;
  // Plans go to cards of their own first.
  std::ranges::stable_sort(
      gpus, {}, [](const GpuInfo& g) { return g.kind == GpuInfo::Kind::discrete ? 0 : 1; });
  for (const GpuInfo& gpu : gpus) {
    if (gpu.kind == GpuInfo::Kind::integrated && gpus.front().kind == GpuInfo::Kind::discrete)
      scene->machine.notes.push_back(
          fmt::format("{} shares the system's memory; plans use {} unless told otherwise.",
                      gpu.name, gpus.front().name));
  }
  const bool wsl = scene->machine.environment == "wsl2";
  if (gpus.empty() && wsl && scene->sys.exists("/dev/dxg"))
    scene->machine.notes.push_back(
        "WSL2 offers a GPU (/dev/dxg), but no driver inside says which: name it with --on.");
  return {Status::ok, fmt::format("{} GPUs", gpus.size())};
}

}  // namespace probes
