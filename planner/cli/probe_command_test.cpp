// SPDX-License-Identifier: MIT
// Runs `probe` and `doctor` as a shell would.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "hwdb/json.h"
#include "hwdb/machine.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/cli/mask.h"
#include "planner/cli/probe_report.h"
#include "planner/cli/profile.h"
#include "planner/cli/program_test.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

const std::string kMachines = std::string(TOKWATT_SOURCE_DIR) + "/tests/fixtures/machines/";

hwdb::Machine machine_in(const ProgramRun& run) {
  const auto json = hwdb::parse_json(run.out, "stdout");
  EXPECT_TRUE(json) << run.out << run.err;
  if (!json || json->find("machine") == nullptr) return {};
  auto machine = hwdb::machine_from_json(*json->find("machine"), "machine");
  EXPECT_TRUE(machine) << (machine ? "" : machine.error().where + machine.error().what);
  return machine ? *std::move(machine) : hwdb::Machine();
}

std::string slurp(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string code_of(const ProgramRun& run) {
  const std::size_t close = run.err.find(']');
  return run.err.starts_with("error[") ? run.err.substr(6, close - 6) : "";
}

TEST(ProbeCommand, SaysWhatIsInARecordedMachine) {
  const ProgramRun run = run_program("probe --json --sysroot " + kMachines + "strix-halo-large");
  EXPECT_EQ(run.status, 0) << run.err;
  const hwdb::Machine m = machine_in(run);
  ASSERT_EQ(m.gpus.size(), 1u);
  EXPECT_EQ(m.gpus[0].catalog_id, "amd-radeon-8060s");
  EXPECT_EQ(m.gpus[0].carve_out->value.value, 96 * hwdb::kGiB);
  EXPECT_TRUE(m.readings.empty());
  EXPECT_NEAR(m.memory.bandwidth.value.value, 256e9, 1e6);
  // The same machine for a plan.
  const ProgramRun plan =
      run_program("plan llama-3.1-8b --sysroot " + kMachines + "strix-halo-large");
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_NE(plan.out.find("8060S"), std::string::npos) << plan.out;
}

TEST(ProbeCommand, ThisMachineIsDetectedWithAReasonForEachStep) {
  const ProgramRun run = run_program("probe --json");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_GT(machine_in(run).cpu.threads, 0u);
  const auto json = hwdb::parse_json(run.out, "stdout");
  ASSERT_TRUE(json);
  const hwdb::Json::Array* steps = json->find("detection")->find("steps")->as_array();
  ASSERT_NE(steps, nullptr);
  EXPECT_GE(steps->size(), 14u);
  for (const hwdb::Json& step : *steps) {
    const std::string& status = *step.find("status")->as_string();
    EXPECT_TRUE(status == "ok" || !step.find("reason")->as_string()->empty()) << status;
  }
}

TEST(ProbeCommand, OtherMachinesAreShownButNotMeasured) {
  EXPECT_EQ(machine_in(run_program("probe --json --on 'RTX 3090'")).gpus.size(), 1u);
  for (const char* arguments :
       {"probe --measure --on 'RTX 3090'", "probe --full", "probe --seconds 3",
        "probe --measure --show", "probe --show --on 'RTX 3090'", "doctor report.json"}) {
    const ProgramRun run = run_program(arguments);
    EXPECT_EQ(run.status, 2) << arguments << run.err;
    EXPECT_EQ(code_of(run), "usage.arguments") << arguments;
  }
  EXPECT_EQ(code_of(run_program("probe --seconds 0 --measure")), "usage.value");
  const ProgramRun nowhere = run_program("probe --sysroot /not/there");
  EXPECT_EQ(nowhere.status, 3);
  EXPECT_EQ(code_of(nowhere), "file.open");
  const ProgramRun nothing = run_program("probe --show");
  EXPECT_EQ(nothing.status, 4);
  EXPECT_EQ(code_of(nothing), "probe.not_measured");
}

TEST(ProbeCommand, MeasuredFiguresAreKeptShownAndUsed) {
  const hwdb::testing::TempFolder folder;
  const std::string state = " --state-dir " + folder.path().string() + "/state";
  const std::string file = folder.path().string() + "/office.json";
  const ProgramRun measured =
      run_shell("cd " + folder.path().string() + " && " + kProgram +
                " probe --measure --seconds 1 --json --save " + file + state);
  ASSERT_EQ(measured.status, 0) << measured.err;
  EXPECT_NE(measured.err.find("measuring cpu."), std::string::npos) << measured.err;
  EXPECT_EQ(measured.err.find('\r'), std::string::npos);  // no animation outside a terminal
  const hwdb::Machine m = machine_in(measured);
  ASSERT_FALSE(m.readings.empty());
  // A second is enough for arithmetic; whether it is for memory, the caches decide.
  ASSERT_TRUE(m.cpu.peak_fp32);
  EXPECT_EQ(m.cpu.peak_fp32->basis, hwdb::Basis::measured);

  const hwdb::Machine shown = machine_in(run_program("probe --show --json" + state));
  EXPECT_EQ(shown.readings.size(), m.readings.size());
  ASSERT_TRUE(shown.cpu.peak_fp32);
  EXPECT_EQ(shown.cpu.peak_fp32->value.value, m.cpu.peak_fp32->value.value);
  if (m.memory.bandwidth.basis == hwdb::Basis::measured) {
    for (const std::string& note : shown.notes)
      EXPECT_EQ(note.find("Memory speed: assumed"), std::string::npos) << note;
  }
  const hwdb::Machine here = machine_in(run_program("probe --json" + state));
  ASSERT_TRUE(here.cpu.peak_fp32);
  EXPECT_EQ(here.cpu.peak_fp32->basis, hwdb::Basis::measured);
  EXPECT_FALSE(machine_in(run_program("probe --json --no-state")).cpu.peak_fp32);
  // Plans rest on it, unless they are told not to.
  const auto prefill = [&](const std::string& calibration, const std::string& flags) {
    const ProgramRun run =
        run_shell("echo '{\"model\":\"llama-3.2-3b\",\"backend\":\"cpu\",\"calibration\":\"" +
                  calibration + "\"}' | " + kProgram + " batch -" + flags);
    const auto json = hwdb::parse_json(run.out, "line");
    EXPECT_TRUE(json) << run.out << run.err;
    const hwdb::Json* rate = json ? json->find("prefill_tok_per_s") : nullptr;
    EXPECT_NE(rate, nullptr) << run.out;
    return rate != nullptr ? rate->find("likely")->as_double().value_or(0) : 0;
  };
  EXPECT_NE(prefill("auto", state), prefill("none", state));
  EXPECT_EQ(prefill("none", state), prefill("none", " --no-state"));

  // The file stands for the machine elsewhere.
  const ProgramRun plan = run_program("plan llama-3.2-3b --json --no-state --on " + file);
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_EQ(machine_in(run_program("probe --json --no-state --on " + file)).name, "office");
}

TEST(ProbeCommand, AnInterruptKeepsWhatIsDone) {
  const hwdb::testing::TempFolder folder;
  const std::string state = " --state-dir " + folder.path().string() + "/state";
  // As soon as the processor's turn has come there is something to keep.
  const ProgramRun run = run_shell("cd " + folder.path().string() + " || exit 9\n" + kProgram +
                                   " probe --measure --seconds 60 --json" + state +
                                   " 2>err & child=$!\n"
                                   "for i in $(seq 300); do grep -q 'measuring cpu' err && break; "
                                   "sleep 0.1; done\n"
                                   "kill -INT $child; wait $child; status=$?; cat err >&2; "
                                   "exit $status");
  EXPECT_EQ(run.status, 130) << run.err;
  EXPECT_NE(run.err.find("interrupted"), std::string::npos);
  const hwdb::Machine m = machine_in(run);
  std::size_t skipped = 0;
  for (const hwdb::Reading& r : m.readings)
    skipped += r.status == hwdb::ReadingStatus::skipped ? 1 : 0;
  EXPECT_GT(skipped, 0u);
  EXPECT_EQ(machine_in(run_program("probe --show --json" + state)).readings.size(),
            m.readings.size());
}

TEST(DoctorCommand, MakesAFixtureOfThisMachineAndOfAReport) {
  const hwdb::testing::TempFolder folder;
  const std::string one = folder.path().string() + "/one", two = folder.path().string() + "/two";
  const std::string report = folder.path().string() + "/report.json";
  EXPECT_EQ(run_program("doctor --quiet --record " + one).status, 0);
  EXPECT_EQ(run_program("doctor --json -o " + report).status, 0);
  const ProgramRun made = run_program("doctor " + report + " --record " + two);
  EXPECT_EQ(made.status, 0) << made.err;
  for (const std::string& at : {one, two}) {
    const ProgramRun run = run_program("probe --json --sysroot " + at);
    EXPECT_EQ(run.status, 0) << run.err;
    const auto expected = hwdb::parse_json(slurp(at + "/machine.json"), at);
    ASSERT_TRUE(expected);
    const auto recorded = hwdb::machine_from_json(*expected, at);
    ASSERT_TRUE(recorded);
    EXPECT_EQ(machine_in(run).cpu.name, recorded->cpu.name);
    EXPECT_GT(recorded->cpu.threads, 0u);
  }
  // What is there is not overwritten.
  const std::string before = slurp(one + "/tree.txt");
  EXPECT_EQ(run_program("doctor --record " + one).status, 1);
  EXPECT_EQ(slurp(one + "/tree.txt"), before);
  std::ofstream(folder.path().string() + "/other.json") << "{\"schema\":\"1.0\"}";
  EXPECT_EQ(code_of(run_program("doctor " + folder.path().string() + "/other.json --record " +
                                folder.path().string() + "/three")),
            "row.type");
}

TEST(DoctorCommand, RecordingsNameNobody) {
  Environment environment;
  environment.home = "/home/alice";
  environment.host = "wonderland";
  environment.user = "alice";
  const Mask mask(environment);
  const std::string masked = mask.recording(
      "/proc/self/cgroup = 0::/user.slice/alice/0123456789abcdef0123456789abcdef\n"
      "/sys/fs/cgroup/0123456789abcdef0123456789abcdef/memory.max = 5\n"
      "/a = GPU-12345678-1234-1234-1234-123456789abc\n"
      "/b = GPU-12345678-1234-1234-1234-123456789abd on wonderland 00:1b:44:11:3a:b7\n"
      "/sys/bus/pci/devices/0000:01:00.0/class = 0x030000\n");
  for (const char* absent : {"alice", "wonderland", "abcdef", "12345678", "1b:44"})
    EXPECT_EQ(masked.find(absent), std::string::npos) << masked;
  EXPECT_NE(masked.find("GPU-00000000-0000-0000-0000-000000000001"), std::string::npos);
  EXPECT_NE(masked.find("GPU-00000000-0000-0000-0000-000000000002"), std::string::npos);
  EXPECT_NE(masked.find("0000:01:00.0/class"), std::string::npos);
  // The group keeps one name in the path and in the file that names it.
  const std::string group(31, '0');
  EXPECT_NE(masked.find("cgroup/" + group + "1/memory.max"), std::string::npos) << masked;
}

TEST(ProbeReport, FiguresReadInTheirUnits) {
  EXPECT_EQ(reading_text(23.1e9, "B/s"), "23.1 GB/s");
  EXPECT_EQ(reading_text(1.24e12, "OP/s"), "1.24 TOPS");
  EXPECT_EQ(reading_text(12.34, "W"), "12.3 W");
  EXPECT_EQ(reading_text(2.99e9, "Hz"), "2.99 GHz");
  EXPECT_EQ(reading_text(0.956, "1"), "95.6 %");
}

TEST(Profile, AFigureThatNoModulesCanGiveIsDamage) {
  hwdb::Machine m;
  m.memory.rate_mt_per_s = 4800;
  m.memory.channels = 2;
  m.memory.bandwidth = {hwdb::BytesPerSecond(70e9), hwdb::Basis::measured, "", ""};
  EXPECT_FALSE(find_impossible_value(m));
  m.memory.bandwidth.value = hwdb::BytesPerSecond(400e9);
  EXPECT_TRUE(find_impossible_value(m));
  m.memory.channels.reset();
  EXPECT_FALSE(find_impossible_value(m));
}

}  // namespace
}  // namespace cli
