// SPDX-License-Identifier: MIT
#include "probes/runtime/log_line_readers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "hwdb/units.h"
#include "probes/runtime/log_text.h"

namespace probes {
namespace {

using hwdb::RuntimeBuffer;
using hwdb::RuntimeCache;
using hwdb::RuntimeLoad;
using hwdb::ToldBytes;
using Kind = RuntimeBuffer::Kind;
using Text = std::string_view;

/// "load_tensors:   CUDA0 model buffer size =  4403.49 MiB"
bool read_buffer(LogState* state, const LogLine& line) {
  const std::size_t at = line.text.find("buffer size");
  if (at == Text::npos) return false;
  const auto equals = after(line.text.substr(at), "=");
  if (!equals) return false;
  Text rest = *equals;
  const auto size = take_size(&rest);
  const Text left = line.text.substr(0, at);
  const std::size_t colon = left.rfind(": ");
  if (!size || colon == Text::npos) return false;
  const Text lead = left.substr(0, colon);
  const Text function = lead.substr(lead.find_last_of(" \t") + 1);
  const auto words = words_of(left.substr(colon + 2), 5);
  if (words.empty()) return false;
  RuntimeBuffer buffer;
  buffer.device = kept(words[0]);
  buffer.size = *size;
  buffer.line = line.number;
  const Text kind = words.size() > 1 ? words.back() : Text();
  if (kind == "model" || (kind.empty() && function.ends_with("load_tensors"))) {
    buffer.kind = Kind::model;
  } else if (kind == "KV") {
    buffer.kind = Kind::kv_cache;
  } else if (kind == "RS" || kind == "state") {
    buffer.kind = Kind::state;
  } else if (kind == "compute" || kind == "input") {
    buffer.kind = Kind::compute;
  } else if (kind == "output") {
    buffer.kind = Kind::output;
  } else if (kind == "LoRA") {
    buffer.kind = Kind::lora;
  } else {
    return false;
  }
  if (state->in_trial()) return true;
  if (function == "alloc_compute_meta" && state->load().role != RuntimeLoad::Role::projector) {
    state->announce_model(RuntimeLoad::Role::projector, "");
    state->begin_model();
  }
  // Some logs have no other sign that a further model begins.
  if (buffer.kind == Kind::model && (state->has_context() || state->is_announced())) {
    state->begin_model();
  }
  state->add_buffer(std::move(buffer));
  return true;
}

/// "K (f16):    0.62 MiB", and `text` moves behind it.
std::optional<ToldBytes> take_part(Text* text, Text name, std::string* type) {
  const auto rest = after(*text, name);
  if (!rest || !has(*rest, "):")) return std::nullopt;
  *type = kept(before(*rest, "):"));
  *text = *after(*rest, "):");
  return take_size(text);
}

/// "size =    1.25 MiB (  2048 cells,   5 layers,  4/1 seqs), K (f16): 0.62 MiB, V (f16): ..." and
/// the older "KV self size  =  512.00 MiB, K (f16):  256.00 MiB, V (f16):  256.00 MiB".
bool read_cache(LogState* state, const LogLine& line) {
  auto rest = after(line.text, "KV self size");
  if (!rest && has(line.text, " cells,")) rest = after(line.text, ": size");
  if (!rest) return false;
  rest = after(*rest, "=");
  if (!rest) return false;
  Text text = *rest;
  const auto size = take_size(&text);
  if (!size) return false;
  RuntimeCache cache;
  cache.size = *size;
  cache.line = line.number;
  if (auto counts = after(text, "(")) {
    cache.cells = take_count(&*counts);
    if (auto layers = after(*counts, "cells,")) cache.layers = take_count(&*layers);
    if (auto sequences = after(*counts, "layers,")) {
      cache.sequences = take_count(&*sequences);
      if (sequences->starts_with('/')) {
        sequences->remove_prefix(1);
        cache.streams = take_count(&*sequences);
      }
    }
  }
  cache.recurrent = has(text, ", R (");
  const auto first = take_part(&text, cache.recurrent ? ", R (" : ", K (", &cache.type_first);
  const auto second = take_part(&text, cache.recurrent ? ", S (" : ", V (", &cache.type_second);
  if (!first || !second) return false;
  cache.first = *first;
  cache.second = *second;
  if (state->in_trial()) return true;
  if (!cache.recurrent) {
    state->load().cache_type_k = cache.type_first;
    state->load().cache_type_v = cache.type_second;
  }
  state->add_cache(std::move(cache));
  return true;
}

/// The table at the end: "|   - CUDA0 (RTX 3090) | 24124 = 1100 + (22000 = 19000 + 2000 + 1000) +
/// 1024 |" and "|   - Host | 5 = 0 + 1 + 3 |".
bool read_table(LogState* state, const LogLine& line) {
  if (has(line.text, "memory breakdown [MiB]")) {
    if (!state->in_trial()) state->report.table.clear();
    return true;
  }
  auto rest = after(line.text, "|   - ");
  if (!rest) return false;
  const std::size_t bar = rest->find('|');
  if (bar == Text::npos) return false;
  hwdb::RuntimeTableRow row;
  const Text label = trimmed(rest->substr(0, bar));
  row.name = kept(before(label, " ("));
  if (auto description = after(label, " (")) row.description = kept(before(*description, ")"));
  row.line = line.number;
  // Whole MiB, cut off: the true size lies within half a MiB of the middle.
  std::vector<std::optional<ToldBytes>> numbers;
  for (Text cells = rest->substr(bar + 1); numbers.size() < 8 && !cells.empty();) {
    const std::size_t digit = cells.find_first_of("-0123456789");
    if (digit == Text::npos) break;
    cells.remove_prefix(digit);
    const bool negative = cells.starts_with('-');
    if (negative) cells.remove_prefix(1);
    const auto mib = take_count(&cells);
    if (!mib || *mib > (1ull << 40)) return false;
    ToldBytes size{static_cast<double>(*mib * hwdb::kMiB) + hwdb::kMiB / 2.0, hwdb::kMiB / 2.0};
    numbers.push_back(negative ? std::nullopt : std::optional(size));
  }
  const std::size_t first = numbers.size() == 7 ? 3 : 1;
  row.is_host = numbers.size() == 4;
  if (numbers.size() != 7 && numbers.size() != 4) return false;
  for (std::size_t i = first; i < first + 3; ++i) {
    if (!numbers[i]) return false;
  }
  if (!row.is_host) {
    row.total = numbers[0];
    row.free = numbers[1];
    row.unaccounted = numbers[6];
  }
  row.model = *numbers[first];
  row.context = *numbers[first + 1];
  row.compute = *numbers[first + 2];
  if (!state->in_trial()) state->add_table_row(std::move(row));
  return true;
}

/// Ollama's own runner of 2025: msg="model weights" device=CUDA0 size="4.3 GiB".
bool read_ollama(LogState* state, const LogLine& line) {
  struct Term {
    Text words;
    Kind kind;
  };
  constexpr std::array kTerms = {Term{"msg=\"model weights\" device=", Kind::model},
                                 Term{"msg=\"kv cache\" device=", Kind::kv_cache},
                                 Term{"msg=\"compute graph\" device=", Kind::compute}};
  for (const Term& term : kTerms) {
    const auto rest = after(line.text, term.words);
    if (!rest) continue;
    auto told = after(*rest, "size=\"");
    const auto size = told ? take_size(&*told) : std::nullopt;
    if (!size) return false;
    state->report.runtime = "Ollama";
    RuntimeBuffer buffer{term.kind, kept(before(*rest, " ")), *size, line.number};
    // It prints one list for each placement that it tries; the last is the one that runs.
    auto& buffers = state->load().buffers;
    const auto same = std::ranges::find_if(buffers, [&](const RuntimeBuffer& other) {
      return other.kind == buffer.kind && other.device == buffer.device;
    });
    if (same != buffers.end()) {
      *same = std::move(buffer);
    } else if (buffers.size() < LogState::kMaxPerLoad) {
      buffers.push_back(std::move(buffer));
    }
    return true;
  }
  return false;
}

constexpr std::array<ReadLogLine, 4> kReaders = {read_buffer, read_cache, read_table, read_ollama};

}  // namespace

std::span<const ReadLogLine> memory_line_readers() {
  return kReaders;
}

}  // namespace probes
