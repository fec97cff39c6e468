// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hwdb {

/// The words of a name in lower case: split at everything but letters, digits and the dot of a
/// number, and between letters (two or more) and a number ("RTX4090" -> rtx, 4090; "a3b" stays
/// one). "(R)" and "(TM)" are dropped, '+' is the word plus.
std::vector<std::string> name_words(std::string_view text);

/// The words joined: equal for "RTX 4090", "rtx-4090" and "RTX4090".
std::string normalise_name(std::string_view text);

/// The same after words have been dropped from the list.
std::string join_words(std::span<const std::string> words);

/// True when both hold the same letters, digits, dots and pluses in the same order; case and all
/// else do not matter. Cheaper than comparing words, and narrower.
bool same_letters(std::string_view a, std::string_view b);

/// The smallest number of inserted, deleted, replaced or swapped neighbouring characters that turns
/// `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// Up to `limit` of the known names that look most like `wanted`, best first; empty when none comes
/// near. Equal names appear once.
std::vector<std::string> nearest_names(std::string_view wanted, std::span<const std::string> known,
                                       std::size_t limit = 5);

/// "did you mean A, B or C?", or "" when nothing comes near: the hint of an error.
std::string nearest_hint(std::string_view wanted, std::span<const std::string> known,
                         std::size_t limit = 5);

/// "A, B or C".
std::string list_names(std::span<const std::string> names);

}  // namespace hwdb
