// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/pre_tokenizer.h"

namespace engine {
namespace {

using namespace char_class;
using Kind = WordPattern::Kind;

constexpr CharSet any_of(std::uint32_t classes) {
  return {classes, false};
}
constexpr CharSet none_of(std::uint32_t classes) {
  return {classes, true};
}

constexpr WordPattern run(CharSet before, CharSet body, CharSet after = {}, std::uint8_t max = 0) {
  return {Kind::run, before, body, after, 1, max, false};
}
constexpr WordPattern run_of(std::uint32_t classes, std::uint8_t max = 0) {
  return run({}, any_of(classes), {}, max);
}
constexpr WordPattern of_kind(Kind kind) {
  return {kind, {}, {}, {}, 1, 0, false};
}
constexpr WordPattern cased(bool takes_contraction) {
  return {Kind::cased_letters, none_of(cr_lf | letter | number), {}, {}, 1, 0, takes_contraction};
}

constexpr CharSet kBlank = any_of(blank), kWhite = any_of(white), kLineEnds = any_of(cr_lf);
constexpr CharSet kSigns = none_of(white | letter | number);
constexpr CharSet kBeforeLetters = none_of(cr_lf | letter | number);
constexpr WordPattern kContraction = of_kind(Kind::contraction),
                      kAnyContraction = of_kind(Kind::contraction_nocase),
                      kLineEnd = of_kind(Kind::line_ends), kWhiteSpace = of_kind(Kind::white_space),
                      kLetters = run(kBeforeLetters, any_of(letter)),
                      kSignsToLineEnd = run(kBlank, kSigns, kLineEnds),
                      kSignsToSlash = run(kBlank, kSigns, any_of(cr_lf | slash));

constexpr WordPattern kGpt2[] = {kContraction, run(kBlank, any_of(letter)),
                                 run(kBlank, any_of(number)), run(kBlank, kSigns), kWhiteSpace};
constexpr WordPattern kLlama3[] = {kAnyContraction, kLetters, run_of(number, 3),
                                   kSignsToLineEnd, kLineEnd, kWhiteSpace};
constexpr WordPattern kQwen2[] = {kAnyContraction, kLetters, run_of(number, 1),
                                  kSignsToLineEnd, kLineEnd, kWhiteSpace};
constexpr WordPattern kQwen35[] = {
    kAnyContraction,   run(kBeforeLetters, any_of(letter | mark)),
    run_of(number, 1), run(kBlank, none_of(white | letter | mark | number), kLineEnds),
    kLineEnd,          kWhiteSpace};
constexpr WordPattern kSeedCoder[] = {kAnyContraction,     kLetters, run_of(number, 1),
                                      run(kBlank, kSigns), kLineEnd, kWhiteSpace};
constexpr WordPattern kMiniCpm5[] = {kAnyContraction, kLetters, run_of(number),
                                     kSignsToLineEnd, kLineEnd, kWhiteSpace};
constexpr WordPattern kUfakzeka[] = {kLetters, run_of(number, 1), kSignsToLineEnd, kLineEnd,
                                     kWhiteSpace};
constexpr WordPattern kTekken[] = {cased(false), run_of(number, 1), kSignsToSlash, kLineEnd,
                                   kWhiteSpace};
constexpr WordPattern kGpt4o[] = {cased(true), run_of(number, 3), kSignsToSlash, kLineEnd,
                                  kWhiteSpace};
constexpr WordPattern kDeepseekV3[] = {
    {Kind::signed_run, any_of(ascii_sign), any_of(ascii_lower | ascii_upper), {}, 1, 0, false},
    run(none_of(cr_lf | letter | punctuation | symbol), any_of(letter | mark)),
    run(kBlank, any_of(punctuation | symbol), kLineEnds),
    kLineEnd,
    kWhiteSpace};
constexpr WordPattern kSentenceWords[] = {run(kBlank, none_of(white | sentence_sign))};
constexpr WordPattern kLines[] = {run({}, none_of(newline)), run_of(newline)};

constexpr WordPattern kNumber1[] = {run_of(number, 1)};
constexpr WordPattern kNumber3[] = {run_of(number, 3)};
constexpr WordPattern kNumbers[] = {run_of(number)};
constexpr WordPattern kLineEnd1[] = {run_of(cr_lf, 1)};
constexpr WordPattern kThreeDigits[] = {{Kind::run, {}, any_of(ascii_digit), {}, 3, 3, false}};
constexpr WordPattern kFalconSigns[] = {run_of(punctuation | math_sign | backtick)};
constexpr WordPattern kDefaultSigns[] = {run_of(punctuation | math_sign)};
constexpr WordPattern kDeepseekLetters[] = {run(kWhite, any_of(deepseek_letter))};
constexpr WordPattern kDeepseekSigns[] = {run(kWhite, any_of(deepseek_sign))};
constexpr WordPattern kFinalWhite[] = {of_kind(Kind::final_white_space)};
constexpr WordPattern kCjkRun[] = {run_of(cjk)};
constexpr WordPattern kHanKana[] = {run_of(han_kana)};
constexpr WordPattern kWhiteLetters[] = {run(kWhite, any_of(letter))};
constexpr WordPattern kWhitePunctuation[] = {run(kWhite, any_of(punctuation))};

using Pass = PreTokenizerPass;
constexpr Pass kDefaultPasses[] = {kDefaultSigns, kGpt2, kNumbers, kThreeDigits};
constexpr Pass kGpt2Passes[] = {kGpt2};
constexpr Pass kLlama3Passes[] = {kLlama3};
constexpr Pass kQwen2Passes[] = {kQwen2};
constexpr Pass kQwen35Passes[] = {kQwen35};
constexpr Pass kSeedCoderPasses[] = {kSeedCoder};
constexpr Pass kMiniCpm5Passes[] = {kNumber3, kMiniCpm5};
constexpr Pass kUfakzekaPasses[] = {kUfakzeka};
constexpr Pass kTekkenPasses[] = {kTekken};
constexpr Pass kGpt4oPasses[] = {kGpt4o};
constexpr Pass kDigitsGpt2Passes[] = {kNumber1, kGpt2};
constexpr Pass kFalconPasses[] = {kFalconSigns, kGpt2, kThreeDigits};
constexpr Pass kDeepseekLlmPasses[] = {kLineEnd1,   kDeepseekLetters, kDeepseekSigns,
                                       kFinalWhite, kCjkRun,          kNumbers};
constexpr Pass kDeepseekCoderPasses[] = {kLineEnd1, kWhiteLetters, kWhitePunctuation, kCjkRun,
                                         kNumber1};
constexpr Pass kDeepseekV3Passes[] = {kNumber3, kHanKana, kDeepseekV3};
constexpr Pass kSentencePasses[] = {kSentenceWords};
constexpr Pass kVikingPasses[] = {kSentenceWords, kNumber1};
constexpr Pass kLagunaPasses[] = {kLines, kQwen2};
constexpr Pass kLinePasses[] = {kLines};

constexpr PreTokenizer plain(std::string_view name, std::span<const Pass> passes) {
  return {name, passes, false, false, false};
}
constexpr PreTokenizer whole(std::string_view name, std::span<const Pass> passes, bool adds_bos) {
  return {name, passes, true, adds_bos, false};
}

// Which name has which rule is what llama.cpp v0.5.0 decides; so are the flags.
constexpr PreTokenizer kRules[] = {
    plain("default", kDefaultPasses),
    whole("llama-bpe", kLlama3Passes, true),
    whole("llama3", kLlama3Passes, true),
    whole("llama-v3", kLlama3Passes, true),
    whole("falcon3", kLlama3Passes, true),
    whole("falcon-h1", kLlama3Passes, true),
    whole("pixtral", kLlama3Passes, true),
    whole("midm-2.0", kLlama3Passes, true),
    whole("lfm2", kLlama3Passes, true),
    whole("jina-v5-nano", kLlama3Passes, true),
    plain("dbrx", kLlama3Passes),
    plain("smaug-bpe", kLlama3Passes),
    plain("glm4", kLlama3Passes),
    plain("chatglm-bpe", kLlama3Passes),
    whole("minicpm5", kMiniCpm5Passes, false),
    plain("qwen2", kQwen2Passes),
    plain("deepseek-r1-qwen", kQwen2Passes),
    plain("kormo", kQwen2Passes),
    plain("f2llmv2", kQwen2Passes),
    plain("megrez", kQwen2Passes),
    plain("stablelm2", kQwen2Passes),
    plain("hunyuan", kQwen2Passes),
    plain("solar-open", kQwen2Passes),
    plain("grok-2", kQwen2Passes),
    plain("bailingmoe", kQwen2Passes),
    plain("bailingmoe2", kQwen2Passes),
    plain("llada-moe", kQwen2Passes),
    plain("qwen35", kQwen35Passes),
    plain("seed-coder", kSeedCoderPasses),
    plain("ufakzeka", kUfakzekaPasses),
    plain("laguna", kLagunaPasses),
    plain("gpt-2", kGpt2Passes),
    plain("phi-2", kGpt2Passes),
    plain("jina-es", kGpt2Passes),
    plain("jina-de", kGpt2Passes),
    plain("jina-v2-es", kGpt2Passes),
    plain("jina-v2-de", kGpt2Passes),
    plain("jina-v1-en", kGpt2Passes),
    plain("jina-v2-code", kGpt2Passes),
    plain("roberta-bpe", kGpt2Passes),
    plain("gigachat", kGpt2Passes),
    plain("a.x-4.0", kGpt2Passes),
    plain("mellum", kGpt2Passes),
    plain("modern-bert", kGpt2Passes),
    plain("exaone4", kGpt2Passes),
    plain("mpt", kGpt2Passes),
    plain("olmo", kGpt2Passes),
    plain("jais", kGpt2Passes),
    plain("trillion", kGpt2Passes),
    plain("granite-docling", kGpt2Passes),
    plain("starcoder", kDigitsGpt2Passes),
    plain("refact", kDigitsGpt2Passes),
    plain("command-r", kDigitsGpt2Passes),
    plain("smollm", kDigitsGpt2Passes),
    plain("codeshell", kDigitsGpt2Passes),
    plain("exaone", kDigitsGpt2Passes),
    plain("minerva-7b", kDigitsGpt2Passes),
    plain("mellum2", kDigitsGpt2Passes),
    plain("falcon", kFalconPasses),
    plain("deepseek-llm", kDeepseekLlmPasses),
    plain("deepseek-coder", kDeepseekCoderPasses),
    plain("deepseek-v3", kDeepseekV3Passes),
    plain("hunyuan-dense", kDeepseekV3Passes),
    plain("joyai-llm", kDeepseekV3Passes),
    plain("hy_v4", kDeepseekV3Passes),
    whole("tekken", kTekkenPasses, true),
    plain("gpt-4o", kGpt4oPasses),
    plain("llama4", kGpt4oPasses),
    plain("kanana2", kGpt4oPasses),
    plain("talkie", kGpt4oPasses),
    plain("minimax-m2", kGpt4oPasses),
    plain("poro-chat", kSentencePasses),
    plain("bloom", kSentencePasses),
    plain("gpt3-finnish", kSentencePasses),
    plain("viking", kVikingPasses),
    {"gemma4", kLinePasses, false, true, true},
};

}  // namespace

std::span<const PreTokenizer> pre_tokenizers() {
  return kRules;
}

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  const auto found = std::ranges::find(kRules, name, &PreTokenizer::name);
  return found == std::end(kRules) ? nullptr : &*found;
}

}  // namespace engine
