// SPDX-License-Identifier: MIT
#include "planner/rig/rig.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planner/rig/rig_facts.h"
#include "planner/rig/rig_text.h"

namespace planner {
namespace {

using hwdb::Basis;
using hwdb::Bytes;
using hwdb::Error;
using hwdb::Sourced;

constexpr std::uint32_t kPlainCores = 8;  // of a processor whose count nobody knows

Error rig_error(std::string_view code, std::string what, std::string_view where,
                std::string hint = "") {
  return {std::string(code), std::move(what), std::string(where), std::move(hint)};
}

/// What a name turned out to be; all null with `error` set when it is nothing known.
struct Match {
  const hwdb::SystemRow* system = nullptr;
  const hwdb::CpuRow* cpu = nullptr;
  const hwdb::GpuRow* gpu = nullptr;
  bool gpu_ambiguous = false;  // the CPU decided among GPUs of one name
  Error error;
  bool found() const { return system || cpu || gpu; }
};

/// Looks a name up as a whole computer, a processor and a GPU, in this order of meaning.
Match match_name(const hwdb::Catalog& catalog, const RigItem& item) {
  Match match;
  for (const std::string* name : {&item.text, &item.name}) {
    if (const auto system = catalog.find_system(*name)) {
      match.system = *system;
      return match;
    }
  }
  const auto cpu = catalog.find_cpu(item.name);
  auto gpu = catalog.find_gpu(item.text);
  if (!gpu && item.text != item.name) gpu = catalog.find_gpu(item.name);
  if (cpu) {
    // "M3 Ultra" and "Strix Halo" name the chip and its GPU: the processor's row knows which.
    const hwdb::GpuRow* own = gpu_by_id(catalog, (*cpu)->igpu_id);
    if (!gpu || (own && is_shared_memory_platform(*own))) {
      match.cpu = *cpu;
      match.gpu_ambiguous = !gpu && gpu.error().code == "name.ambiguous";
      return match;
    }
  }
  if (gpu) {
    match.gpu = *gpu;
    return match;
  }
  const Error& cpu_error = cpu.error();
  const Error& gpu_error = gpu.error();
  if (gpu_error.code == "name.ambiguous") {
    match.error = gpu_error;
  } else if (cpu_error.code == "name.ambiguous") {
    match.error = cpu_error;
  } else {
    match.error = gpu_error;
    match.error.what = fmt::format("no GPU, processor or computer is known as \"{}\"", item.name);
    if (match.error.hint.empty()) {
      match.error.hint = cpu_error.hint;
    } else if (!cpu_error.hint.empty() && cpu_error.hint != match.error.hint) {
      match.error.hint += "; or, among processors, " + cpu_error.hint;
    }
  }
  match.error.where = item.text;
  return match;
}

bool sold_with(const std::vector<std::uint64_t>& sizes, std::uint64_t bytes) {
  return std::find(sizes.begin(), sizes.end(), bytes) != sizes.end();
}

std::string labels_of(const std::vector<std::uint64_t>& sizes) {
  std::string out;
  for (const std::uint64_t size : sizes) out += (out.empty() ? "" : ", ") + label_of_memory(size);
  return out;
}

class Builder {
 public:
  explicit Builder(const hwdb::Catalog& catalog) : catalog_(catalog) {}

  hwdb::Result<hwdb::Machine> build(std::string_view words) {
    auto text = parse_rig_text(words);
    if (!text) return text.error();
    text_ = std::move(*text);
    machine_.name = std::string(words);
    machine_.described = true;
    for (std::size_t i = 0; i < text_.items.size(); ++i) {
      std::size_t taken = 1;
      if (const auto ok = add(i, &taken); !ok) return ok.error();
      i += taken - 1;
    }
    if (const auto ok = finish(); !ok) return ok.error();
    return std::move(machine_);
  }

