// SPDX-License-Identifier: MIT
#include "planner/cli/making_flags.h"

#include <array>
#include <limits>

#include "hwdb/limits.h"
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
};

}  // namespace

std::span<const Flag> making_flags() {
  return kFlags;
}

}  // namespace cli
