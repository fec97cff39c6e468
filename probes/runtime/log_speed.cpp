// SPDX-License-Identifier: MIT
#include "probes/runtime/log_speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "hwdb/runtime_report.h"
#include "hwdb/text_escape.h"
#include "probes/runtime/log_reader.h"
#include "probes/runtime/log_text.h"
#include "probes/runtime/speed_samples.h"

namespace probes {
namespace {

using hwdb::RuntimeLoad;
using hwdb::RuntimeReport;
using hwdb::SpeedReading;
using Text = std::string_view;

constexpr std::uint32_t kShortPrompt = 32, kShortAnswer = 8;
constexpr std::uint64_t kMaxTokens = 1ull << 31;

struct Timing {
  double seconds = 0;
  std::uint32_t count = 0;
  bool counts_first = false;  // the first token too, which came with the prompt
};

/// "= 12.36 ms / 32 tokens (..." of a server, "= 12.36 ms / 31 runs (..." of other programs.
std::optional<Timing> timing_of(Text after_name) {
  const auto value = after(after_name, "=");
  if (!value || !trimmed(before(after_name, "=")).empty()) return std::nullopt;
  Text rest = *value;
  const auto ms = take_number(&rest);
  if (!ms || !(*ms > 0) || *ms > 1e12) return std::nullopt;
  const auto divided = after(rest, "ms /");
  if (!divided || !trimmed(before(rest, "ms /")).empty()) return std::nullopt;
  rest = *divided;
  const auto count = take_count(&rest);
  if (!count || *count == 0 || *count >= kMaxTokens) return std::nullopt;
  return Timing{*ms / 1000, static_cast<std::uint32_t>(*count), trimmed(rest).starts_with("tok")};
}

/// "id  1 | task 0 |": the slot; absent in other lines.
std::optional<std::uint64_t> slot_of(Text line) {
  auto rest = after(line, "id ");
  if (!rest || !has(line, "slot")) return std::nullopt;
  return take_count(&*rest);
}

struct BackendName {
  Text prefix, backend;
};
constexpr std::array kBackends = {
    BackendName{"CUDA", "cuda"}, BackendName{"ROCm", "rocm"}, BackendName{"Vulkan", "vulkan"},
    BackendName{"SYCL", "sycl"}, BackendName{"MTL", "metal"}, BackendName{"Metal", "metal"},
};

/// "cuda" for a device that the runtime calls "CUDA0"; "" for the host.
Text backend_of(Text device) {
  if (device.ends_with("_Host")) return {};
  for (const BackendName& name : kBackends) {
    if (device.starts_with(name.prefix)) return name.backend;
  }
  return {};
}

std::optional<std::uint32_t> small(const std::optional<std::uint64_t>& value) {
  if (!value || *value >= kMaxTokens) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

/// What all readings of a log share.
SpeedReading settings_of(const RuntimeReport& report) {
  SpeedReading reading;
  reading.source = SpeedReading::Source::log;
  reading.where = report.where;
  reading.runtime = report.runtime == "Ollama" ? "ollama" : report.runtime;
  reading.build = report.build;
  const RuntimeLoad* load = report.main_load();
  if (load == nullptr) return reading;
  reading.model = load->path.empty() ? load->name : load->path;
  reading.quant = hwdb::preset_of_file_type(load->file_type);
  if (load->tensor_bytes && load->tensor_bytes->bytes < 1e18)
    reading.model_bytes = static_cast<std::uint64_t>(load->tensor_bytes->bytes);
  if (load->n_params && *load->n_params < 1e18)
    reading.n_params = static_cast<std::uint64_t>(*load->n_params);
  reading.n_batch = small(load->n_batch);
  reading.n_ubatch = small(load->n_ubatch);
  reading.flash_attn = load->flash_attn;
  reading.cache_type_k = load->cache_type_k;
  reading.cache_type_v = load->cache_type_v;
  reading.n_gpu_layers = small(load->offloaded_layers);

  std::set<std::string> used;
  for (const hwdb::RuntimeBuffer& buffer : load->buffers) {
    if (!backend_of(buffer.device).empty() && buffer.size.bytes > 0) used.insert(buffer.device);
  }
  if (!used.empty()) {
    reading.backend = backend_of(*used.begin());
    reading.devices = static_cast<std::uint32_t>(used.size());
    for (const hwdb::RuntimeDevice& device : report.devices) {
      if (!used.contains(device.name) || device.description.empty()) continue;
      reading.device += (reading.device.empty() ? "" : ", ") + device.description;
    }
  } else if (!load->buffers.empty()) {
    reading.backend = "cpu";
    reading.n_gpu_layers.reset();
  }
  return reading;
}

hwdb::Result<ToldSpeeds> speeds_of(const TimingLines& timings, RuntimeReport report) {
  if (timings.requests().empty()) {
    return hwdb::Error{
        "log.no_speed",
        fmt::format("none of its {} lines tells how long a prompt or an answer took", report.lines),
        hwdb::escape_text(report.where),
        "keep the log of a server or program that answered something"};
  }
  ToldSpeeds told;
  const SpeedReading settings = settings_of(report);
  for (const TimingLines::Request& request : timings.requests()) {
    const auto add = [&](SpeedReading::Test test, std::uint32_t tokens, double seconds,
                         std::uint32_t depth, std::uint32_t fewest) {
      if (tokens == 0 || !(seconds > 0) || !is_speed(tokens / seconds)) return;
      SpeedReading reading = settings;
      reading.test = test;
      const bool is_prefill = test == SpeedReading::Test::prefill;
      (is_prefill ? reading.n_prompt : reading.n_gen) = tokens;
      reading.depth = depth;
      reading.tok_per_s = tokens / seconds;
      if (tokens < fewest) reading.flaw = "short";
      if (request.shared) reading.flaw = "shared";
      if (request.speculative && !is_prefill) reading.flaw = "speculative";
      told.readings.push_back(std::move(reading));
    };
    const std::uint32_t before =
        request.depth > request.n_prompt ? request.depth - request.n_prompt : 0;
    add(SpeedReading::Test::prefill, request.n_prompt, request.prompt_s, before, kShortPrompt);
    add(SpeedReading::Test::decode, request.steps, request.decode_s, request.depth, kShortAnswer);
  }
  if (settings.model.empty() || settings.backend.empty()) {
    told.notes.emplace_back(
        "The log does not tell all settings: servers since May 2026 print them with -lv 4 only.");
  }
  if (timings.requests().size() == TimingLines::kMaxRequests) {
    told.notes.push_back(
        fmt::format("Only the first {} requests were read.", TimingLines::kMaxRequests));
  }
  told.notes.insert(told.notes.end(), report.notes.begin(), report.notes.end());
  return told;
}

}  // namespace

TimingLines::TimingLines() : lines_([this](Text line, std::uint64_t) { take(line); }) {}

void TimingLines::finish() {
  lines_.finish();
  while (!open_.empty()) end_request(open_.begin()->first);
}

void TimingLines::end_request(Slot slot) {
  const auto it = open_.find(slot);
  if (it == open_.end()) return;
  if (requests_.size() < kMaxRequests) requests_.push_back(it->second);
  open_.erase(it);
}

/// Lines of a server that say when a request begins and ends.
bool TimingLines::take_state(Slot slot, Text line) {
  if (has(line, "processing task") && !has(line, "stop processing")) {
    if (running_.size() >= kMaxSlots) return true;
    running_.insert(slot);
    if (running_.size() > 1) shared_.insert(running_.begin(), running_.end());
    return true;
  }
  const auto rest = after(line, "stop processing: ");
  if (!rest) return false;
  auto cells = after(*rest, "n_tokens = ");
  if (!cells) cells = after(*rest, "n_past = ");
  const auto it = open_.find(slot);
  if (it != open_.end()) {
    Request& request = it->second;
    const auto all = cells ? take_count(&*cells) : std::nullopt;
    if (all && *all >= request.steps && *all < kMaxTokens) {
      request.depth = static_cast<std::uint32_t>(*all) - request.steps;
    }
    request.shared = shared_.contains(slot);
  }
  end_request(slot);
  running_.erase(slot);
  shared_.erase(slot);
  return true;
}

void TimingLines::take(Text line) {
  const auto named = slot_of(line);
  if (named) last_ = *named;
  // Older servers name the slot once and print the rest on lines of their own.
  const Slot slot = last_;
  if (named && take_state(slot, line)) return;
  if (has(line, "draft acceptance")) {
    if (const auto it = open_.find(slot); it != open_.end())
      it->second.speculative = true;
    else if (!requests_.empty())
      requests_.back().speculative = true;
    return;
  }
  if (const auto rest = after(line, "prompt eval time")) {
    const auto timing = timing_of(*rest);
    if (!timing) return;
    end_request(slot);
    if (open_.size() >= kMaxSlots) return;
    Request& request = open_[slot];
    request.prompt_s = timing->seconds;
    request.n_prompt = request.depth = timing->count;
    request.shared = shared_.contains(slot);
    return;
  }
  const auto rest = after(line, "eval time");
  if (!rest) return;
  const auto timing = timing_of(*rest);
  const auto it = open_.find(slot);
  if (!timing || it == open_.end()) return;
  // Servers count the first token, whose time belongs to the prompt; their lines of 2024 say "runs"
  // and mean the same.
  const bool counts_first = timing->counts_first || has(line, "generation eval time");
  it->second.steps = timing->count - (counts_first ? 1 : 0);
  it->second.decode_s = timing->seconds;
}

hwdb::Result<ToldSpeeds> read_log_speeds(const std::string& path) {
  LogReader reader;
  TimingLines timings;
  const auto status = feed_log_file(path, [&](Text bytes) {
    reader.feed(bytes);
    timings.feed(bytes);
  });
  if (!status) return status.error();
  timings.finish();
  return speeds_of(timings, reader.finish_any(path));
}

hwdb::Result<ToldSpeeds> read_log_speeds(int fd, Text where) {
  LogReader reader;
  TimingLines timings;
  const auto status = feed_log_stream(fd, where, [&](Text bytes) {
    reader.feed(bytes);
    timings.feed(bytes);
  });
  if (!status) return status.error();
  timings.finish();
  return speeds_of(timings, reader.finish_any(where));
}

}  // namespace probes
