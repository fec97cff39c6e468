// SPDX-License-Identifier: MIT
#include "planner/cli/making_flags.h"

#include <array>
#include <limits>

#include "hwdb/limits.h"
#include "hwdb/quant_format.h"
#include "planner/cli/command_table.h"
#include "planner/cli/flag_values.h"

namespace cli {
namespace {

using hwdb::Status;
using Text = std::string_view;

template <class Integer>
Status read_optional(Text text, std::uint64_t least, std::uint64_t most,
                     std::optional<Integer>* out) {
  Integer value = 0;
  Status status = read_count(text, least, most, &value);
  if (status) *out = value;
  return status;
}

/// A tensor type by its name, in any case.
Status read_type(Text text, std::string* out) {
  std::string name(text.substr(0, 32));
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  const hwdb::TensorFormat* format = hwdb::find_tensor_format(name);
  if (format == nullptr || format->removed || !format->weights_in_files) {
    return wrong_value(text, "a tensor type such as Q8_0, Q6_K or F16");
  }
  *out = name;
  return hwdb::Ok{};
}

constexpr std::array kFlags = {
    Flag{"--layers", "", "N", "only the first N layers (default all)", kSynth,
         [](Text v, Options* o) {
           return read_optional(v, 1, hwdb::limits::kLayers, &o->n_layers);
         }},
    Flag{"--experts", "", "N", "only N experts a layer, at least those that a token uses", kSynth,
         [](Text v, Options* o) {
           return read_optional(v, 1, hwdb::limits::kExperts, &o->n_experts);
         }},
    Flag{"--vocab", "", "N", "a vocabulary of N tokens; 32k is 32768", kSynth,
         [](Text v, Options* o) {
           return read_optional(v, 1, hwdb::limits::kVocabulary, &o->n_vocab);
         }},
    Flag{"--seed", "", "N", "of the random weights (default 1)", kSynth,
         [](Text v, Options* o) {
           return read_count(v, 0, std::numeric_limits<std::uint64_t>::max(), &o->seed);
         }},
    Flag{"--force", "", "", "replace a file that is there", kSynth | kQuantize,
         [](Text, Options* o) -> Status {
           o->force = true;
           return hwdb::Ok{};
         }},
    Flag{"--dry-run", "", "", "only show the types and sizes that it would have", kQuantize,
         [](Text, Options* o) -> Status {
           o->dry_run = true;
           return hwdb::Ok{};
         }},
    Flag{"--token-embedding-type", "", "TYPE", "of the token table, whatever the preset", kQuantize,
         [](Text v, Options* o) { return read_type(v, &o->token_embedding_type); }},
    Flag{"--output-tensor-type", "", "TYPE", "of output.weight, whatever the preset", kQuantize,
         [](Text v, Options* o) { return read_type(v, &o->output_tensor_type); }},
    Flag{"--pure", "", "", "every matrix in the preset's own type", kQuantize,
         [](Text, Options* o) -> Status {
           o->pure = true;
           return hwdb::Ok{};
         }},
};

}  // namespace

std::span<const Flag> making_flags() {
  return kFlags;
}

}  // namespace cli
