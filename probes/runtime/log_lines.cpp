// SPDX-License-Identifier: MIT
#include "probes/runtime/log_lines.h"

#include <algorithm>

#include "hwdb/json.h"

namespace probes {
namespace {

/// Without terminal control sequences ("\x1b[32m") and without the carriage return at the end.
void strip(std::string_view line, std::string* out) {
  out->clear();
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b' && i + 1 < line.size() && line[i + 1] == '[') {
      i += 2;
      while (i < line.size() && (line[i] < '@' || line[i] > '~')) ++i;
      continue;
    }
    out->push_back(line[i]);
  }
  while (out->ends_with('\r')) out->pop_back();
}

}  // namespace

void LogLines::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    started_ = started_ || !part.empty();
    if (line_.size() + part.size() > kMaxLine) {
      too_long_ = true;
      line_.clear();
    }
    if (!too_long_) line_ += part;
    if (end == std::string_view::npos) return;
    end_line();
    bytes.remove_prefix(end + 1);
  }
}

void LogLines::finish() {
  if (started_) end_line();
  if (!message_.empty()) on_line_(message_, number_);
  message_.clear();
}

void LogLines::end_line() {
  ++number_;
  if (too_long_) {
    ++dropped_;
  } else {
    strip(line_, &clean_);
    if (clean_.starts_with("{\"")) {
      // Any other JSON, and a line that only looks like it, is no line of a log.
      const auto json = hwdb::parse_json(clean_, "log", kMaxLine);
      const hwdb::Json* message = json ? json->find("msg") : nullptr;
      if (message != nullptr && message->as_string() != nullptr) {
        give_message(*message->as_string());
      }
    } else {
      on_line_(clean_, number_);
    }
  }
  line_.clear();
  too_long_ = started_ = false;
}

/// One line may come in several messages, and one message may hold several lines.
void LogLines::give_message(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (message_.size() + std::min(end, text.size()) <= kMaxLine) message_ += text.substr(0, end);
    if (end == std::string_view::npos) return;
    on_line_(message_, number_);
    message_.clear();
    text.remove_prefix(end + 1);
  }
}

}  // namespace probes
