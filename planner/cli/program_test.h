// SPDX-License-Identifier: MIT
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

/// Running the built program in tests.
namespace cli {

inline constexpr const char* kProgram = TOKWATT_PROGRAM;

struct ProgramRun {
  int status = -1;  // exit status; 128 + signal when it was killed
  std::string out, err;
};

/// One command line of a shell, its standard input empty, its streams kept apart.
inline ProgramRun run_shell(const std::string& line) {
  char folder[] = "/tmp/tokwatt_run_XXXXXX";
  if (::mkdtemp(folder) == nullptr) return {};
  const std::string out = std::string(folder) + "/out", err = std::string(folder) + "/err";
  const std::string script = std::string(folder) + "/script";
  // A file of its own: no quoting twice, and redirections in `line` win over these.
  std::ofstream(script) << "exec </dev/null >" << out << " 2>" << err << "\n" << line << "\n";
  const int status = std::system(("bash " + script).c_str());
  const auto read = [](const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  };
  ProgramRun run{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read(out),
                 read(err)};
  for (const std::string& path : {out, err, script}) ::unlink(path.c_str());
  ::rmdir(folder);
  return run;
}

/// The program with these arguments, in the shell's quoting; saved state is left alone.
inline ProgramRun run_program(const std::string& arguments) {
  return run_shell("export XDG_STATE_HOME=/nonexistent HOME=/nonexistent; " +
                   std::string(kProgram) + " " + arguments);
}

}  // namespace cli
