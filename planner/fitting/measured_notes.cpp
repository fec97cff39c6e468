// SPDX-License-Identifier: MIT
#include "planner/fitting/measured_notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace fitting {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::uint32_t kAllLayers = 99;  // and above: what people write for all of them
constexpr std::uint32_t kEveryExpert = 10'000;

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1));
}

std::optional<std::uint32_t> whole_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The number that a text begins with.
std::optional<std::uint32_t> leading_number(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  return whole_number(text.substr(0, digits));
}

/// The number after `key` in `text`, both in lower case; the key must begin a word.
std::optional<std::uint32_t> number_after(std::string_view text, std::string_view key) {
  for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    if (at > 0 && kBlanks.find(text[at - 1]) == std::string_view::npos && text[at - 1] != ';')
      continue;
    if (const auto value = leading_number(text.substr(at + key.size()))) return value;
  }
  return std::nullopt;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (kBlanks.find(c) != std::string_view::npos || c == ',' || c == ';' || c == '(' || c == ')') {
      if (!word.empty()) words.push_back(std::exchange(word, {}));
    } else {
      word += c;
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

bool is_memory_type(std::string_view word) {
  const std::string_view name = word.starts_with("lp") ? word.substr(2) : word;
  return name.size() > 3 && name.starts_with("ddr") && name[3] >= '0' && name[3] <= '9';
}

bool is_memory_size(std::string_view word) {
  const std::size_t digits = word.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos) return false;
  const std::string_view unit = word.substr(digits);
  return unit == "gb" || unit == "tb" || unit == "gib";
}

/// Channels that a word, or two, speak of: "quad-channel", "8-channel", "16ch", "12 channels".
std::optional<std::uint32_t> channels_of(const std::vector<std::string>& words, std::size_t at) {
  const std::string& word = words[at];
  if (word == "dual-channel") return 2;
  if (word == "quad-channel") return 4;
  const auto number = leading_number(word);
  if (!number || *number == 0 || *number > 64) return std::nullopt;
  const std::string_view rest =
      std::string_view(word).substr(word.find_first_not_of("0123456789") == std::string::npos
                                        ? word.size()
                                        : word.find_first_not_of("0123456789"));
  if (rest == "ch" || rest == "-channel") return number;
  if (rest.empty() && at + 1 < words.size() &&
      (words[at + 1] == "channels" || words[at + 1] == "channel"))
    return number;
  return std::nullopt;
}

/// The words for memory as a rig takes them: "32GB DDR5-5600 2ch".
std::string memory_of(std::string_view notes) {
  std::string size, type, channels;
  std::string flat = lowered(notes);
  std::ranges::replace(flat, ';', ',');
  for (const std::string& part : parts_of(flat, ',')) {
    const std::vector<std::string> words = words_of(part);
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string_view next = i + 1 < words.size() ? words[i + 1] : std::string_view();
      if (size.empty() && is_memory_size(words[i]) &&
          (words.size() == 1 || next == "ram" || is_memory_type(next))) {
        size = words[i];
      }
      if (type.empty() && is_memory_type(words[i])) {
        // What modules could do is not what the memory runs at.
        type = next == "modules" ? words[i].substr(0, words[i].find('-')) : words[i];
      }
      if (channels.empty()) {
        if (const auto count = channels_of(words, i)) channels = fmt::format("{}ch", *count);
      }
    }
  }
  std::string out = size;
  for (const std::string& more : {type, channels}) {
    if (more.empty()) continue;
    if (!out.empty()) out += ' ';
    out += more;
  }
  return out;
}

/// The processor beside a card, where the notes name one.
std::string host_of(std::string_view notes) {
  constexpr std::string_view kKey = "host CPU=";
  constexpr std::array<std::string_view, 8> kBrands = {"ryzen", "epyc", "xeon",         "intel",
                                                       "core",  "amd",  "threadripper", "i"};
  std::string flat(notes);
  std::ranges::replace(flat, ';', ',');
  for (const std::string& part : parts_of(flat, ',')) {
    std::string name = part;
    if (name.starts_with(kKey)) {
      name = trimmed(std::string_view(name).substr(kKey.size()));
      return name == "None" ? std::string() : name;
    }
    if (const std::size_t aside = name.find('('); aside != std::string::npos)
      name = trimmed(std::string_view(name).substr(0, aside));
    if (lowered(name).ends_with(" host")) name = trimmed(name.substr(0, name.size() - 5));
    // "EPYC 9654 96c": the cores are not part of the name.
    if (const std::size_t last = name.rfind(' ');
        last != std::string::npos && name.ends_with('c') && leading_number(name.substr(last + 1)))
      name = trimmed(name.substr(0, last));
    std::string low = lowered(name);
    if (const auto sockets = leading_number(low);
        sockets && low.find("x ") == std::to_string(*sockets).size())
      low = trimmed(low.substr(low.find("x ") + 2));
    const std::vector<std::string> words = words_of(low);
    if (words.empty() || low.find_first_of("0123456789") == std::string::npos) continue;
    const bool numbered_core = words[0].size() > 3 && words[0][0] == 'i' && words[0][2] == '-';
    for (const std::string_view brand : kBrands) {
      if (brand == "i" ? numbered_core : words[0] == brand) return name;
    }
  }
  return {};
}

