// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "planner/batch.h"
#include "planner/cli/commands.h"

namespace cli {
namespace {

constexpr std::size_t kBuffer = 1u << 16;

/// Closes what it opened itself.
struct Input {
  int fd = 0;
  bool own = false;
  ~Input() {
    if (own) ::close(fd);
  }
};

}  // namespace

hwdb::Result<Outcome> cmd_batch(Session& session) {
  const Options& options = session.options();
  const std::string path = options.arguments.empty() ? "-" : options.arguments.front();
  Input input;
  if (path != "-") {
    input.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (input.fd < 0) return hwdb::Error{"file.open", std::strerror(errno), path, {}};
    input.own = true;
  }
  Outcome outcome;
  planner::Batch batch(session.sources());
  std::string pending, out;
  bool too_long = false;  // the rest of a line that was already refused
  bool reading = true;
  const auto answer = [&](std::string_view line) {
    if (!batch.answer(line, &out)) outcome.exit_status = 1;
  };
  const auto flush = [&] {
    reading = session.write(out);
    out.clear();
  };
  std::string buffer(kBuffer, '\0');
  while (reading) {
    const ssize_t n = ::read(input.fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      flush();
      return hwdb::Error{"file.read", std::strerror(errno), path, {}};
    }
    if (n == 0) break;
    std::string_view text(buffer.data(), static_cast<std::size_t>(n));
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      const std::string_view part = text.substr(0, end);
      if (!too_long) {
        if (end != std::string_view::npos && pending.empty()) {
          answer(part);
        } else {
          pending.append(part);
          // One byte more than a line may have, so that it is refused for its length.
          too_long = pending.size() > planner::kBatchLineBytes;
          if (too_long || end != std::string_view::npos) {
            answer(pending);
            pending.clear();
          }
        }
      }
      if (end == std::string_view::npos) break;
      too_long = false;
      text.remove_prefix(end + 1);
    }
    // Someone who types lines sees each answer at once; a file is answered in large pieces.
    if (out.size() >= kBuffer || static_cast<std::size_t>(n) < buffer.size()) flush();
  }
  if (!pending.empty()) answer(pending);
  if (reading && !out.empty()) flush();
  return outcome;
}

}  // namespace cli
