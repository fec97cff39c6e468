// SPDX-License-Identifier: MIT
// Runs the built program as a shell would and looks at its two streams and its exit status.
#include "planner/cli/program_test.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "hwdb/json.h"
#include "hwdb/testing/gguf_builder.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/cli/command_table.h"
#include "planner/report/escape.h"

namespace cli {
namespace {

std::string code_of(const ProgramRun& run) {
  const std::size_t open = run.err.find('['), close = run.err.find(']');
  if (!run.err.starts_with("error[") || close == std::string::npos) return "";
  return run.err.substr(open + 1, close - open - 1);
}

TEST(Program, HelpShowsExamplesFirstAndOnlyCommandsThatWork) {
  const ProgramRun help = run_program("--help");
  EXPECT_EQ(help.status, 0);
  EXPECT_EQ(help.err, "");
  EXPECT_LT(help.out.find("tokwatt fit --on"), help.out.find("commands"));
  for (const CommandInfo& command : commands()) {
    EXPECT_NE(help.out.find("\n  " + std::string(command.name)), std::string::npos) << command.name;
    const ProgramRun own = run_program(std::string(command.name) + " --help");
    EXPECT_EQ(own.status, 0);
    EXPECT_LT(own.out.find("  tokwatt " + std::string(command.name)), own.out.find("usage:"));
    EXPECT_EQ(run_program("help " + std::string(command.name)).out, own.out);
    std::istringstream lines(own.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
  }
  EXPECT_TRUE(run_program("--version").out.starts_with("tokwatt "));
}

TEST(Program, UsageErrorsAreOneLineWithTheNearestName) {
  struct Case {
    const char *arguments, *code, *says;
  };
  for (const Case& c : {
           Case{"fti", "usage.unknown_command", "fit"},
           Case{"x.gguf", "usage.unknown_command", "tokwatt plan x.gguf"},
           Case{"fit --jsn", "usage.unknown_flag", "--json"},
           Case{"fit --min-tsp 3", "usage.unknown_flag", "--min-tps"},
           Case{"list gpus -ngl 3", "usage.unknown_flag", "list does not take"},
           Case{"plan", "usage.arguments", "MODEL"},
           Case{"plan a b", "usage.arguments", "\"b\""},
           Case{"--json fit", "usage.arguments", "the command comes first"},
           Case{"fit --top", "usage.missing_value", "--top"},
           Case{"fit --top --json", "usage.missing_value", "--top"},
           Case{"fit --top zero", "usage.value", "whole number"},
           Case{"fit --top 0", "usage.value", "whole number"},
           Case{"fit --json=1", "usage.value", "takes no value"},
           Case{"fit --format xml", "usage.value", "json"},
           Case{"fit --use games", "usage.value", "agent"},
           Case{"fit --hours nan", "usage.value", "0 to 24"},
           Case{"fit --hours 25", "usage.value", "0 to 24"},
           Case{"fit -c 99999999999999999999", "usage.value", "whole number"},
           Case{"fit --prompt 0", "usage.value", "whole number"},
           Case{"fit --cached 110%", "usage.value", "0.9 or 90%"},
           Case{"fit --cached 27000", "usage.value", "0.9 or 90%"},
           Case{"fit --cached %", "usage.value", "0.9 or 90%"},
           Case{"fit --power-limit 2", "usage.value", "5 to 2000"},
           Case{"fit --power-limit much", "usage.value", "5 to 2000"},
           Case{"plan x --acceptance 1.5", "usage.value", "0.9 or 90%"},
           Case{"fit --acceptance 0.7", "usage.unknown_flag", "fit does not take"},
           Case{"fit -ts 0,0", "usage.value", "shares"},
           Case{"fit -ctk q9", "usage.value", "q8_0"},
           Case{"fit --check speed=3", "usage.check", "decode"},
           Case{"fit --check 'decode>=fast'", "usage.check", "a number"},
           Case{"fit --check ''", "usage.missing_value", "TERMS"},
           Case{"list gpu", "usage.value", "gpus"},
       }) {
    const ProgramRun run = run_program(c.arguments);
    EXPECT_EQ(run.status, 2) << c.arguments;
    EXPECT_EQ(code_of(run), c.code) << c.arguments << ": " << run.err;
    EXPECT_NE(run.err.find(c.says), std::string::npos) << c.arguments << ": " << run.err;
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    if (std::string_view(c.arguments).find("json") == std::string_view::npos) {
      EXPECT_EQ(run.out, "") << c.arguments;
    }
  }
}

TEST(Program, LlamaCppSpellingsAreTaken) {
  const std::string base = "plan llama-3.1-8b --on 'RTX 3090' --json ";
  const ProgramRun longer = run_program(base + "--ctx-size 8192 --n-gpu-layers 20 --flash-attn on");
  EXPECT_EQ(longer.status, 0) << longer.err;
  EXPECT_EQ(run_program(base + "-c 8192 -ngl 20 -fa on").out, longer.out);
  EXPECT_EQ(run_program(base + "-c 8k -ngl 20 -fa").out, longer.out);
  EXPECT_EQ(run_program("plan -fa llama-3.1-8b --on=RTX\\ 3090 --json -c 8k --gpu-layers 20").out,
            longer.out);
  EXPECT_NE(longer.out.find("\"n_gpu_layers\":20"), std::string::npos) << longer.out;
  EXPECT_EQ(run_program(base + "-ngl -1").status, 0);
}

TEST(Program, TensorOverridesByPatternAndDevice) {
  const std::string plan = "plan qwen3-30b-a3b --on 'RTX 3060' --json ";
  const ProgramRun all = run_program(plan + "-ot '.ffn_.*_exps.=CPU'");
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_EQ(all.out, run_program(plan + "--n-cpu-moe 48").out);
  EXPECT_EQ(all.out, run_program(plan + "--cpu-moe").out);
  EXPECT_EQ(all.out, run_program(plan + "-ncmoe 48").out);
  // Given twice, the first that names a tensor decides.
  const ProgramRun two = run_program(plan + "-ot 'blk\\.[0-3]\\.=CUDA0' -ot exps=CPU");
  EXPECT_EQ(two.status, 0) << two.err;
  EXPECT_NE(two.out.find("-ot 'blk\\\\.[0-3]\\\\.=CUDA0,exps=CPU'"), std::string::npos) << two.out;
  const ProgramRun other = run_program(plan + "-ot exps=Vulkan0");
  EXPECT_EQ(other.status, 2);
  EXPECT_EQ(code_of(other), "usage.value");
  EXPECT_NE(other.out.find("this machine has CPU, CUDA0"), std::string::npos) << other.out;
  EXPECT_EQ(code_of(run_program(plan + "-ot '(exps=CPU'")), "usage.value");
}

TEST(Program, DraftsInOldAndNewSpellings) {
  const std::string plan = "plan llama-3.1-8b --on 'RTX 3090' --json ";
  const ProgramRun draft =
      run_program(plan + "--draft llama-3.2-1b --draft-max 5 -ctkd q8_0 -ctvd q8_0");
  EXPECT_EQ(draft.status, 0) << draft.err;
  EXPECT_EQ(run_program(plan + "-md llama-3.2-1b --draft 5 --cache-type-k-draft q8_0 "
                               "--spec-draft-type-v q8_0")
                .out,
            draft.out);
  EXPECT_EQ(run_program(plan + "--spec-draft-model llama-3.2-1b --spec-draft-n-max 5 "
                               "--spec-draft-type-k q8_0 -ctvd q8_0")
                .out,
            draft.out);
  EXPECT_NE(draft.out.find("\"kind\":\"draft model\""), std::string::npos) << draft.out;
  EXPECT_EQ(code_of(run_program(plan + "--spec-type draft-mtp")), "usage.value");
  EXPECT_EQ(code_of(run_program(plan + "--mmproj /nonexistent.gguf")), "file.open");
  EXPECT_EQ(code_of(run_program(plan + "--lora rank=0")), "usage.value");
}

TEST(Program, ErrorsHaveCodesAndStatuses) {
  const ProgramRun rig = run_program("fit --on 'RTX 40900'");
  EXPECT_EQ(rig.status, 2);
  EXPECT_EQ(code_of(rig), "name.unknown");
  EXPECT_NE(rig.err.find("\nhint: "), std::string::npos);
  const ProgramRun model = run_program("plan no-such-model --on 'RTX 3090'");
  EXPECT_EQ(model.status, 2);
  EXPECT_EQ(code_of(model), "name.unknown");
  const ProgramRun file = run_program("inspect ./not-there.gguf");
  EXPECT_EQ(file.status, 3);
  EXPECT_EQ(code_of(file), "file.open");
  EXPECT_EQ(run_program("inspect /dev/zero").status, 3);
  EXPECT_EQ(run_program("fit --hwdb /not/there").status, 3);
}

TEST(Program, JsonIsOneDocumentAlsoOnFailure) {
  for (const char* arguments : {"fit --on nonsense --json", "plan --json", "fti --json",
                                "inspect ./not-there.gguf --format json"}) {
    const ProgramRun run = run_program(arguments);
    EXPECT_NE(run.status, 0);
    const auto json = hwdb::parse_json(run.out, "stdout");
    ASSERT_TRUE(json) << arguments << ": " << run.out;
    EXPECT_EQ(*json->find("schema")->as_string(), "1.0");
    EXPECT_EQ(*json->find("error")->find("code")->as_string(), code_of(run)) << arguments;
    EXPECT_NE(json->find("error")->find("message"), nullptr);
  }
}

TEST(Program, HostileTextIsShownEscaped) {
  const ProgramRun run = run_program("plan $'./a\\n\\e[31mb.gguf'");
  EXPECT_EQ(run.status, 3);
  EXPECT_NE(run.err.find("a\\x0a\\x1b[31mb.gguf"), std::string::npos) << run.err;
  EXPECT_EQ(run.err.find('\x1b'), std::string::npos);
}

TEST(Program, FullDiskClosedPipeAndClosedStdout) {
  const ProgramRun full = run_program("list gpus > /dev/full");
  EXPECT_EQ(full.status, 1);
  EXPECT_EQ(code_of(full), "output.write");
  const ProgramRun closed = run_program("list gpus >&-");
  EXPECT_EQ(closed.status, 1);
  EXPECT_EQ(code_of(closed), "output.write");
  // The pipe's reader goes away after the first line.
  const ProgramRun pipe =
      run_shell(std::string("{ ") + kProgram +
                " list models --format csv; echo $? >&2; } | head -n 1 > /dev/null");
  EXPECT_TRUE(pipe.err == "141\n" || pipe.err == "0\n") << pipe.err;
  const ProgramRun gone =
      run_shell(std::string("{ sleep 0.3; ") + kProgram + " list gpus; echo $? >&2; } | true");
  EXPECT_EQ(gone.err, "141\n");
  EXPECT_EQ(run_program("list gpus 4090 <&- 2>&-").status, 0);
  EXPECT_EQ(run_program("list gpus -o /not/there/x").status, 1);
}

TEST(Program, OutputGoesToAFile) {
  const auto path = std::filesystem::path(testing::TempDir()) / "tokwatt_list.csv";
  const ProgramRun run = run_program("list gpus 3090 --format csv -o " + path.string());
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.out, "");
  std::ifstream in(path);
  std::string head;
  std::getline(in, head);
  EXPECT_TRUE(head.starts_with("id,name,memory_bytes")) << head;
  EXPECT_EQ(run_program("list gpu -o " + path.string()).status, 2);
  EXPECT_TRUE(std::ifstream(path).peek() == 'i') << "a failed command must leave the file alone";
  std::filesystem::remove(path);
}

TEST(Program, ColourIsForTerminals) {
  EXPECT_EQ(run_program("list gpus 3090").out.find('\x1b'), std::string::npos);
  EXPECT_NE(run_program("list gpus 3090 --color always").out.find('\x1b'), std::string::npos);
}

TEST(Program, ReportsFitThePage) {
  for (const char* arguments :
       {"fit --on 'RTX 3090'", "plan llama-3.1-8b --on '2x RTX 3090'", "list gpus rtx", "list cpus",
        "list models", "list quants", "list tariffs", "list apis", "list systems", "list accuracy",
        "plan llama-3.1-8b --on '2x RTX 3090' -np 4 --users 8 --why",
        "fit --on 'RTX 3090' --use agent", "quants llama-3.1-8b --on 'RTX 3060'",
        "bill llama-3.1-8b --on 'RTX 3090'"}) {
    for (const std::size_t width : {80, 100}) {
      const ProgramRun run =
          run_shell("COLUMNS=" + std::to_string(width) + " " + kProgram + " " + arguments);
      EXPECT_EQ(run.status, 0) << run.err;
      std::istringstream lines(run.out);
      for (std::string line; std::getline(lines, line);) {
        const bool to_paste = line.find("llama-server") != std::string::npos ||
                              line.find("ollama") != std::string::npos ||
                              line.find("tokwatt") != std::string::npos;
        if (to_paste) continue;
        EXPECT_LE(report::display_width(line), width) << arguments << ": " << line;
      }
    }
  }
}

TEST(Program, CheckTurnsAPlanIntoAStatus) {
  const std::string plan = "plan llama-3.1-8b --on 'RTX 3090' ";
  EXPECT_EQ(run_program(plan + "--check 'decode>=20,fits=gpu,cost<=30'").status, 0);
  const ProgramRun slow = run_program(plan + "--check 'fits=gpu,decode>=100000'");
  EXPECT_EQ(slow.status, 7);
  EXPECT_EQ(code_of(slow), "check.not_met");
  EXPECT_NE(slow.err.find("decode>=100000 (is "), std::string::npos) << slow.err;
  EXPECT_EQ(slow.err.find("fits=gpu"), std::string::npos) << slow.err;
  EXPECT_NE(slow.out.find("RTX 3090"), std::string::npos);
  EXPECT_EQ(run_program(plan + "--check 'ctx>=4k,ttft<5,size<10GiB,watts>1,prefill>1'").status, 0);
  EXPECT_EQ(run_program(plan + "--check 'fits>=offload'").status, 0);
  EXPECT_EQ(run_program(plan + "--check 'fits=no'").status, 7);
}

TEST(Program, BatchAnswersInOrderAndNeverStops) {
  const ProgramRun run = run_shell(
      "printf '%s\\n' '{\"id\":1,\"model\":\"llama-3.1-8b\",\"on\":\"RTX 3090\"}' 'garbage' '' "
      "'{\"id\":\"b\",\"model\":\"nope\",\"on\":\"RTX 3090\"}' '{\"id\":3,\"n_ctx\":0}' "
      "'{\"id\":4,\"model\":\"llama-3.1-8b\",\"on\":\"RTX 3090\",\"n_ctx\":8192}' | " +
      std::string(kProgram) + " batch -");
  EXPECT_EQ(run.status, 1);
  std::istringstream lines(run.out);
  std::vector<hwdb::Json> answers;
  for (std::string line; std::getline(lines, line);) {
    auto json = hwdb::parse_json(line, "line");
    ASSERT_TRUE(json) << line;
    answers.push_back(std::move(*json));
  }
  ASSERT_EQ(answers.size(), 5u);
  EXPECT_EQ(answers[0].find("ok")->as_bool(), true);
  EXPECT_EQ(*answers[1].find("error")->find("code")->as_string(), "json.syntax");
  EXPECT_TRUE(answers[1].find("id")->is_null());
  EXPECT_EQ(*answers[2].find("error")->find("code")->as_string(), "name.unknown");
  EXPECT_EQ(*answers[2].find("id")->as_string(), "b");
  EXPECT_EQ(*answers[3].find("error")->find("code")->as_string(), "scenario.range");
  EXPECT_EQ(answers[3].find("id")->as_int64(), 3);
  EXPECT_EQ(answers[4].find("id")->as_int64(), 4);
  EXPECT_GT(answers[4].find("memory")->find("total_bytes")->as_uint64(),
            answers[0].find("memory")->find("total_bytes")->as_uint64());
  EXPECT_EQ(run_shell(std::string("printf '' | ") + kProgram + " batch").status, 0);
  EXPECT_EQ(run_program("batch /not/there.jsonl").status, 3);
}

TEST(Program, BatchAndPlanSayTheSame) {
  const ProgramRun plan = run_program("plan llama-3.1-8b --on 'RTX 3090' --json");
  const ProgramRun batch = run_shell("echo '{\"model\":\"llama-3.1-8b\",\"on\":\"RTX 3090\"}' | " +
                                     std::string(kProgram) + " batch");
  ASSERT_EQ(batch.status, 0);
  const auto a = hwdb::parse_json(plan.out, "plan"), b = hwdb::parse_json(batch.out, "batch");
  ASSERT_TRUE(a && b);
  for (const hwdb::Json::Member& member : *b->as_object()) {
    ASSERT_NE(a->find(member.first), nullptr) << member.first;
    EXPECT_EQ(hwdb::write_json(*a->find(member.first)), hwdb::write_json(member.second))
        << member.first;
  }
}

TEST(Program, BatchRefusesALineThatIsTooLong) {
  const ProgramRun run = run_shell(
      "{ head -c 3000000 /dev/zero | tr '\\0' x; echo; "
      "echo '{\"model\":\"llama-3.1-8b\",\"on\":\"RTX 3090\"}'; } | " +
      std::string(kProgram) + " batch");
  EXPECT_EQ(run.status, 1);
  EXPECT_TRUE(
      run.out.starts_with("{\"id\":null,\"schema\":\"1.0\",\"ok\":false,\"error\":"
                          "{\"code\":\"json.limit\""))
      << run.out.substr(0, 200);
  EXPECT_EQ(std::ranges::count(run.out, '\n'), 2);
}

TEST(Program, BillShowsTheCeiling) {
  const ProgramRun run =
      run_program("bill --on 'gpu:vram=24GiB,bw=1008GB/s,tdp=450W' --price 0.16");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_TRUE(run.out.starts_with("450 W x 720 h x 0.16 USD = 51.84 USD\n")) << run.out;
  EXPECT_NE(run.out.find("2 h a day"), std::string::npos);
  const ProgramRun max =
      run_program("bill --on 'gpu:vram=24GiB,bw=1008GB/s,tdp=450W' --price 0.16 --max");
  EXPECT_EQ(max.out.find("2 h a day"), std::string::npos) << max.out;
}

TEST(Program, APlanThatDoesNotFitSaysWhatItWouldTake) {
  const std::string out = run_program("plan llama-3-70b --on 'RTX 4090'").out;
  EXPECT_NE(out.find("does not fit on RTX 4090 alone"), std::string::npos) << out;
  EXPECT_NE(out.find("What it would take"), std::string::npos) << out;
  EXPECT_NE(out.find("2x RTX 4090"), std::string::npos) << out;
}

TEST(Program, APriceStandsForATariff) {
  const ProgramRun run = run_program("bill --on 'RTX 4090' --max --tariff '0.30 EUR/kWh'");
  EXPECT_TRUE(run.out.starts_with("450 W x 720 h x 0.3 EUR = 97.20 EUR\n")) << run.out << run.err;
  for (const char* wrong : {"--tariff 0.30/kwh", "--tariff '0.30 euro/kWh'", "--tariff -1/kWh"}) {
    const ProgramRun refused = run_program(std::string("bill --on 'RTX 4090' ") + wrong);
    EXPECT_EQ(refused.status, 2) << wrong;
    EXPECT_EQ(code_of(refused), "name.unknown") << wrong;
  }
  EXPECT_EQ(code_of(run_program("bill --on 'RTX 4090' --price dear")), "usage.value");
}

TEST(Program, AnUnknownArchitectureGivesSizesAndNoVerdictOnTheRest) {
  const hwdb::testing::TempFolder folder;
  hwdb::testing::GgufBuilder builder;
  builder.text("general.architecture", "newarch")
      .u32("newarch.block_count", 1)
      .u32("newarch.embedding_length", 64)
      .tensor("token_embd.weight", {64, 100})
      .tensor("blk.0.attn_q.weight", {64, 64});
  const std::string path = folder.write("new.gguf", builder.build());
  const ProgramRun plan = run_program("plan " + path + " --on 'RTX 4090'");
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_NE(plan.out.find("sizes only"), std::string::npos) << plan.out;
  const auto json =
      hwdb::parse_json(run_program("plan " + path + " --on 'RTX 4090' --json").out, "");
  ASSERT_TRUE(json);
  const hwdb::Json& device = json->find("memory")->find("devices")->as_array()->front();
  EXPECT_TRUE(device.find("kv_cache_bytes")->is_null());
  EXPECT_NE(device.find("kv_cache_bytes_reason"), nullptr);
  EXPECT_TRUE(json->find("decode_tok_per_s")->is_null());
}

TEST(Program, DoctorMasksWhatNamesAPerson) {
  char host[256] = {};
  ASSERT_EQ(::gethostname(host, sizeof host - 1), 0);
  const ProgramRun run = run_program("doctor");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_NE(run.out.find("Detection"), std::string::npos);
  if (std::string(host).size() >= 5) {
    EXPECT_EQ(run.out.find(host), std::string::npos);
  }
}

TEST(Program, MachinesAreSavedAndUsedAgain) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "tokwatt_state_test";
  std::filesystem::remove_all(folder);
  const std::string state = " --state-dir " + folder.string();
  const ProgramRun save = run_program("fit --on 'RTX 3090' --save-machine office --top 1" + state);
  EXPECT_EQ(save.status, 0) << save.err;
  EXPECT_NE(run_program("list machines" + state).out.find("office"), std::string::npos);
  const ProgramRun saved = run_program("plan llama-3.1-8b --on office --json" + state);
  EXPECT_EQ(saved.status, 0) << saved.err;
  EXPECT_EQ(saved.out, run_program("plan llama-3.1-8b --on 'RTX 3090' --json").out);
  EXPECT_EQ(run_program("plan llama-3.1-8b --on office --no-state" + state).status, 2);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace cli