 private:
  hwdb::Status add(std::size_t index, std::size_t* taken) {
    const RigItem& item = text_.items[index];
    switch (item.kind) {
      case RigItem::Kind::memory:
        return add_memory(item.memory, item.text);
      case RigItem::Kind::custom_gpu:
        return add_custom_gpu(item);
      case RigItem::Kind::custom_cpu:
        return add_custom_cpu(item);
      case RigItem::Kind::named:
        break;
    }
    Match match = match_name(catalog_, item);
    RigItem named = item;
    if (!match.found() && index + 1 < text_.items.size() &&
        text_.items[index + 1].kind == RigItem::Kind::named) {
      // "Mac Studio, M3 Ultra": a comma inside a name.
      const RigItem both = joined(item, text_.items[index + 1]);
      if (const Match joint = match_name(catalog_, both); joint.found()) {
        match = joint;
        named = both;
        *taken = 2;
      }
    }
    if (match.system) return add_system(*match.system, named);
    if (match.cpu) return add_cpu(*match.cpu, named, match.gpu_ambiguous);
    if (match.gpu) return add_gpu(*match.gpu, named);
    return match.error;
  }

  hwdb::Status add_memory(const MemoryWords& words, std::string_view where) {
    const auto merge = [&](auto* into, const auto& from) {
      if (!from) return true;
      if (*into && **into != *from) return false;
      *into = from;
      return true;
    };
    if (!merge(&memory_.bytes, words.bytes) || !merge(&memory_.channels, words.channels) ||
        !merge(&memory_.rate_mt_per_s, words.rate_mt_per_s) ||
        (!words.type.empty() && !memory_.type.empty() && words.type != memory_.type))
      return rig_error("rig.syntax", "the memory is described twice, differently", where);
    if (!words.type.empty()) memory_.type = words.type;
    return hwdb::Ok{};
  }

  hwdb::Status add_system(const hwdb::SystemRow& row, const RigItem& item) {
    if (system_ || cpu_row_ || custom_cpu_)
      return rig_error("rig.syntax", "two computers in one description", item.text);
    if (item.count != 1)
      return rig_error("rig.range", "one computer at a time; a cluster is not planned for",
                       item.text);
    system_ = &row;
    machine_.form = row.form.empty() ? "desktop" : row.form;
    if (const hwdb::CpuRow* cpu = cpu_by_id(catalog_, row.cpu_id)) {
      cpu_row_ = cpu;
      packages_ = 1;
    }
    if (const hwdb::GpuRow* gpu = gpu_by_id(catalog_, row.gpu_id)) {
      if (is_shared_memory_platform(*gpu) || gpu->kind == "integrated")
        shared_gpu_ = gpu;
      else
        add_boards(*gpu, std::clamp(row.gpu_count, 1u, 64u), 0);
    }
    return add_memory(item.memory, item.text);
  }

  hwdb::Status add_cpu(const hwdb::CpuRow& row, const RigItem& item, bool gpu_ambiguous) {
    if (system_ || cpu_row_ || custom_cpu_)
      return rig_error("rig.syntax", "two processors in one description; write 2x for two sockets",
                       item.text);
    if (item.count > 8) return rig_error("rig.range", "1 to 8 processors were expected", item.text);
    cpu_row_ = &row;
    packages_ = item.count;
    if (const hwdb::GpuRow* gpu = gpu_by_id(catalog_, row.igpu_id)) {
      if (is_shared_memory_platform(*gpu)) {
        shared_gpu_ = gpu;
        if (gpu_ambiguous)
          note(fmt::format("GPU: {} is taken; name another variant to plan with that.", gpu->name));
      } else {
        note(fmt::format("Its integrated graphics ({}) are left out; name them to plan with them.",
                         gpu->name));
      }
    }
    return add_memory(item.memory, item.text);
  }