void read_placement(MeasuredRow* row) {
  const std::string words = lowered(row->offload);
  hwdb::SpeedReading& reading = row->reading;
  if (const auto layers = number_after(words, "ngl=")) reading.n_gpu_layers = layers;
  if (const auto layers = whole_number(words)) reading.n_gpu_layers = layers;
  if (words == "cpu") reading.n_gpu_layers = 0;
  if (const auto layers = number_after(words, "--n-cpu-moe ")) {
    reading.n_cpu_moe = layers;
  } else if (const auto some = number_after(words, "experts of "); some && says(words, "on cpu")) {
    reading.n_cpu_moe = some;
  } else if (!says(words, "part of") && !says(words, "%") &&
             (says(words, "experts on cpu") || says(words, "exps=cpu"))) {
    reading.n_cpu_moe = kEveryExpert;
  }
}

}  // namespace

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool says(std::string_view text, std::string_view words) {
  return lowered(text).find(words) != std::string::npos;
}

std::vector<std::string> parts_of(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t at = 0; at <= text.size(); ++at) {
    if (at < text.size()) {
      if (text[at] == '(') ++depth;
      if (text[at] == ')') depth = std::max(0, depth - 1);
      if (text[at] != separator || depth > 0) continue;
    }
    if (std::string part = trimmed(text.substr(begin, at - begin)); !part.empty())
      parts.push_back(std::move(part));
    begin = at + 1;
  }
  return parts;
}

std::string backend_of(std::string_view words) {
  std::string name = lowered(words.substr(0, words.find('+')));
  if (name == "hip") return "rocm";
  if (name == "mtl,blas" || name == "mtl") return "metal";
  if (name == "sycl/xpu") return "sycl";
  return name;
}

void read_notes(MeasuredRow* row) {
  const std::string notes = lowered(row->notes);
  hwdb::SpeedReading& reading = row->reading;
  const auto first_of = [&](std::initializer_list<std::string_view> keys) {
    std::optional<std::uint32_t> value;
    for (const std::string_view key : keys)
      if (!value) value = number_after(notes, key);
    return value && *value > 0 ? value : std::nullopt;
  };
  reading.n_ubatch = first_of({"n_ubatch=", "ub=", "-ub ", "microbatch "});
  reading.n_batch = first_of({"n_batch=", "b=", "-b "});
  reading.n_threads = first_of({"threads="});
  if (!reading.n_threads) {
    const std::vector<std::string> words = words_of(notes);
    for (std::size_t i = 1; i < words.size(); ++i) {
      if (words[i] != "threads") continue;
      const auto threads = whole_number(words[i - 1]);
      if (threads && *threads > 0) reading.n_threads = threads;
    }
  }
  for (const std::string_view mode : {"layer", "row", "tensor"}) {
    if (says(notes, fmt::format("{} split", mode)) || says(notes, fmt::format("split={}", mode)))
      reading.split_mode = mode;
  }
  row->host = host_of(row->notes);
  row->memory = memory_of(row->notes);
  read_placement(row);
}

std::string short_notes(const MeasuredRow& row) {
  std::string out;
  const auto add = [&](std::string_view text) {
    if (!out.empty()) out += "; ";
    out += text;
  };
  const hwdb::SpeedReading& reading = row.reading;
  if (reading.n_ubatch) add(fmt::format("n_ubatch={}", *reading.n_ubatch));
  if (reading.n_batch) add(fmt::format("n_batch={}", *reading.n_batch));
  if (reading.n_threads) add(fmt::format("threads={}", *reading.n_threads));
  if (!reading.split_mode.empty()) add(fmt::format("split={}", reading.split_mode));
  if (!row.host.empty()) add(fmt::format("host CPU={}", row.host));
  if (!row.memory.empty()) add(row.memory);
  if (says(row.notes, "pure generation")) add("pure generation");
  return out;
}

Placement placement_of(const MeasuredRow& row) {
  const hwdb::SpeedReading& reading = row.reading;
  if (reading.backend == "cpu")
    return reading.n_gpu_layers.value_or(0) == 0 ? Placement::cpu : Placement::unclear;
  if (reading.n_cpu_moe)
    return reading.n_gpu_layers.value_or(kAllLayers) >= kAllLayers ||
                   *reading.n_cpu_moe == kEveryExpert
               ? Placement::experts
               : Placement::unclear;
  const std::string words = lowered(row.offload);
  if (reading.n_gpu_layers && (words == std::to_string(*reading.n_gpu_layers) ||
                               words == fmt::format("ngl={}", *reading.n_gpu_layers)))
    return *reading.n_gpu_layers >= kAllLayers ? Placement::all : Placement::layers;
  // Mixed placement of which only the name is known.
  if (row.backend.find('+') != std::string::npos) return Placement::unclear;
  if (words == "all" || words == "gpu" || words.starts_with("all ")) return Placement::all;
  if (const std::size_t slash = words.find('/'); slash != std::string::npos) {
    const auto part = whole_number(words.substr(0, slash));
    const auto whole = whole_number(words.substr(slash + 1));
    if (part && whole && *part == *whole) return Placement::all;
  }
  // llama.cpp's benchmark programs place all layers unless told otherwise.
  if (words.empty() && row.runtime.ends_with("bench")) return Placement::all;
  return Placement::unclear;
}

}  // namespace fitting
