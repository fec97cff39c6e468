// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace probes {

/// Cuts a stream of bytes into the lines that a runtime meant to write: colour codes and carriage
/// returns are gone, and JSON-lines logs give the text of their messages. Memory stays bounded
/// whatever comes.
class LogLines {
 public:
  /// Longer lines are dropped whole, and counted.
  static constexpr std::size_t kMaxLine = 64 * 1024;

  /// Called with a line and its number in the input, from 1.
  using OnLine = std::function<void(std::string_view line, std::uint64_t number)>;
  explicit LogLines(OnLine on_line) : on_line_(std::move(on_line)) {}

  void feed(std::string_view bytes);
  /// The input has ended; a last line without a line end counts.
  void finish();

  std::uint64_t lines() const { return number_; }
  std::uint64_t dropped() const { return dropped_; }

 private:
  void end_line();
  void give_message(std::string_view text);

  OnLine on_line_;
  std::string line_, message_, clean_;
  bool too_long_ = false, started_ = false;
  std::uint64_t number_ = 0, dropped_ = 0;
};

}  // namespace probes
