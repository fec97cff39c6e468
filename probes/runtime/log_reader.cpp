// SPDX-License-Identifier: MIT
#include "probes/runtime/log_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <vector>

#include "hwdb/file_reader.h"
#include "hwdb/text_escape.h"
#include "probes/runtime/log_line_readers.h"
#include "probes/runtime/log_lines.h"
#include "probes/runtime/log_state.h"

namespace probes {
namespace {

using hwdb::RuntimeBuffer;
using hwdb::RuntimeLoad;
using Kind = RuntimeBuffer::Kind;

void name_untold(hwdb::RuntimeReport* report) {
  const RuntimeLoad* load = report->main_load();
  const auto untold = [&](bool told, const char* what) {
    if (!told) report->untold.emplace_back(what);
  };
  const auto any = [&](Kind kind) {
    return load != nullptr &&
           std::ranges::find(load->buffers, kind, &RuntimeBuffer::kind) != load->buffers.end();
  };
  untold(any(Kind::model), "weights by device");
  untold(any(Kind::kv_cache) || any(Kind::state), "cache by device");
  untold(any(Kind::compute), "compute buffers");
  untold(load != nullptr && load->n_ctx, "context size");
  untold(load != nullptr && load->n_ubatch, "micro-batch");
  untold(load != nullptr && load->flash_attn, "whether flash attention is on");
}

}  // namespace

class LogReader::State {
 public:
  State() : lines([this](std::string_view text, std::uint64_t number) { take({text, number}); }) {}

  void take(const LogLine& line) {
    for (const auto readers : {memory_line_readers(), setup_line_readers()}) {
      for (const ReadLogLine read : readers) {
        if (!read(&state, line)) continue;
        ++recognized;
        return;
      }
    }
  }

  LogState state;
  LogLines lines;
  std::uint64_t recognized = 0;
};

LogReader::LogReader() : state_(std::make_unique<State>()) {}
LogReader::~LogReader() = default;

void LogReader::feed(std::string_view bytes) {
  state_->lines.feed(bytes);
}

hwdb::RuntimeReport LogReader::finish_any(std::string_view where) {
  state_->lines.finish();
  LogState& state = state_->state;
  hwdb::RuntimeReport& report = state.report;
  report.where = where;
  report.lines = state_->lines.lines();
  state.settle();
  if (report.runtime.empty()) report.runtime = "llama.cpp";
  if (state_->lines.dropped() > 0) {
    report.notes.push_back(fmt::format("{} lines are longer than {} KiB and were not read.",
                                       state_->lines.dropped(), LogLines::kMaxLine / 1024));
  }
  if (report.loads.size() >= LogState::kMaxLoads) {
    report.notes.push_back(
        fmt::format("Only the first {} models and contexts were read.", LogState::kMaxLoads));
  }
  name_untold(&report);
  return std::move(report);
}

hwdb::Result<hwdb::RuntimeReport> LogReader::finish(std::string_view where) {
  hwdb::RuntimeReport report = finish_any(where);
  if (state_->recognized == 0) {
    return hwdb::Error{
        "log.unrecognized",
        fmt::format("none of its {} lines is of llama.cpp, ik_llama.cpp or Ollama", report.lines),
        hwdb::escape_text(where), "give the log of llama-server, llama-cli or llama-bench"};
  }
  const bool any_buffer = std::ranges::any_of(
      report.loads, [](const RuntimeLoad& load) { return !load.buffers.empty(); });
  if (!any_buffer && report.table.empty()) {
    return hwdb::Error{"log.no_memory",
                       "it tells no buffer sizes: builds since May 2026 print them at level 4 only",
                       hwdb::escape_text(where), "start the server with -lv 4 and keep its log"};
  }
  return report;
}

hwdb::Status feed_log_file(const std::string& path, const FeedLog& feed) {
  auto file = hwdb::FileReader::open(path);
  if (!file) return file.error();
  if (file->size() > kMaxLogBytes) {
    return file->error("log.limit",
                       fmt::format("{} bytes, expected at most {}", file->size(), kMaxLogBytes));
  }
  std::vector<std::byte> buffer(256 * 1024);
  for (std::uint64_t at = 0; at < file->size();) {
    const std::size_t size =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file->size() - at));
    const std::span<std::byte> part(buffer.data(), size);
    if (auto status = file->read(at, part); !status) return status.error();
    feed({reinterpret_cast<const char*>(part.data()), size});
    at += size;
  }
  return hwdb::Ok{};
}

hwdb::Status feed_log_stream(int fd, std::string_view where, const FeedLog& feed) {
  std::vector<char> buffer(256 * 1024);
  for (std::uint64_t total = 0;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return hwdb::Error{"file.read", std::strerror(errno), std::string(where), {}};
    }
    if (n == 0) return hwdb::Ok{};
    total += static_cast<std::uint64_t>(n);
    if (total > kMaxLogBytes) {
      return hwdb::Error{
          "log.limit", fmt::format("over {} bytes", kMaxLogBytes), std::string(where), {}};
    }
    feed({buffer.data(), static_cast<std::size_t>(n)});
  }
}

hwdb::Result<hwdb::RuntimeReport> read_log_file(const std::string& path) {
  LogReader reader;
  auto status = feed_log_file(path, [&](std::string_view bytes) { reader.feed(bytes); });
  if (!status) return status.error();
  return reader.finish(path);
}

hwdb::Result<hwdb::RuntimeReport> read_log_stream(int fd, std::string_view where) {
  LogReader reader;
  auto status = feed_log_stream(fd, where, [&](std::string_view bytes) { reader.feed(bytes); });
  if (!status) return status.error();
  return reader.finish(where);
}

}  // namespace probes
