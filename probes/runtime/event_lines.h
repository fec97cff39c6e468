// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace probes {

/// Cuts an answer that comes in pieces into its JSON documents: server-sent events ("data: {...}"
/// and a blank line, comments begin with a colon) or one document a line. Cut anywhere, with either
/// line end.
class EventLines {
 public:
  static constexpr std::size_t kMaxLine = 1u << 20;

  /// Called with the text of one event: a document, or "[DONE]".
  using OnEvent = std::function<void(std::string_view data)>;
  explicit EventLines(OnEvent on_event) : on_event_(std::move(on_event)) {}

  /// False once a line or an event was longer than kMaxLine; nothing is read after that.
  bool feed(std::string_view bytes);

 private:
  void end_line();
  void end_event();

  OnEvent on_event_;
  std::string line_, data_;
  bool too_long_ = false;
};

}  // namespace probes
