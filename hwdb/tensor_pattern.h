// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "hwdb/result.h"

namespace hwdb {

/// A regular expression over tensor names, in the language of std::regex (ECMAScript) that
/// llama.cpp's --override-tensor takes, and found anywhere in the name. Compiling and matching are
/// bounded, whatever the pattern.
class TensorPattern {
 public:
  /// Longest pattern that is taken; llama.cpp's own are below 64 bytes.
  static constexpr std::size_t kMaxBytes = 512;

  /// Error: usage.value (too long, or no regular expression; the text says where).
  static Result<TensorPattern> compile(std::string_view text);

  /// True when the pattern is found in `name`. Error: usage.value when finding that out takes more
  /// steps than any sensible pattern needs.
  Result<bool> matches(std::string_view name) const;
  const std::string& text() const { return text_; }

 private:
  struct Code;
  TensorPattern() = default;
  std::shared_ptr<const Code> code_;  // shared: patterns are copied with what they are part of
  std::string text_;
};

}  // namespace hwdb
