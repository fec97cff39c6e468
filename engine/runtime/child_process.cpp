// SPDX-License-Identifier: MIT
#include "engine/runtime/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

extern char** environ;

namespace engine {
namespace {

using Clock = std::chrono::steady_clock;

// Less than any pipe holds.
constexpr std::size_t kMaxInput = 4096;

/// A descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

bool open_pipe(Fd* read_end, Fd* write_end) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return false;
  read_end->reset(ends[0]);
  write_end->reset(ends[1]);
  ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  ::fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  return true;
}

/// Everything the child needs between fork and exec, made beforehand: allocation is not allowed
/// there when the parent has threads.
struct Prepared {
  std::vector<std::string> texts;
  std::vector<char*> argv, envp;
};

Prepared prepare(const ChildRequest& request) {
  Prepared p;
  const auto overridden = [&](std::string_view entry) {
    return std::ranges::any_of(request.environment, [&](const auto& v) {
      return entry.substr(0, entry.find('=')) == v.first;
    });
  };
  p.texts.push_back(request.program);
  p.texts.insert(p.texts.end(), request.arguments.begin(), request.arguments.end());
  const std::size_t n_arguments = p.texts.size();
  for (char** e = environ; e != nullptr && *e != nullptr; ++e) {
    if (!overridden(*e)) p.texts.emplace_back(*e);
  }
  for (const auto& [name, value] : request.environment) p.texts.push_back(name + "=" + value);
  for (std::size_t i = 0; i < p.texts.size(); ++i) {
    (i < n_arguments ? p.argv : p.envp).push_back(p.texts[i].data());
  }
  p.argv.push_back(nullptr);
  p.envp.push_back(nullptr);
  return p;
}

/// In the child: only calls that are safe after fork. Reports a failed exec through `report`.
[[noreturn]] void become(const Prepared& p, pid_t parent, int in, int out, int err, int report) {
  ::setpgid(0, 0);
#if defined(__linux__)
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // died before the line above took effect
#else
  static_cast<void>(parent);
#endif
  // What the parent ignores or blocks must not make the child immune to the deadline.
  for (const int sig : {SIGTERM, SIGINT, SIGPIPE, SIGHUP, SIGQUIT, SIGALRM, SIGCHLD}) {
    ::signal(sig, SIG_DFL);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (in < 0) in = ::open("/dev/null", O_RDONLY);
  if (in >= 0) ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  // Files that the parent had open are none of a driver's business.
  for (int fd = 3; fd < 256; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::execve(p.argv[0], p.argv.data(), p.envp.data());
  const int error = errno;
  static_cast<void>(!::write(report, &error, sizeof error));
  ::_exit(127);
}

/// Appends what is there now; false at the end of the stream.
bool drain(int fd, std::string* out, std::size_t limit, bool* over) {
  std::array<char, 16384> buffer;
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  if (n == 0) return false;
  const std::size_t got = static_cast<std::size_t>(n);
  const std::size_t room = limit - std::min(limit, out->size());
  out->append(buffer.data(), std::min(room, got));
  if (got > room) *over = true;
  return true;
}

/// Waits until the child has ended, at most until `until`. It stays a zombie, so that its group can
/// still be signalled safely.
bool ended_by(pid_t pid, Clock::time_point until) {
  auto pause = std::chrono::microseconds(200);
  for (;;) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == pid)
      return true;
    if (Clock::now() >= until) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(20000));
  }
}

std::chrono::duration<double> as_duration(double seconds) {
  return std::chrono::duration<double>(seconds);
}

/// Hands on the lines that are whole.
class LineFeed {
 public:
  explicit LineFeed(const ChildRequest& request) : request_(request) {}
  /// false: nobody wants any more.
  bool look_at(const std::string& message) {
    if (!request_.on_line) return true;
    for (;;) {
      const std::size_t end = message.find('\n', from_);
      if (end == std::string::npos) return true;
      const std::size_t from = std::exchange(from_, end + 1);
      if (!request_.on_line(std::string_view(message).substr(from, end - from))) return false;
    }
  }

 private:
  const ChildRequest& request_;
  std::size_t from_ = 0;
};