  hwdb::Status add_gpu(const hwdb::GpuRow& row, const RigItem& item) {
    const bool shared = is_shared_memory_platform(row) || row.kind == "integrated";
    if (shared) {
      if (shared_gpu_)
        return rig_error("rig.syntax", "two GPUs that share the system's memory", item.text);
      if (item.count != 1)
        return rig_error("rig.range", "one computer at a time; a cluster is not planned for",
                         item.text);
      shared_gpu_ = &row;
      return add_memory(item.memory, item.text);
    }
    MemoryWords rest = item.memory;
    std::uint64_t size = 0;
    if (rest.bytes) {
      size = *rest.bytes;
      rest.bytes.reset();
      if (!row.memory_bytes.empty() && !sold_with(row.memory_bytes, size))
        return rig_error("rig.range",
                         fmt::format("{} has {}, not {}", row.name, labels_of(row.memory_bytes),
                                     label_of_memory(size)),
                         item.text,
                         fmt::format("write \"{}, {}\" if the computer's memory is meant",
                                     item.name, label_of_memory(size)));
    } else if (row.memory_bytes.size() > 1) {
      note(fmt::format("{}: sold with {}; {} assumed.", row.name, labels_of(row.memory_bytes),
                       label_of_memory(row.memory_bytes.front())));
    }
    if (row.form == "laptop" && !system_) machine_.form = "laptop";
    add_boards(row, item.count, size);
    return add_memory(rest, item.text);
  }

  void add_boards(const hwdb::GpuRow& row, std::uint32_t boards, std::uint64_t size) {
    const hwdb::GpuInfo gpu = gpu_from_row(catalog_, row, size);
    const std::uint32_t devices = boards * std::max(1u, row.devices_visible);
    for (std::uint32_t i = 0; i < devices; ++i) {
      machine_.gpus.push_back(gpu);
      gpu_rows_.push_back(&row);
    }
    if (row.devices_visible > 1)
      note(fmt::format("{}: one board shows up as {} devices.", row.name, row.devices_visible));
    if (!row.origin.verified)
      note(fmt::format("{}: its figures were not found in a source that could be checked.",
                       row.name));
  }

  hwdb::Result<double> quantity(const RigItem& item, std::string_view key, std::string_view value,
                                std::string_view unit, double least, double most) {
    auto number = hwdb::parse_quantity(value, unit);
    if (!number)
      return rig_error("rig.syntax", fmt::format("{}={}: {}", key, value, number.error().what),
                       item.text, number.error().hint);
    if (!(*number >= least && *number <= most))
      return rig_error(
          "rig.range",
          fmt::format("{}={}: {:g} to {:g} {} were expected", key, value, least, most, unit),
          item.text);
    return *number;
  }

  /// "24GB" and "24GiB" both mean what is on the label: powers of two.
  hwdb::Result<double> memory_quantity(const RigItem& item, std::string_view key,
                                       std::string_view value) {
    const auto words = parse_rig_text(value);
    if (!words || words->items.size() != 1 || !words->items[0].memory.bytes ||
        words->items[0].kind != RigItem::Kind::memory)
      return rig_error("rig.syntax",
                       fmt::format("{}={}: a size such as 24GiB was expected", key, value),
                       item.text);
    return static_cast<double>(*words->items[0].memory.bytes);
  }

