// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace engine {

/// A program to be run for one message. It gets a process group of its own, and dies when its
/// parent does.
struct ChildRequest {
  std::string program;  // path of the executable
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;  // laid over the parent's
  std::string input;  // its stdin, at most 4 KiB; "" is /dev/null
  double deadline_seconds = 15;
  double silence_seconds = 0;  // ended when it writes nothing for so long; 0: only the deadline
  double grace_seconds = 1;    // between SIGTERM and SIGKILL
  std::size_t max_message_bytes = std::size_t{4} << 20;      // of stdout; more ends the child
  std::size_t max_diagnostic_bytes = std::size_t{16} << 10;  // of stderr; more is dropped
  std::function<bool(std::string_view)> on_line;  // each whole line of stdout, as it comes; false:
                                                  // enough, the child is ended
  const std::atomic<bool>* cancel = nullptr;      // set: the child is ended within 0.1 s
};

/// What became of it.
struct ChildOutcome {
  enum class End {
    exited,       // by itself: `code` is its status
    signalled,    // by a signal of its own making: `code` is the signal
    deadline,     // ended by us because it took too long
    silent,       // ended by us because it had written nothing for `silence_seconds`
    cancelled,    // ended by us because we were told to
    too_long,     // ended by us because its message was longer than allowed
    not_started,  // `diagnostics` says why
    stuck         // does not even die by SIGKILL (waits inside the kernel); left alone
  };
  End end = End::not_started;
  int code = 0;
  std::string message;      // its stdout
  std::string diagnostics;  // its stderr, what drivers print
  double seconds = 0;
  double silence_seconds = 0;  // what was allowed

  bool ok() const { return end == End::exited && code == 0; }
  /// "exited with status 3", "died by signal 6 (Aborted)", "gave no answer within 15 s"...
  std::string describe() const;
};

/// Runs the program to its end or to the deadline; its whole process group is gone afterwards.
ChildOutcome run_child(const ChildRequest& request);

/// The path of the running program, "" when unknown.
std::string own_program();

}  // namespace engine
