// SPDX-License-Identifier: MIT
#include "engine/runtime/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace engine {
namespace {

ChildRequest shell(const std::string& script) {
  ChildRequest r;
  r.program = "/bin/sh";
  r.arguments = {"-c", script};
  r.deadline_seconds = 10;
  return r;
}

bool alive(int pid) {
  return ::kill(pid, 0) == 0 || errno != ESRCH;
}

TEST(ChildProcess, MessageAndDiagnosticsStayApart) {
  const ChildOutcome o = run_child(shell("echo '{}'; echo noise >&2; read x || exit 3"));
  EXPECT_EQ(o.end, ChildOutcome::End::exited);
  EXPECT_EQ(o.code, 3);  // stdin was empty
  EXPECT_EQ(o.message, "{}\n");
  EXPECT_EQ(o.diagnostics, "noise\n");
  EXPECT_FALSE(o.ok());
}

TEST(ChildProcess, EnvironmentIsLaidOverTheParents) {
  ChildRequest r = shell("printf '%s|%s' \"$TOKWATT_TEST_A\" \"${PATH:+path}\"");
  r.environment = {{"TOKWATT_TEST_A", "one two"}};
  EXPECT_EQ(run_child(r).message, "one two|path");
}

TEST(ChildProcess, DeathBySignalIsNamed) {
  const ChildOutcome o = run_child(shell("kill -ABRT $$"));
  EXPECT_EQ(o.end, ChildOutcome::End::signalled);
  EXPECT_EQ(o.code, SIGABRT);
  EXPECT_NE(o.describe().find("Abort"), std::string::npos);
}

TEST(ChildProcess, MissingProgramSaysSo) {
  ChildRequest r;
  r.program = "/nonexistent/tokwatt";
  const ChildOutcome o = run_child(r);
  EXPECT_EQ(o.end, ChildOutcome::End::not_started);
  EXPECT_NE(o.describe().find("No such file"), std::string::npos);
}

TEST(ChildProcess, DeadlineHoldsAgainstOneThatIgnoresTerm) {
  ChildRequest r = shell("trap '' TERM; echo half; while :; do sleep 1; done");
  r.deadline_seconds = 0.3;
  r.grace_seconds = 0.2;
  const ChildOutcome o = run_child(r);
  EXPECT_EQ(o.end, ChildOutcome::End::deadline);
  EXPECT_EQ(o.message, "half\n");
  EXPECT_GE(o.seconds, 0.5);
  EXPECT_LT(o.seconds, 2.0);
}

TEST(ChildProcess, DeadlineHoldsAgainstOneThatClosesItsPipes) {
  ChildRequest r = shell("exec >&- 2>&-; sleep 60");
  r.deadline_seconds = 0.3;
  const ChildOutcome o = run_child(r);
  EXPECT_EQ(o.end, ChildOutcome::End::deadline);
  EXPECT_LT(o.seconds, 2.0);
}

TEST(ChildProcess, GrandchildrenGoWithIt) {
  // The grandchild keeps the pipe open: the answer must come at once all the same.
  const ChildOutcome o = run_child(shell("sleep 60 & echo $!"));
  EXPECT_TRUE(o.ok()) << o.describe();
  EXPECT_LT(o.seconds, 3.0);
  const int grandchild = std::atoi(o.message.c_str());
  ASSERT_GT(grandchild, 1);
  for (int i = 0; i < 100 && alive(grandchild); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  // Where nobody reaps orphans it stays behind as a zombie, which runs no more.
  if (alive(grandchild)) {
    const ChildOutcome state =
        run_child(shell("grep -c 'State:.*Z' /proc/" + std::to_string(grandchild) + "/status"));
    EXPECT_EQ(state.message, "1\n");
  }
}

TEST(ChildProcess, EndlessMessageIsCutAndEnded) {
  ChildRequest r = shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
  r.max_message_bytes = 10000;
  const ChildOutcome o = run_child(r);
  EXPECT_EQ(o.end, ChildOutcome::End::too_long);
  EXPECT_EQ(o.message.size(), 10000u);
}

TEST(ChildProcess, ChattyDiagnosticsAreDroppedNotFatal) {
  ChildRequest r =
      shell("i=0; while [ $i -lt 3000 ]; do echo 0123456789 >&2; i=$((i+1)); done; echo ok");
  const ChildOutcome o = run_child(r);
  EXPECT_TRUE(o.ok()) << o.describe();
  EXPECT_EQ(o.message, "ok\n");
  EXPECT_EQ(o.diagnostics.size(), r.max_diagnostic_bytes);
}

TEST(ChildProcess, InputIsItsStdin) {
  ChildRequest r = shell("read x; echo \"got $x\"; read y || echo end");
  r.input = "a request\n";
  EXPECT_EQ(run_child(r).message, "got a request\nend\n");
  r.input = std::string(5000, 'x');
  EXPECT_EQ(run_child(r).end, ChildOutcome::End::not_started);
}

TEST(ChildProcess, LinesComeWhileItRuns) {
  ChildRequest r = shell("echo one; sleep 0.5; printf 'two\\nthr'; printf 'ee\\nrest'");
  std::vector<std::string> lines;
  std::chrono::steady_clock::time_point first;
  r.on_line = [&](std::string_view line) {
    if (lines.empty()) first = std::chrono::steady_clock::now();
    lines.emplace_back(line);
    return true;
  };
  EXPECT_TRUE(run_child(r).ok());
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_GE(std::chrono::steady_clock::now() - first, std::chrono::milliseconds(300));
}

TEST(ChildProcess, AListenerWhoHasHeardEnoughEndsIt) {
  ChildRequest r = shell("echo one; echo two; sleep 60");
  int heard = 0;
  r.on_line = [&](std::string_view) { return ++heard < 2; };
  const ChildOutcome o = run_child(r);
  EXPECT_EQ(o.end, ChildOutcome::End::cancelled);
  EXPECT_EQ(heard, 2);
  EXPECT_LT(o.seconds, 5.0);
}

TEST(ChildProcess, SilenceEndsItButTalkDoesNot) {
  ChildRequest r = shell("for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done; sleep 60");
  r.silence_seconds = 0.8;
  const ChildOutcome o = run_child(r);
  EXPECT_EQ(o.end, ChildOutcome::End::silent);
  EXPECT_EQ(o.message, "1\n2\n3\n4\n5\n6\n");
  EXPECT_LT(o.seconds, 8.0);
  EXPECT_NE(o.describe().find("silent for 0.8 s"), std::string::npos) << o.describe();
}

TEST(ChildProcess, CancellingEndsItSoon) {
  ChildRequest r = shell("sleep 60");
  std::atomic<bool> cancel = false;
  r.cancel = &cancel;
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cancel = true;
  });
  const ChildOutcome o = run_child(r);
  EXPECT_EQ(o.end, ChildOutcome::End::cancelled);
  EXPECT_LT(o.seconds, 5.0);
}

TEST(ChildProcess, NothingIsLeftToReap) {
  static_cast<void>(run_child(shell("exit 0")));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace engine