/// Reads both pipes until the child closes them, the message grows too long, time is up or it is
/// cancelled.
void read_until(Clock::time_point deadline, pid_t pid, const ChildRequest& request, Fd* out,
                Fd* err, ChildOutcome* outcome) {
  bool over = false, dropped = false;
  LineFeed lines(request);
  Clock::time_point last_word = Clock::now();
  while ((out->get() >= 0 || err->get() >= 0) && !over) {
    if (request.cancel != nullptr && request.cancel->load(std::memory_order_relaxed)) {
      outcome->end = ChildOutcome::End::cancelled;
      return;
    }
    const Clock::time_point now = Clock::now();
    if (request.silence_seconds > 0 && now - last_word > as_duration(request.silence_seconds)) {
      outcome->end = ChildOutcome::End::silent;
      return;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now).count();
    if (left <= 0) break;
    std::array<pollfd, 2> fds = {pollfd{out->get(), POLLIN, 0}, pollfd{err->get(), POLLIN, 0}};
    // A grandchild may hold the pipes open after the child has gone, hence the short slices.
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(std::min<long>(left, 100)));
    if (ready < 0 && errno != EINTR) break;
    if (ready == 0) {
      if (ended_by(pid, Clock::now())) break;
      continue;
    }
    if (fds[0].revents != 0) {
      last_word = Clock::now();
      if (!drain(out->get(), &outcome->message, request.max_message_bytes, &over)) out->reset();
      if (!lines.look_at(outcome->message)) {
        outcome->end = ChildOutcome::End::cancelled;
        return;
      }
    }
    if (fds[1].revents != 0 &&
        !drain(err->get(), &outcome->diagnostics, request.max_diagnostic_bytes, &dropped))
      err->reset();
  }
  if (over) outcome->end = ChildOutcome::End::too_long;
}

}  // namespace

std::string ChildOutcome::describe() const {
  switch (end) {
    case End::exited:
      return code == 0 ? "ended well" : fmt::format("exited with status {}", code);
    case End::signalled:
      return fmt::format("died by signal {} ({})", code, ::strsignal(code));
    case End::deadline:
      return fmt::format("gave no answer within {:.1f} s and was ended", seconds);
    case End::silent:
      return fmt::format("was silent for {:.1f} s and was ended", silence_seconds);
    case End::cancelled:
      return "was cancelled";
    case End::too_long:
      return "wrote more than a message may be long and was ended";
    case End::not_started:
      return "could not be started: " + diagnostics;
    case End::stuck:
      return "hangs inside the kernel and was left behind";
  }
  return "";
}

ChildOutcome run_child(const ChildRequest& request) {
  ChildOutcome outcome;
  const Clock::time_point start = Clock::now();
  outcome.silence_seconds = request.silence_seconds;
  if (request.input.size() > kMaxInput) {
    outcome.diagnostics = fmt::format("its input is longer than {} bytes", kMaxInput);
    return outcome;
  }
  Fd in_read, in_write, out_read, out_write, err_read, err_write, report_read, report_write;
  if (!open_pipe(&out_read, &out_write) || !open_pipe(&err_read, &err_write) ||
      !open_pipe(&report_read, &report_write) ||
      (!request.input.empty() && !open_pipe(&in_read, &in_write))) {
    outcome.diagnostics = std::strerror(errno);
    return outcome;
  }
  // An empty pipe takes it whole, before anyone reads.
  if (!request.input.empty() &&
      ::write(in_write.get(), request.input.data(), request.input.size()) !=
          static_cast<ssize_t>(request.input.size())) {
    outcome.diagnostics = std::strerror(errno);
    return outcome;
  }
  in_write.reset();
  const Prepared prepared = prepare(request);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    outcome.diagnostics = std::strerror(errno);
    return outcome;
  }
  if (pid == 0)
    become(prepared, parent, in_read.get(), out_write.get(), err_write.get(), report_write.get());
  ::setpgid(pid, pid);  // also here: whoever comes first, the group exists before it is signalled
  out_write.reset();
  err_write.reset();
  report_write.reset();
  int exec_error = 0;
  if (::read(report_read.get(), &exec_error, sizeof exec_error) ==
      static_cast<ssize_t>(sizeof exec_error)) {
    ::waitpid(pid, nullptr, 0);
    outcome.diagnostics = fmt::format("{}: {}", request.program, std::strerror(exec_error));
    return outcome;
  }

  const auto deadline =
      start + std::chrono::duration_cast<Clock::duration>(as_duration(request.deadline_seconds));
  outcome.end = ChildOutcome::End::exited;
  read_until(deadline, pid, request, &out_read, &err_read, &outcome);

  bool gone = false;
  if (outcome.end == ChildOutcome::End::exited) {
    gone = ended_by(pid, deadline);
    if (!gone) outcome.end = ChildOutcome::End::deadline;
  }
  const auto after = [](double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(as_duration(seconds));
  };
  if (!gone) {
    ::kill(-pid, SIGTERM);
    gone = ended_by(pid, after(request.grace_seconds));
  }
  // Always: a well-behaved child may have left others of its group running.
  ::kill(-pid, SIGKILL);
  gone = gone || ended_by(pid, after(1));
  outcome.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (!gone) {
    outcome.end = ChildOutcome::End::stuck;
    return outcome;
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (outcome.end != ChildOutcome::End::exited) return outcome;
  if (WIFSIGNALED(status)) {
    outcome.end = ChildOutcome::End::signalled;
    outcome.code = WTERMSIG(status);
  } else {
    outcome.code = WEXITSTATUS(status);
  }
  return outcome;
}

std::string own_program() {
  std::array<char, 4096> path;
  const ssize_t n = ::readlink("/proc/self/exe", path.data(), path.size());
  if (n <= 0 || n == static_cast<ssize_t>(path.size())) return "";
  return std::string(path.data(), static_cast<std::size_t>(n));
}

}  // namespace engine