  hwdb::Status add_custom_gpu(const RigItem& item) {
    hwdb::GpuInfo gpu;
    gpu.name = "described GPU";
    std::uint32_t pcie_gen = 4, pcie_lanes = 16;
    const auto said = [](auto value) {
      return Sourced<decltype(value)>{value, Basis::spec, "as described", ""};
    };
    for (const auto& [key, value] : item.values) {
      hwdb::Result<double> number = 0.0;
      if (key == "name") {
        gpu.name = value;
        continue;
      }
      if (key == "vendor") {
        gpu.vendor = value;
        continue;
      }
      if (key == "vram" || key == "memory") {
        number = memory_quantity(item, key, value);
        if (number) gpu.memory = said(Bytes(static_cast<std::uint64_t>(*number)));
      } else if (key == "bw") {
        number = quantity(item, key, value, "B/s", 1e8, 1e15);
        if (number) gpu.bandwidth = said(hwdb::BytesPerSecond(*number));
      } else if (key == "fp16" || key == "fp32" || key == "int8") {
        number = quantity(item, key, value, "", 1e9, 1e18);
        auto* peak = key == "fp16"   ? &gpu.peak_fp16
                     : key == "fp32" ? &gpu.peak_fp32
                                     : &gpu.peak_int8;
        if (number) *peak = said(hwdb::FlopsPerSecond(*number));
      } else if (key == "tdp" || key == "idle") {
        number = quantity(item, key, value, "W", key == "tdp" ? 1 : 0, 1e5);
        if (number) (key == "tdp" ? gpu.power_limit : gpu.idle) = said(hwdb::Watts(*number));
      } else if (key == "link") {
        number = quantity(item, key, value, "B/s", 1e8, 1e15);
        if (number) {
          gpu.host_link = said(hwdb::BytesPerSecond(*number));
          gpu.link_name = "as described";
        }
      } else if (key == "price") {
        number = quantity(item, key, value, "", 0, 1e7);
        if (number) gpu.price_usd = said(*number);
      } else {
        return rig_error("rig.syntax", fmt::format("gpu:{}= is not known", key), item.text,
                         "known: vram, bw, fp16, fp32, int8, tdp, idle, link, price, vendor, name");
      }
      if (!number) return number.error();
    }
    if (gpu.memory.value.value == 0)
      return rig_error("rig.syntax", "gpu: needs vram", item.text,
                       "write gpu:vram=24GiB,bw=1008GB/s");
    if (gpu.link_name.empty()) {
      hwdb::GpuRow plain;
      plain.pcie_gen = pcie_gen;
      plain.pcie_lanes = pcie_lanes;
      const HostLink link = full_link(catalog_, plain);
      gpu.host_link = link.rate;
      gpu.link_name = link.name;
      note(fmt::format("{}: assumed on {}.", gpu.name, link.name));
    }
    if (!gpu.bandwidth) note(gpu.name + ": no bandwidth given (bw=), so no speed can be said.");
    if (!gpu.peak_fp16 && !gpu.peak_fp32)
      note(gpu.name + ": no arithmetic peak given (fp16=), so prefill speed is not known.");
    if (gpu.vendor == "NVIDIA") gpu.backend = hwdb::GpuInfo::Backend::cuda;
    for (std::uint32_t i = 0; i < item.count; ++i) {
      machine_.gpus.push_back(gpu);
      gpu_rows_.push_back(nullptr);
    }
    return hwdb::Ok{};
  }

  hwdb::Status add_custom_cpu(const RigItem& item) {
    if (system_ || cpu_row_ || custom_cpu_)
      return rig_error("rig.syntax", "two processors in one description", item.text);
    custom_cpu_ = true;
    hwdb::CpuInfo& cpu = machine_.cpu;
    cpu.name = "described CPU";
    cpu.packages = item.count;
    for (const auto& [key, value] : item.values) {
      hwdb::Result<double> number = 0.0;
      if (key == "name") {
        cpu.name = value;
        continue;
      }
      if (key == "cores" || key == "threads") {
        number = quantity(item, key, value, "", 1, 4096);
        if (number)
          (key == "cores" ? cpu.cores : cpu.threads) =
              static_cast<std::uint32_t>(*number) * item.count;
      } else if (key == "bw") {
        number = quantity(item, key, value, "B/s", 1e8, 1e14);
        if (number)
          machine_.memory.bandwidth = {hwdb::BytesPerSecond(*number), Basis::spec, "as described",
                                       ""};
      } else if (key == "ram") {
        number = memory_quantity(item, key, value);
        if (number) memory_.bytes = static_cast<std::uint64_t>(*number);
      } else if (key == "fp32" || key == "int8") {
        number = quantity(item, key, value, "", 1e8, 1e17);
        if (number)
          (key == "fp32" ? cpu.peak_fp32 : cpu.peak_int8) = Sourced<hwdb::FlopsPerSecond>{
              hwdb::FlopsPerSecond(*number), Basis::spec, "as described", ""};
      } else if (key == "tdp") {
        number = quantity(item, key, value, "W", 1, 1e5);
        if (number)
          cpu.tdp = Sourced<hwdb::Watts>{hwdb::Watts(*number), Basis::spec, "as described", ""};
      } else {
        return rig_error("rig.syntax", fmt::format("cpu:{}= is not known", key), item.text,
                         "known: cores, threads, bw, ram, fp32, int8, tdp, name");
      }
      if (!number) return number.error();
    }
    if (cpu.cores == 0) cpu.cores = kPlainCores;
    if (cpu.threads == 0) cpu.threads = cpu.cores;
    return hwdb::Ok{};
  }

