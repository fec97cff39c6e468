// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace cli {

/// A few kilobytes of English, code and figures, written for this program: enough to see how far
/// two files of one model are apart, too little for a perplexity that means anything elsewhere.
std::string_view sample_text();

}  // namespace cli
