// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "hwdb/result.h"

namespace cli {

/// "error[CODE]: PATH: what" and, on a line of its own, "hint: ...": escaped for a terminal.
std::string error_text(const hwdb::Error& error);
/// {"schema": "1.0", "error": {...}}: the one document that --json prints on failure.
std::string error_document(const hwdb::Error& error);

/// Writes to a descriptor to the last byte and remembers how it failed.
class Sink {
 public:
  explicit Sink(int fd) : fd_(fd) {}
  /// False once a write has failed; nothing is tried after that.
  bool write(std::string_view text);
  /// 0, or the errno of the first failure.
  int failure() const { return failure_; }
  void fail(int error) {
    if (failure_ == 0) failure_ = error;
  }
  int fd() const { return fd_; }

 private:
  int fd_;
  int failure_ = 0;
};

}  // namespace cli