  hwdb::Status finish() {
    if (text_.items.size() == 1 && text_.items[0].kind == RigItem::Kind::memory)
      return rig_error("rig.syntax", "memory alone is no machine", machine_.name,
                       "name a processor or a GPU with it");
    if (text_.laptop) machine_.form = "laptop";
    find_cpu_of_shared_gpu();
    fill_cpu();
    if (const auto ok = fill_memory(); !ok) return ok.error();
    fill_gpus();
    fill_watts();
    return hwdb::Ok{};
  }

  /// A GPU that shares its memory comes with a processor.
  void find_cpu_of_shared_gpu() {
    if (!shared_gpu_ || cpu_row_ || custom_cpu_) return;
    const std::string_view name = shared_gpu_->name;
    const std::string_view chip = name.substr(0, name.find(" ("));
    const hwdb::CpuRow* by_chip = nullptr;
    std::size_t hosts = 0;
    for (const hwdb::CpuRow& row : catalog_.cpus()) {
      if (row.name == chip) by_chip = &row;
      if (row.igpu_id == shared_gpu_->id && ++hosts == 1) cpu_row_ = &row;
    }
    if (by_chip) cpu_row_ = by_chip;
    // Graphics found in many processors do not tell which one this is.
    if (!by_chip && hosts > 1 && !is_shared_memory_platform(*shared_gpu_)) cpu_row_ = nullptr;
    if (cpu_row_) note(fmt::format("Processor: assumed {}.", cpu_row_->name));
  }

  void fill_cpu() {
    if (cpu_row_) {
      machine_.cpu = cpu_from_row(*cpu_row_, packages_);
      if (!system_ && machine_.form == "desktop" && !text_.laptop)
        machine_.form = form_of(*cpu_row_, packages_);
      if (machine_.cpu.cores == 0) {
        machine_.cpu.cores = kPlainCores * packages_;
        machine_.cpu.threads = machine_.cpu.cores;
        note(fmt::format("{}: its core count is not known; {} assumed.", cpu_row_->name,
                         machine_.cpu.cores));
      }
      if (!cpu_row_->origin.verified)
        note(fmt::format("{}: its figures were not found in a source that could be checked.",
                         cpu_row_->name));
    } else if (!custom_cpu_) {
      if (const hwdb::CpuRow* plain = plain_host_cpu(catalog_)) {
        cpu_row_ = plain;
        machine_.cpu = cpu_from_row(*plain, 1);
        note(fmt::format("Processor: assumed a plain current one ({}).", plain->name));
      } else {
        machine_.cpu.name = "plain current processor";
        machine_.cpu.cores = kPlainCores;
        machine_.cpu.threads = kPlainCores;
        note(fmt::format("Processor: assumed a plain current one with {} cores.", kPlainCores));
      }
    }
    machine_.cpu.usable_threads = machine_.cpu.threads;
  }

