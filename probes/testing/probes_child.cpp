// SPDX-License-Identifier: MIT
// What `tokwatt --probe-child WHICH` does, as a program of its own for the tests.
#include <string_view>

#include "probes/detect_machine.h"

int main(int argc, char** argv) {
  if (argc != 3 || std::string_view(argv[1]) != "--probe-child") return 2;
  return probes::run_probe_child(argv[2]);
}
