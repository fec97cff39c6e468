// SPDX-License-Identifier: MIT
#include "planner/cli/command_table.h"

#include <algorithm>
#include <array>

namespace cli {
namespace {

using Examples = std::string_view;

constexpr std::array kFitExamples = {
    Examples("tokwatt fit"),
    Examples("tokwatt fit --on \"RTX 4090\" --use code"),
    Examples("tokwatt fit --on \"2x RTX 3090, 64GB DDR4-3200\" --min-tps 25 --top 20"),
};
constexpr std::array kPlanExamples = {
    Examples("tokwatt plan llama-3.1-8b --on \"RTX 4090\""),
    Examples("tokwatt plan model.gguf -c 32768 -ctk q8_0 -ctv q8_0"),
    Examples("tokwatt plan llama-3.3-70b --quant Q4_K_M --on \"2x RTX 3090\" --why"),
    Examples("tokwatt plan model.gguf --check 'fits=gpu,decode>=20' --quiet"),
};
constexpr std::array kQuantsExamples = {
    Examples("tokwatt quants llama-3.1-8b --on \"RTX 3060\""),
    Examples("tokwatt quants model-F16.gguf --measure -f text.txt      what each preset loses"),
    Examples(
        "tokwatt quants model-F16.gguf --measure --against model-Q4_K_M.gguf,model-IQ4_XS.gguf"),
};
constexpr std::array kInspectExamples = {
    Examples("tokwatt inspect model.gguf"),
    Examples("tokwatt inspect ollama:llama3.1:8b"),
};
constexpr std::array kListExamples = {
    Examples("tokwatt list gpus 4090        tables: gpus cpus models quants tariffs"),
    Examples("                              apis links systems accuracy machines"),
    Examples("tokwatt list models qwen"),
    Examples("tokwatt list tariffs --format csv"),
};
constexpr std::array kBillExamples = {
    Examples("tokwatt bill --on \"RTX 4090\""),
    Examples("tokwatt bill llama-3.1-8b --on \"RTX 4090\" --use agent --hours 8"),
    Examples("tokwatt bill --on \"RTX 4090\" --max --price 0.16"),
};
constexpr std::array kBatchExamples = {
    Examples("tokwatt batch scenarios.jsonl > results.jsonl"),
    Examples("echo '{\"model\":\"llama-3.1-8b\",\"on\":\"RTX 4090\"}' | tokwatt batch -"),
};
constexpr std::array kVerifyExamples = {
    Examples("tokwatt verify server.log"),
    Examples("tokwatt verify http://127.0.0.1:8080"),
    Examples("tokwatt verify server.log --model llama-3.1-8b --on \"RTX 4090\" --tolerance 3%"),
    Examples("llama-server -m model.gguf -lv 4 2>&1 | tee server.log    the log it needs"),
    Examples("tokwatt verify --speed http://127.0.0.1:8080    sends prompts and times the answers"),
    Examples(
        "tokwatt verify --speed http://127.0.0.1:8000/v1 --model model.gguf    any such stream"),
    Examples("tokwatt verify --speed llama-bench.json --tolerance 10%"),
};
constexpr std::array kProbeExamples = {
    Examples("tokwatt probe"),
    Examples("tokwatt probe --measure            15 seconds; plans use the figures from then on"),
    Examples("tokwatt probe --show"),
    Examples("tokwatt probe --save office.json    and elsewhere: tokwatt fit --on office.json"),
};
constexpr std::array kDoctorExamples = {
    Examples("tokwatt doctor"),
    Examples("tokwatt doctor --json -o report.json"),
    Examples("tokwatt doctor report.json --record tests/fixtures/machines/my-machine"),
};

constexpr std::array kSynthExamples = {
    Examples("tokwatt synth llama-3.1-8b --quant Q4_K_M --layers 4 -o llama-4-layers.gguf"),
    Examples("tokwatt synth qwen3-30b-a3b --layers 2 --experts 16 --vocab 32000 -o small.gguf"),
    Examples("tokwatt synth model.gguf --quant Q8_0 -o random.gguf"),
};
constexpr std::array kRunExamples = {
    Examples("tokwatt run model.gguf -p \"Why is the sky blue?\""),
    Examples("tokwatt run model.gguf -f question.txt -n 200 --temp 0"),
    Examples("tokwatt run model.gguf -p \"Once upon a time\" --raw --json"),
};
constexpr std::array kBenchExamples = {
    Examples("tokwatt bench model.gguf"),
    Examples("tokwatt bench model.gguf -p 512,2048 -n 128 -d 0,4096 -t 4,8"),
    Examples("tokwatt bench model.gguf -p 0 -n 64 -npl 1-16*2     sequences answered together"),
    Examples("tokwatt bench model.gguf -o json                   as llama-bench prints it"),
    Examples("tokwatt bench model.gguf --against-plan            what was predicted, beside it"),
};
constexpr std::array kPerplexityExamples = {
    Examples("tokwatt perplexity model.gguf -f text.txt"),
    Examples("tokwatt perplexity model-Q4_K_M.gguf -f text.txt --kl-divergence model-F16.gguf"),
    Examples("tokwatt perplexity model.gguf -f text.txt -c 2048 --chunks 20"),
};

constexpr std::array kQuantizeExamples = {
    Examples("tokwatt quantize model-F16.gguf model-Q4_K_M.gguf Q4_K_M"),
    Examples("tokwatt quantize model-F16.gguf small.gguf IQ4_XS --dry-run"),
    Examples("tokwatt quantize model-F16.gguf model.gguf Q4_K_M --output-tensor-type Q8_0"),
};

constexpr std::array kCalibrateExamples = {
    Examples("tokwatt calibrate                      a minute; plans use it from then on"),
    Examples("tokwatt calibrate llama-3.1-8b --quant Q4_K_M"),
    Examples("tokwatt calibrate --full"),
    Examples("tokwatt calibrate --from llama-bench.json"),
    Examples("tokwatt calibrate --endpoint http://127.0.0.1:8080"),
    Examples("tokwatt calibrate --show"),
};

constexpr unsigned kAlways = kOutput | kCatalog;
constexpr unsigned kPlanning = kAlways | kRig | kRun | kWorkload | kMoney | kWhy;

constexpr std::array kCommands = {
    CommandInfo{"fit", "", "what fits this machine, best first", kFitExamples,
                kPlanning | kCheck | kQuant | kFit, 0, 0},
    CommandInfo{"plan", "MODEL", "one model: memory, speed, watts, money and what to type",
                kPlanExamples, kPlanning | kCheck | kQuant | kPlan, 1, 1},
    CommandInfo{"quants", "MODEL", "every quantization of a model side by side", kQuantsExamples,
                kPlanning | kMeasure, 1, 1},
    CommandInfo{"bill", "[MODEL]", "what running it adds to the power bill", kBillExamples,
                kPlanning | kQuant | kBill, 0, 1},
    CommandInfo{"verify", "LOG|URL|FILE",
                "was the plan right? against a server's log or the live server", kVerifyExamples,
                kAlways | kRig | kRun | kQuant | kVerify, 1, 1},
    CommandInfo{"inspect", "FILE", "what is in a model file", kInspectExamples, kAlways, 1, 1},
    CommandInfo{"list", "TABLE [FILTER]", "what is known: gpus, models, tariffs and more",
                kListExamples, kAlways, 1, 2},
    CommandInfo{"batch", "[FILE]", "one JSON scenario a line in, one JSON result a line out",
                kBatchExamples, kAlways, 0, 1},
    CommandInfo{"probe", "", "what is in this machine, and how fast it really is", kProbeExamples,
                kAlways | kRig | kProbe, 0, 0},
    CommandInfo{"calibrate", "[MODEL]", "fit plans to this machine by measuring the engine on it",
                kCalibrateExamples, kAlways | kQuant | kCalibrate, 0, 1},
    CommandInfo{"run", "FILE", "answers a prompt, then says how fast it was", kRunExamples,
                kAlways | kEngine | kGenerate, 1, 1},
    CommandInfo{"bench", "FILE...", "how fast the engine runs a file, measured", kBenchExamples,
                kAlways | kBench, 1, 64},
    CommandInfo{"perplexity", "FILE", "how well a file predicts a text, or how far from another",
                kPerplexityExamples, kAlways | kEngine | kScore, 1, 1},
    CommandInfo{"doctor", "[REPORT]", "what was detected here and how; for bug reports",
                kDoctorExamples, kAlways | kDoctor, 0, 1},
    CommandInfo{"synth", "MODEL", "make a GGUF file of a model's shape with random weights",
                kSynthExamples, kAlways | kQuant | kSynth, 1, 1},
    CommandInfo{"quantize", "IN OUT PRESET", "write a GGUF file anew in smaller types",
                kQuantizeExamples, kAlways | kQuantize, 3, 3},
};

}  // namespace

std::span<const CommandInfo> commands() {
  return kCommands;
}

const CommandInfo* find_command(std::string_view name) {
  const auto it = std::ranges::find(kCommands, name, &CommandInfo::name);
  return it != kCommands.end() ? &*it : nullptr;
}

}  // namespace cli