  hwdb::Status fill_memory() {
    hwdb::MemoryInfo& memory = machine_.memory;
    const bool platform = shared_gpu_ && is_shared_memory_platform(*shared_gpu_);
    const bool cpu_alone = machine_.gpus.empty() && !platform && !shared_gpu_;
    std::uint64_t bytes = 0;
    Basis basis = Basis::assumed;
    std::string source;
    if (memory_.bytes) {
      bytes = *memory_.bytes;
      basis = Basis::spec;
      source = "as described";
      const auto& sizes = system_ && !system_->memory_bytes.empty() ? system_->memory_bytes
                          : shared_gpu_                             ? shared_gpu_->memory_bytes
                                                                    : std::vector<std::uint64_t>{};
      if (!sizes.empty() && !sold_with(sizes, bytes))
        note(fmt::format("{} of memory is no size it is known to be sold with ({}).",
                         label_of_memory(bytes), labels_of(sizes)));
    } else if (system_ && !system_->memory_bytes.empty()) {
      bytes = system_->memory_bytes.front();
      source = "catalogue: " + system_->id;
      if (system_->memory_bytes.size() > 1)
        note(fmt::format("Memory: sold with {}; {} assumed.", labels_of(system_->memory_bytes),
                         label_of_memory(bytes)));
    } else if (platform && !shared_gpu_->memory_bytes.empty()) {
      bytes = *std::max_element(shared_gpu_->memory_bytes.begin(), shared_gpu_->memory_bytes.end());
      source = "assumed: the largest size it was sold with";
      note(fmt::format("Memory: assumed {}, the largest size it was sold with.",
                       label_of_memory(bytes)));
    } else if ((cpu_alone || platform) && cpu_row_) {
      if (cpu_row_->max_memory_bytes) {
        bytes = *cpu_row_->max_memory_bytes * packages_;
        source = "assumed: as much as the processor takes";
        note(fmt::format("Memory: assumed {}, as much as {} takes, so that size is no limit.",
                         label_of_memory(bytes), cpu_row_->name));
      } else {
        bytes =
            static_cast<std::uint64_t>(default_or(catalog_, "cpu.memory_bytes_per_channel_server",
                                                  32.0 * static_cast<double>(hwdb::kGiB))) *
            cpu_row_->memory_channels.value_or(2) * packages_;
        source = "assumed: one module a channel";
        note(fmt::format("Memory: assumed {}, one module a channel.", label_of_memory(bytes)));
      }
    } else {
      bytes = plain_host_memory(catalog_);
      source = "assumed: a plain current host";
      note(fmt::format("Memory: assumed {}.", label_of_memory(bytes)));
    }
    memory.total = {Bytes(bytes), basis, source, ""};

    if (custom_cpu_ && memory.bandwidth.value.value > 0) {
      if (memory_.rate_mt_per_s || memory_.channels)
        return rig_error("rig.syntax", "cpu:bw= and a memory rate are two answers to one question",
                         machine_.name);
    } else {
      fill_memory_rate(cpu_row_, machine_.cpu.packages, memory_, &memory, &machine_.notes);
    }
    if (machine_.form == "phone") {
      const MemoryShare part = app_share_of_phone_memory();
      memory.limit = Sourced<Bytes>{
          Bytes(static_cast<std::uint64_t>(static_cast<double>(bytes) * part.fraction)),
          Basis::assumed, part.words, ""};
      note(fmt::format("Memory for the app: {} ({}).", label_of_memory(memory.limit->value.value),
                       part.words));
    }
    return hwdb::Ok{};
  }

  void fill_gpus() {
    if (shared_gpu_) {
      hwdb::GpuInfo gpu = gpu_from_row(catalog_, *shared_gpu_, machine_.memory.total.value.value);
      // What is plugged in decides the bandwidth where the platform takes several kinds.
      if (!gpu.bandwidth || shared_gpu_->mem_bw_platform_dependent)
        if (machine_.memory.bandwidth.value.value > 0 &&
            (!gpu.bandwidth || memory_.rate_mt_per_s || memory_.channels)) {
          gpu.bandwidth = machine_.memory.bandwidth;
        }
      gpu.host_link.value = gpu.bandwidth ? gpu.bandwidth->value : machine_.memory.bandwidth.value;
      note(fmt::format("{}: {} of {} shared memory ({}).", gpu.name,
                       label_of_memory(gpu.memory.value.value),
                       label_of_memory(machine_.memory.total.value.value), gpu.memory.source));
      machine_.gpus.insert(machine_.gpus.begin(), std::move(gpu));
      gpu_rows_.insert(gpu_rows_.begin(), shared_gpu_);
    }
    for (std::size_t i = 0; i < machine_.gpus.size(); ++i) {
      hwdb::GpuInfo& gpu = machine_.gpus[i];
      if (text_.power_limit_watts && gpu.kind == hwdb::GpuInfo::Kind::discrete)
        gpu.power_limit = Sourced<hwdb::Watts>{hwdb::Watts(*text_.power_limit_watts), Basis::spec,
                                               "as described", ""};
      const bool first_of_kind = i == 0 || gpu_rows_[i] != gpu_rows_[i - 1];
      if (gpu_rows_[i] && gpu.kind == hwdb::GpuInfo::Kind::discrete && first_of_kind &&
          gpu_rows_[i]->form != "laptop")
        note(fmt::format("{}: assumed on its full {} link.", gpu.name, gpu.link_name));
      if (gpu_rows_[i] && !gpu.bandwidth && first_of_kind)
        note(fmt::format("{}: its memory bandwidth is not known, so no speed can be said.",
                         gpu.name));
    }
    fill_gpu_link();
  }

