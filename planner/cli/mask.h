// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "planner/cli/session.h"

namespace cli {

/// Hides what names a person or one machine: user, host, home folder, UUIDs, serials and hardware
/// addresses.
class Mask {
 public:
  explicit Mask(const Environment& environment);

  /// For people: "<uuid>", "<host>".
  std::string operator()(std::string text) const;
  /// For a recording, in which every name must stay the same name: UUIDs and the names of
  /// containers become numbers of their form, equal ones the same.
  std::string recording(const std::string& text) const;

 private:
  void add(const std::string& from, std::string to);
  std::string without_words(std::string text) const;

  std::vector<std::pair<std::string, std::string>> words_;
};

}  // namespace cli
