// SPDX-License-Identifier: MIT
// The only place that prints, exits and looks at the environment.
#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "planner/cli/commands.h"
#include "planner/cli/options.h"
#include "planner/cli/output.h"
#include "planner/cli/session.h"
#include "planner/cli/version.h"
#include "planner/report/escape.h"
#include "planner/report/report.h"
#include "probes/detect_machine.h"

namespace {

constexpr int kFailure = 1, kInterrupted = 130, kBrokenPipe = 141;
constexpr std::size_t kPipeWidth = 100, kNarrowest = 40;

/// Descriptors 0 to 2 must be open, or the next file opened would become stdout.
void open_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // A closed stdout stays an error to write to, not a silent success.
    if (::open("/dev/null", fd == 1 ? O_RDONLY : O_RDWR) != fd) std::_Exit(kFailure);
  }
}

// Set by commands that have something to keep: the first Ctrl-C then asks them to come to an end.
std::atomic<bool> asked_to_finish{false}, may_finish{false};

void on_interrupt(int) {
  if (may_finish.load() && !asked_to_finish.exchange(true)) {
    constexpr std::string_view kLast =
        "\ninterrupted: keeping what is done (again: stop at once)\n";
    [[maybe_unused]] const ssize_t told = ::write(2, kLast.data(), kLast.size());
    return;
  }
  constexpr std::string_view kText = "interrupted\n";
  [[maybe_unused]] const ssize_t ignored = ::write(2, kText.data(), kText.size());
  std::_Exit(kInterrupted);
}

std::optional<std::string> variable(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

std::size_t terminal_width() {
  struct winsize size {};
  if (::isatty(1) == 1 && ::ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return std::max<std::size_t>(size.ws_col, kNarrowest);
  }
  const std::string columns = variable("COLUMNS").value_or("");
  std::size_t width = 0;
  const char* end = columns.data() + columns.size();
  if (std::from_chars(columns.data(), end, width).ptr != end || width < kNarrowest) {
    return kPipeWidth;
  }
  return std::min<std::size_t>(width, 1000);
}

bool use_color(cli::Color color) {
  if (color != cli::Color::automatic) return color == cli::Color::always;
  return ::isatty(1) == 1 && variable("NO_COLOR").value_or("").empty() &&
         variable("TERM").value_or("dumb") != "dumb";
}

cli::Environment read_environment(const cli::Options& options) {
  cli::Environment environment;
  environment.width = terminal_width();
  environment.color = use_color(options.color) && options.output.empty();
  environment.lookup = variable;
  environment.messages_on_terminal =
      ::isatty(2) == 1 && variable("TERM").value_or("dumb") != "dumb";
  environment.message = [](std::string_view text) { cli::Sink(2).write(text); };
  environment.catch_interrupt = [] {
    may_finish.store(true);
    return &asked_to_finish;
  };
  if (const struct passwd* entry = ::getpwuid(::getuid())) {
    environment.home = entry->pw_dir != nullptr ? entry->pw_dir : "";
    environment.user = entry->pw_name != nullptr ? entry->pw_name : "";
  }
  environment.home = variable("HOME").value_or(environment.home);
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) == 0) environment.host = host.data();
  return environment;
}

/// Without notes, and without sections that had nothing else; programs keep them.
void hush(report::Report* report) {
  for (report::Section& section : report->sections) section.notes.clear();
  std::erase_if(report->sections, [](const report::Section& s) {
    return s.sentences.empty() && s.lines.empty() && s.tables.empty() && s.commands.empty();
  });
}

std::string rendered(const cli::Outcome& outcome, const cli::Options& options,
                     const cli::Environment& environment) {
  if (!outcome.report) return outcome.document;
  switch (options.format) {
    case cli::Format::json:
      return report::render_json(*outcome.report);
    case cli::Format::csv:
      return report::render_csv(*outcome.report);
    case cli::Format::markdown:
      return report::render_markdown(*outcome.report);
    case cli::Format::text:
      break;
  }
  return report::render_text(*outcome.report, {environment.width, environment.color});
}

/// Where the answer goes. A file is opened when the first text comes, so that a command that fails
/// leaves what was there.
class Answer {
 public:
  explicit Answer(const std::string& path) : path_(path == "-" ? "" : path) {}

  bool write(std::string_view text) {
    if (!sink_) {
      const int fd =
          path_.empty() ? 1 : ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
      const int reason = errno;
      sink_.emplace(fd);
      if (fd < 0) sink_->fail(reason);
    }
    return sink_->write(text);
  }

  /// Closes and says how it went: an exit status, 0 when all was written.
  int finish() {
    if (!sink_) return 0;
    // Closing tells about a full disk that a write did not; a duplicate keeps stdout itself open.
    const int fd = path_.empty() ? ::dup(1) : sink_->fd();
    if (fd >= 0 && ::close(fd) != 0) sink_->fail(errno);
    if (sink_->failure() == 0) return 0;
    if (sink_->failure() == EPIPE) return kBrokenPipe;
    const std::string where = path_.empty() ? "standard output" : path_;
    cli::Sink(2).write(
        cli::error_text({"output.write", std::strerror(sink_->failure()), where, {}}));
    return kFailure;
  }

 private:
  std::optional<cli::Sink> sink_;
  std::string path_;
};

int fail(const hwdb::Error& error, bool json, Answer* answer) {
  if (json) answer->write(cli::error_document(error));
  cli::Sink(2).write(cli::error_text(error));
  const int written = json ? answer->finish() : 0;
  return written != 0 ? written : hwdb::exit_status(error.code);
}

int run(const std::vector<std::string>& arguments) {
  const auto options = cli::parse_arguments(arguments);
  if (!options) {
    Answer standard_output("");
    return fail(options.error(), cli::wants_json(arguments), &standard_output);
  }
  Answer answer(options->output);
  if (options->version || options->help) {
    answer.write(options->version ? fmt::format("tokwatt {}\n", cli::kVersion)
                                  : cli::help_text(options->command));
    return answer.finish();
  }
  const cli::Environment environment = read_environment(*options);
  const bool json = options->format == cli::Format::json;
  cli::Session session(*options, environment,
                       [&](std::string_view text) { return answer.write(text); });
  if (auto status = session.open_catalog(); !status) return fail(status.error(), json, &answer);
  auto outcome = cli::run_command(session);
  cli::Sink messages(2);
  for (const std::string& notice : session.notices()) {
    messages.write(report::escape_terminal(notice) + "\n");
  }
  if (!outcome) return fail(outcome.error(), json, &answer);
  for (const std::string& warning : outcome->warnings) {
    if (!options->quiet) messages.write("warning: " + report::escape_terminal(warning) + "\n");
  }
  if (options->quiet && !json && outcome->report) hush(&*outcome->report);
  answer.write(rendered(*outcome, *options, environment));
  if (outcome->after) messages.write(cli::error_text(*outcome->after));
  const int written = answer.finish();
  return written != 0 ? written : outcome->exit_status;
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGINT, on_interrupt);
  const std::vector<std::string> arguments(argv + 1, argv + std::max(argc, 1));
  if (arguments.size() == 2 && arguments[0] == "--probe-child") {
    return probes::run_probe_child(arguments[1]);
  }
  try {
    return run(arguments);
  } catch (const std::bad_alloc&) {
    cli::Sink(2).write("error[internal.memory]: out of memory\n");
  } catch (const std::exception& e) {
    cli::Sink(2).write(cli::error_text({"internal.exception", e.what(), {}, {}}));
  }
  return kFailure;
}
