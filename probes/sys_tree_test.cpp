// SPDX-License-Identifier: MIT
#include "probes/sys_tree.h"

#include <gtest/gtest.h>

#include "hwdb/json.h"
#include "probes/detect_machine.h"
#include "probes/sys_recorder.h"
#include "probes/sys_root.h"

namespace probes {
namespace {

SysTree tree_of(std::string_view text) {
  auto tree = SysTree::parse(text, "t");
  EXPECT_TRUE(tree) << (tree ? "" : tree.error().what);
  return tree ? *std::move(tree) : SysTree();
}

TEST(SysTree, ReadsAsFilesWould) {
  const SysRoot sys(
      tree_of("# remark\n/sys/a = 12\n/sys/b:\n  one\n  two\\r\n/sys/d/\n/sys/e =\n"
              "/sys/bus/x -> ../devices/pci/y\n/sys/devices/pci/y/class = 0x030000\n"
              "/sys/devices/pci/y/driver -> /nowhere/amdgpu\n/proc/t = a\\0b\\x07\\\\n\n"));
  EXPECT_FALSE(sys.is_live());
  EXPECT_EQ(sys.read_number("/sys/a"), 12u);
  EXPECT_EQ(sys.read_lines("/sys/b"), (std::vector<std::string>{"one", "two"}));
  EXPECT_TRUE(sys.exists("/sys/d"));
  EXPECT_TRUE(sys.exists("/sys/e"));
  EXPECT_FALSE(sys.read_text("/sys/e"));
  EXPECT_FALSE(sys.read_text("/sys/d"));
  EXPECT_FALSE(sys.exists("/sys/f"));
  EXPECT_FALSE(sys.exists("/sys/a/below"));
  EXPECT_EQ(sys.read_number("/sys/bus/x/class"), 0x030000u);
  EXPECT_EQ(sys.resolve("/sys/bus/x"), "/sys/devices/pci/y");
  EXPECT_EQ(sys.link_name("/sys/bus/x/driver"), "amdgpu");
  EXPECT_EQ(sys.link_name("/sys/a"), "");
  EXPECT_EQ(sys.read_text("/proc/t"), std::string("a\0b\x07\\n", 6));
  EXPECT_EQ(sys.list("/sys"), (std::vector<std::string>{"a", "b", "bus", "d", "devices", "e"}));
  EXPECT_TRUE(sys.list("/sys/a").empty());
}

TEST(SysTree, LinksInACircleLeadNowhere) {
  const SysTree tree = tree_of("/a -> b\n/b -> a\n/c -> ../../../d\n/d = 1\n");
  EXPECT_FALSE(tree.resolve("/a"));
  EXPECT_EQ(tree.resolve("/c"), "/d");  // above the root is the root
}

TEST(SysTree, WritesWhatItReads) {
  const std::string text = "/a = one\n/b/\n/c:\n  1\n  \n  3\\\\\n/d -> /a\n";
  EXPECT_EQ(tree_of(text).write(), text);
}

TEST(SysTree, OtherTextsAreRefusedWithTheLine) {
  for (const char* text :
       {"sys/a = 1\n", "/a = 1\n  more\n", "  first\n", "/../a = 1\n", "/a//b = 1\n", "word\n",
        "/a -> \n", "{\"schema\": \"1.0\"}", "/a/../b:\n  x\n"}) {
    const auto tree = SysTree::parse(text, "file");
    ASSERT_FALSE(tree) << text;
    EXPECT_EQ(tree.error().code, "row.syntax");
    EXPECT_TRUE(tree.error().what.starts_with("line ")) << tree.error().what;
  }
}

TEST(SysRecorder, ThisMachineIsDetectedTheSameFromItsRecording) {
  SysRecorder recorder;
  DetectOptions options;
  options.recorder = &recorder;
  const Detected here = detect_machine(options);
  const auto copy = SysTree::parse(recorder.tree().write(), "recording");
  ASSERT_TRUE(copy) << copy.error().what;
  EXPECT_EQ(copy->write(), recorder.tree().write());
  DetectOptions again;
  again.tree = &*copy;
  const hwdb::Machine there = detect_machine(again).machine;
  hwdb::Machine expected = here.machine;
  // What changes from moment to moment.
  expected.memory.available = there.memory.available;
  EXPECT_EQ(hwdb::write_json(hwdb::machine_to_json(there)),
            hwdb::write_json(hwdb::machine_to_json(expected)));
  EXPECT_GT(there.memory.total.value.value, 0u);
  EXPECT_GT(there.cpu.threads, 0u);
}

TEST(SysRecorder, KeepsNoSerialNumbersAndOnlyWhatDetectionReads) {
  SysRecorder recorder;
  recorder.file("/proc/self/status", "Name:\tx\nUid:\t1000\nCpus_allowed_list:\t0-3\n");
  recorder.file("/proc/self/mountinfo",
                "1 2 0:3 / /home/me rw - ext4 /dev/x rw\n30 24 0:26 / /sys/fs/cgroup rw - cgroup2 "
                "cgroup2 rw\n");
  recorder.file("/proc/cpuinfo", "model name : X\nSerial\t\t: 10000000abcdef\n");
  const std::string text = recorder.tree().write();
  EXPECT_NE(text.find("Cpus_allowed_list"), std::string::npos);
  EXPECT_NE(text.find("cgroup2"), std::string::npos);
  for (const char* absent : {"1000", "/home", "abcdef"})
    EXPECT_EQ(text.find(absent), std::string::npos) << text;
}

}  // namespace
}  // namespace probes
