// SPDX-License-Identifier: MIT
#include "probes/runtime/event_lines.h"

namespace probes {

bool EventLines::feed(std::string_view bytes) {
  while (!bytes.empty() && !too_long_) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    too_long_ = line_.size() + part.size() > kMaxLine;
    if (too_long_) break;
    line_ += part;
    if (end == std::string_view::npos) break;
    end_line();
    line_.clear();
    bytes.remove_prefix(end + 1);
  }
  return !too_long_;
}

void EventLines::end_line() {
  std::string_view line = line_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return end_event();
  // A document by itself, as Ollama writes them.
  if (line.starts_with('{')) return on_event_(line);
  constexpr std::string_view kData = "data:";
  if (!line.starts_with(kData)) return;
  line.remove_prefix(kData.size());
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (!data_.empty()) data_ += '\n';
  too_long_ = data_.size() + line.size() > kMaxLine;
  if (!too_long_) data_ += line;
}

void EventLines::end_event() {
  if (!data_.empty()) on_event_(data_);
  data_.clear();
}

}  // namespace probes
