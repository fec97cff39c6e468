// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "hwdb/result.h"
#include "hwdb/runtime_report.h"

namespace probes {

/// Reads what llama.cpp and its relatives (llama-server, llama-cli, llama-bench, ik_llama.cpp,
/// Ollama's runner) print about models, contexts and buffers: all versions since 2023, any prefix.
/// Sizes that the automatic fitting tries before it loads are left out; of a buffer that is
/// reserved again the last size counts. A draft model or a further context is a load of its own.
class LogReader {
 public:
  LogReader();
  ~LogReader();
  /// The next bytes, cut anywhere.
  void feed(std::string_view bytes);
  /// The input has ended. Errors: log.unrecognized (nothing of a runtime's log was found),
  /// log.no_memory (it is one, but no line tells memory). `where` names the log in errors.
  hwdb::Result<hwdb::RuntimeReport> finish(std::string_view where);
  /// The same for who does not ask for memory: whatever was told, and nothing is an answer too.
  hwdb::RuntimeReport finish_any(std::string_view where);

 private:
  class State;
  std::unique_ptr<State> state_;
};

/// Most that is read of one log.
inline constexpr std::uint64_t kMaxLogBytes = 4ull << 30;

/// Gives the bytes of a log in a file, or from a descriptor to its end, in pieces. Errors: file.*,
/// log.limit.
using FeedLog = std::function<void(std::string_view bytes)>;
hwdb::Status feed_log_file(const std::string& path, const FeedLog& feed);
hwdb::Status feed_log_stream(int fd, std::string_view where, const FeedLog& feed);

/// A log in a file. Errors: file.*, log.limit, and those of LogReader.
hwdb::Result<hwdb::RuntimeReport> read_log_file(const std::string& path);
/// A log from a descriptor, to its end: a pipe or standard input. Errors as above.
hwdb::Result<hwdb::RuntimeReport> read_log_stream(int fd, std::string_view where);

}  // namespace probes
