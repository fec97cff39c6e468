// SPDX-License-Identifier: MIT
#include "planner/cli/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "planner/report/escape.h"
#include "planner/result_json.h"

namespace cli {

std::string error_text(const hwdb::Error& error) {
  using report::escape_terminal;
  std::string text =
      fmt::format("error[{}]: {}{}{}\n", escape_terminal(error.code), escape_terminal(error.where),
                  error.where.empty() ? "" : ": ", escape_terminal(error.what));
  if (!error.hint.empty()) text += fmt::format("hint: {}\n", escape_terminal(error.hint));
  return text;
}

std::string error_document(const hwdb::Error& error) {
  std::string document;
  hwdb::JsonWriter writer(&document);
  writer.begin_object().member("schema", "1.0").key("error");
  planner::append_error_json(&writer, error);
  writer.end_object();
  return document + "\n";
}

bool Sink::write(std::string_view text) {
  while (failure_ == 0 && !text.empty()) {
    const ssize_t n = ::write(fd_, text.data(), text.size());
    if (n > 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (n < 0 && errno != EINTR) {
      failure_ = errno;
    }
  }
  return failure_ == 0;
}

}  // namespace cli