  void fill_gpu_link() {
    if (machine_.gpus.size() < 2) return;
    // Boards of the SXM kind are always wired together; bridges are there only when said.
    const hwdb::GpuRow* row = gpu_rows_[0];
    const bool wired = row && row->name.find("SXM") != std::string::npos;
    if (row && !row->nvlink.empty() && (text_.nvlink || wired)) {
      for (const hwdb::LinkRow& link : catalog_.links()) {
        if (link.id != row->nvlink) continue;
        machine_.gpu_link = Sourced<hwdb::BytesPerSecond>{
            hwdb::BytesPerSecond(link.one_way_bytes_per_s * link.practical_fraction),
            text_.nvlink ? Basis::spec : Basis::assumed, "catalogue: " + link.id,
            link.origin.as_of};
        note(fmt::format("Between GPUs: {}.", link.name));
        return;
      }
    }
    if (text_.nvlink)
      note("NVLink was named, but the catalogue knows no NVLink of this GPU; PCIe is assumed.");
    double slowest = machine_.gpus.front().host_link.value.value;
    for (const hwdb::GpuInfo& gpu : machine_.gpus)
      slowest = std::min(slowest, gpu.host_link.value.value);
    machine_.gpu_link = Sourced<hwdb::BytesPerSecond>{hwdb::BytesPerSecond(slowest), Basis::assumed,
                                                      "assumed: over PCIe through the host", ""};
    note(fmt::format("Between GPUs: assumed over PCIe through the host ({}).",
                     hwdb::format_bandwidth(machine_.gpu_link->value)));
  }

  void fill_watts() {
    const auto watts = [&](double value, const hwdb::RowOrigin& origin, std::string_view member,
                           std::string_view id) {
      machine_.base_idle = {hwdb::Watts(value), basis_of(origin, member),
                            fmt::format("catalogue: {}", id), origin.as_of};
    };
    if (system_ && system_->idle_watts) {
      watts(*system_->idle_watts, system_->origin, "idle_watts", system_->id);
    } else if (shared_gpu_ && shared_gpu_->system_idle_watts) {
      watts(*shared_gpu_->system_idle_watts, shared_gpu_->origin, "system_idle_watts",
            shared_gpu_->id);
    } else if (cpu_row_ && cpu_row_->idle_system_watts) {
      watts(*cpu_row_->idle_system_watts, cpu_row_->origin, "idle_system_watts", cpu_row_->id);
    } else {
      machine_.base_idle = assumed_base_idle(catalog_, machine_.form, machine_.cpu.packages);
      note(fmt::format("Rest of the computer: assumed {:.0f} W at rest ({}).",
                       machine_.base_idle.value.value, machine_.form));
    }
    // A shared-memory GPU at rest is counted in the whole computer.
    for (hwdb::GpuInfo& gpu : machine_.gpus)
      if (gpu.kind != hwdb::GpuInfo::Kind::discrete && !gpu.idle)
        gpu.idle = Sourced<hwdb::Watts>{hwdb::Watts(0), Basis::assumed,
                                        "counted in the whole computer", ""};
    if (system_ && system_->price_usd)
      machine_.price_usd =
          Sourced<double>{*system_->price_usd, basis_of(system_->origin, "price_usd"),
                          "catalogue: " + system_->id, system_->origin.as_of};
  }

  void note(std::string words) { machine_.notes.push_back(std::move(words)); }

  const hwdb::Catalog& catalog_;
  hwdb::Machine machine_;
  RigText text_;
  MemoryWords memory_;
  const hwdb::SystemRow* system_ = nullptr;
  const hwdb::CpuRow* cpu_row_ = nullptr;
  const hwdb::GpuRow* shared_gpu_ = nullptr;   // shares the system's memory
  std::vector<const hwdb::GpuRow*> gpu_rows_;  // beside machine_.gpus; null for described ones
  std::uint32_t packages_ = 1;
  bool custom_cpu_ = false;
};

}  // namespace

hwdb::Result<hwdb::Machine> machine_from_words(const hwdb::Catalog& catalog,
                                               std::string_view words) {
  return Builder(catalog).build(words);
}

}  // namespace planner
