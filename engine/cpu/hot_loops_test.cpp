// SPDX-License-Identifier: MIT
// Sums of tiles must stay in registers: g++ 12 halves the speed of a loop when it moves them to the
// stack and back. This reads the loops of the AVX-512 VNNI tiles from the built library.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

#if !defined(TOKWATT_ENGINE_LIBRARY)
#define TOKWATT_ENGINE_LIBRARY ""
#endif

struct Instruction {
  unsigned long address = 0;
  std::string text;
};

/// The functions of the library whose names have `part`, by name.
std::map<std::string, std::vector<Instruction>> disassemble(const std::string& part) {
  std::map<std::string, std::vector<Instruction>> functions;
  struct Close {
    void operator()(FILE* pipe) const { pclose(pipe); }
  };
  const std::string command =
      std::string("objdump -d -C --no-show-raw-insn ") + TOKWATT_ENGINE_LIBRARY + " 2>/dev/null";
  const std::unique_ptr<FILE, Close> pipe(popen(command.c_str(), "r"));
  if (pipe == nullptr) return functions;
  std::vector<char> line(4096);
  std::vector<Instruction>* function = nullptr;
  while (std::fgets(line.data(), static_cast<int>(line.size()), pipe.get()) != nullptr) {
    const std::string text = line.data();
    if (text.find(">:") != std::string::npos) {
      function = text.find(part) != std::string::npos ? &functions[text] : nullptr;
    } else if (function != nullptr && text.find(":\t") != std::string::npos) {
      function->push_back({std::strtoul(text.c_str(), nullptr, 16), text});
    }
  }
  return functions;
}

bool has(const Instruction& instruction, const char* part) {
  return instruction.text.find(part) != std::string::npos;
}

/// The shortest loop with that many dot products; empty when there is none.
std::vector<Instruction> find_loop(const std::vector<Instruction>& function, std::size_t dots) {
  std::vector<Instruction> shortest;
  for (std::size_t end = 0; end < function.size(); ++end) {
    const std::size_t jump = function[end].text.find("\tj");
    if (jump == std::string::npos) continue;
    const std::size_t target = function[end].text.find_first_of(" ", jump);
    if (target == std::string::npos) continue;
    const unsigned long to = std::strtoul(function[end].text.c_str() + target, nullptr, 16);
    std::vector<Instruction> loop;
    std::size_t found = 0;
    for (std::size_t i = 0; i <= end; ++i) {
      if (function[i].address < to) continue;
      loop.push_back(function[i]);
      found += has(function[i], "vpdpbusd") ? 1 : 0;
    }
    if (found >= dots && (shortest.empty() || loop.size() < shortest.size())) shortest = loop;
  }
  return shortest;
}

TEST(HotLoops, SumsOfTilesStayInRegisters) {
  // The full tile: two panels by six columns.
  const auto tiles = disassemble("2, 6>(engine::cpu::(anonymous namespace)::TilePanels");
  if (tiles.empty()) GTEST_SKIP() << "no objdump, or not built for AVX-512 VNNI";
  std::size_t checked = 0;
  for (const auto& [name, function] : tiles) {
    // Four groups of codes: those of a sub-block of 16 columns.
    const std::vector<Instruction> loop = find_loop(function, 48);
    if (loop.empty()) continue;  // the same tile for another set of instructions
    ++checked;
    for (const Instruction& instruction : loop) {
      EXPECT_FALSE(has(instruction, "%zmm") && has(instruction, "(%rsp)"))
          << name << instruction.text;
    }
  }
  EXPECT_GE(checked, 6u);
}

}  // namespace
