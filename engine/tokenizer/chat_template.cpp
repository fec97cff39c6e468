// SPDX-License-Identifier: MIT
#include "engine/tokenizer/chat_template.h"

#include <algorithm>

namespace engine {
namespace {

using Messages = std::span<const ChatMessage>;
using Role = ChatMessage::Role;

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

/// What stands around the content of one role's messages.
struct TurnMarks {
  std::string_view before, after;
};

/// A family whose prompt is its messages one after the other.
struct Marks {
  TurnMarks system, user, assistant;
  std::string_view answer;      // after the last message
  std::string_view start = {};  // before the first message
  bool trims = false;           // contents lose white space at both ends
};

std::string render_marks(const Marks& marks, Messages messages) {
  std::string out(marks.start);
  for (const ChatMessage& message : messages) {
    const TurnMarks& turn = message.role == Role::system ? marks.system
                            : message.role == Role::user ? marks.user
                                                         : marks.assistant;
    out += turn.before;
    out += marks.trims ? trim(message.content) : std::string_view(message.content);
    out += turn.after;
  }
  out += marks.answer;
  return out;
}

template <const Marks& kMarks>
std::string render(Messages messages) {
  return render_marks(kMarks, messages);
}

// The formats as the publishers' model cards and templates have them.
constexpr Marks kChatml = {{"<|im_start|>system\n", "<|im_end|>\n"},
                           {"<|im_start|>user\n", "<|im_end|>\n"},
                           {"<|im_start|>assistant\n", "<|im_end|>\n"},
                           "<|im_start|>assistant\n"};
constexpr Marks kLlama3 = {{"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"},
                           {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
                           {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"},
                           "<|start_header_id|>assistant<|end_header_id|>\n\n",
                           {},
                           true};
constexpr Marks kLlama4 = {{"<|header_start|>system<|header_end|>\n\n", "<|eot|>"},
                           {"<|header_start|>user<|header_end|>\n\n", "<|eot|>"},
                           {"<|header_start|>assistant<|header_end|>\n\n", "<|eot|>"},
                           "<|header_start|>assistant<|header_end|>\n\n",
                           {},
                           true};
constexpr Marks kMistralV7 = {
    {"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"}, {"[INST] ", "[/INST]"}, {" ", "</s>"}, ""};
constexpr Marks kMistralV7Tekken = {
    {"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"}, {"[INST]", "[/INST]"}, {"", "</s>"}, ""};
constexpr Marks kPhi3 = {{"<|system|>\n", "<|end|>\n"},
                         {"<|user|>\n", "<|end|>\n"},
                         {"<|assistant|>\n", "<|end|>\n"},
                         "<|assistant|>\n"};
constexpr Marks kPhi4 = {{"<|im_start|>system<|im_sep|>", "<|im_end|>"},
                         {"<|im_start|>user<|im_sep|>", "<|im_end|>"},
                         {"<|im_start|>assistant<|im_sep|>", "<|im_end|>"},
                         "<|im_start|>assistant<|im_sep|>"};
constexpr Marks kGemma4 = {{"<|turn>system\n", "<turn|>\n"},
                           {"<|turn>user\n", "<turn|>\n"},
                           {"<|turn>model\n", "<turn|>\n"},
                           "<|turn>model\n<|channel>thought\n<channel|>",  // without thinking
                           {},
                           true};
constexpr Marks kZephyr = {{"<|system|>\n", "</s>\n"},
                           {"<|user|>\n", "</s>\n"},
                           {"<|assistant|>\n", "</s>\n"},
                           "<|assistant|>\n"};
constexpr Marks kStablelm = {{"<|system|>\n", "<|endoftext|>\n"},
                             {"<|user|>\n", "<|endoftext|>\n"},
                             {"<|assistant|>\n", "<|endoftext|>\n"},
                             "<|assistant|>\n"};
constexpr Marks kOlmo = {{"<|system|>\n", "\n"},
                         {"<|user|>\n", "\n"},
                         {"<|assistant|>\n", "<|endoftext|>\n"},
                         "<|assistant|>\n"};
constexpr Marks kDeepseekCoder = {
    {"", ""}, {"### Instruction:\n", "\n"}, {"### Response:\n", "\n<|EOT|>\n"}, "### Response:\n"};
constexpr Marks kDeepseek2 = {
    {"", "\n\n"}, {"User: ", "\n\n"}, {"Assistant: ", "<｜end▁of▁sentence｜>"}, "Assistant:"};
constexpr Marks kDeepseek3 = {
    {"", ""}, {"<｜User｜>", ""}, {"<｜Assistant｜>", "<｜end▁of▁sentence｜>"}, "<｜Assistant｜>"};
constexpr Marks kDeepseekR1 = {{"", ""},
                               {"<｜User｜>", ""},
                               {"<｜Assistant｜>", "<｜end▁of▁sentence｜>"},
                               "<｜Assistant｜><think>\n"};
constexpr Marks kDeepseek31 = {{"", ""},
                               {"<｜User｜>", ""},
                               {"<｜Assistant｜></think>", "<｜end▁of▁sentence｜>"},
                               "<｜Assistant｜></think>"};  // without thinking
constexpr Marks kGranite = {{"<|start_of_role|>system<|end_of_role|>", "<|end_of_text|>\n"},
                            {"<|start_of_role|>user<|end_of_role|>", "<|end_of_text|>\n"},
                            {"<|start_of_role|>assistant<|end_of_role|>", "<|end_of_text|>\n"},
                            "<|start_of_role|>assistant<|end_of_role|>"};
constexpr Marks kCommandR = {{"<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>"},
                             {"<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>"},
                             {"<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>"},
                             "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
                             {},
                             true};
// The date that the publisher's template puts into the first message is left out.
constexpr Marks kGptOss = {
    {"<|start|>developer<|message|># Instructions\n\n", "\n\n<|end|>"},
    {"<|start|>user<|message|>", "<|end|>"},
    {"<|start|>assistant<|channel|>final<|message|>", "<|end|>"},
    "<|start|>assistant",
    "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
    "Knowledge cutoff: 2024-06\n\nReasoning: medium\n\n# Valid channels: analysis, commentary, "
    "final. Channel must be included for every message.<|end|>"};
constexpr Marks kVicuna = {{"", "\n\n"}, {"USER: ", "\n"}, {"ASSISTANT: ", "</s>\n"}, "ASSISTANT:"};
constexpr Marks kAlpaca = {
    {"", "\n\n"}, {"### Instruction:\n", "\n\n"}, {"### Response:\n", "\n\n"}, "### Response:\n"};
constexpr Marks kOpenchat = {{"", "<|end_of_turn|>"},
                             {"GPT4 Correct User: ", "<|end_of_turn|>"},
                             {"GPT4 Correct Assistant: ", "<|end_of_turn|>"},
                             "GPT4 Correct Assistant:"};
constexpr Marks kGlm4 = {{"<|system|>\n", ""},
                         {"<|user|>\n", ""},
                         {"<|assistant|>\n", ""},
                         "<|assistant|>\n",
                         "[gMASK]<sop>"};
constexpr Marks kExaone = {{"[|system|]", "[|endofturn|]\n"},
                           {"[|user|]", "\n"},
                           {"[|assistant|]", "[|endofturn|]\n"},
                           "[|assistant|]",
                           {},
                           true};
constexpr Marks kKimi = {{"<|im_system|>system<|im_middle|>", "<|im_end|>"},
                         {"<|im_user|>user<|im_middle|>", "<|im_end|>"},
                         {"<|im_assistant|>assistant<|im_middle|>", "<|im_end|>"},
                         "<|im_assistant|>assistant<|im_middle|>"};
constexpr Marks kMegrez = {{"<|role_start|>system<|role_end|>", "<|turn_end|>"},
                           {"<|role_start|>user<|role_end|>", "<|turn_end|>"},
                           {"<|role_start|>assistant<|role_end|>", "<|turn_end|>"},
                           "<|role_start|>assistant<|role_end|>"};
constexpr Marks kSeedOss = {{"<seed:bos>system\n", "<seed:eos>"},
                            {"<seed:bos>user\n", "<seed:eos>"},
                            {"<seed:bos>assistant\n", "<seed:eos>"},
                            "<seed:bos>assistant\n"};

/// The system text moves into the first user message.
std::string render_gemma(Messages messages) {
  std::string out, system;
  for (const ChatMessage& message : messages) {
    if (message.role == Role::system) {
      system += trim(message.content);
      system += "\n\n";
      continue;
    }
    const bool is_user = message.role == Role::user;
    out += is_user ? "<start_of_turn>user\n" : "<start_of_turn>model\n";
    if (is_user) {
      out += system;
      system.clear();
    }
    out += trim(message.content);
    out += "<end_of_turn>\n";
  }
  return out + "<start_of_turn>model\n";
}

std::string render_llama2(Messages messages) {
  std::string out, system;
  bool is_first = true;
  for (const ChatMessage& message : messages) {
    if (message.role == Role::system) {
      system = "<<SYS>>\n" + message.content + "\n<</SYS>>\n\n";
    } else if (message.role == Role::user) {
      const std::string content = system + message.content;
      system.clear();
      out += is_first ? "[INST] " : "<s>[INST] ";
      out += trim(content);
      out += " [/INST]";
      is_first = false;
    } else {
      out += ' ';
      out += trim(message.content);
      out += " </s>";
    }
  }
  return out;
}

/// The first versions differ in where spaces stand; the system text goes before the user's.
std::string render_mistral(Messages messages, const TurnMarks& user,
                           std::string_view before_answer) {
  std::string out, system;
  for (const ChatMessage& message : messages) {
    if (message.role == Role::system) {
      system = message.content + "\n\n";
    } else if (message.role == Role::user) {
      out += user.before;
      out += system + message.content;
      out += user.after;
      system.clear();
    } else {
      out += before_answer;
      out += message.content + "</s>";
    }
  }
  return out;
}
std::string render_mistral_v1(Messages messages) {
  return render_mistral(messages, {" [INST] ", " [/INST]"}, " ");
}
std::string render_mistral_v3(Messages messages) {
  return render_mistral(messages, {"[INST] ", "[/INST]"}, " ");
}
std::string render_mistral_v3_tekken(Messages messages) {
  return render_mistral(messages, {"[INST]", "[/INST]"}, "");
}

/// ChatML with a system message that says whether to think; "/think" in the system text asks for
/// it.
std::string render_smollm3(Messages messages) {
  std::string instructions =
      "You are a helpful AI assistant named SmolLM, trained by Hugging Face.";
  bool thinks = false;
  if (!messages.empty() && messages.front().role == Role::system) {
    instructions = messages.front().content;
    messages = messages.subspan(1);
    for (const std::string_view flag : {"/no_think", "/think"}) {
      const std::size_t at = instructions.find(flag);
      if (at == std::string::npos) continue;
      thinks = flag == "/think";
      instructions.erase(at, flag.size());
    }
    instructions = trim(instructions);
  }
  const std::string_view no_thoughts = thinks ? "" : "<think>\n\n</think>\n";
  std::string out = "<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\n";
  out += thinks ? "Reasoning Mode: /think\n\n" : "Reasoning Mode: /no_think\n\n";
  out += "## Custom Instructions\n\n" + instructions + "\n\n<|im_end|>\n";
  for (const ChatMessage& message : messages) {
    const bool is_answer = message.role == Role::assistant;
    out += is_answer ? "<|im_start|>assistant\n" : "<|im_start|>user\n";
    if (is_answer) out += no_thoughts;
    out += message.content + "<|im_end|>\n";
  }
  out += "<|im_start|>assistant\n";
  return out += no_thoughts;
}

constexpr ChatFamily kFamilies[] = {
    {"chatml", render<kChatml>},
    {"smollm3", render_smollm3},
    {"llama2", render_llama2},
    {"llama3", render<kLlama3>},
    {"llama4", render<kLlama4>},
    {"mistral-v1", render_mistral_v1},
    {"mistral-v3", render_mistral_v3},
    {"mistral-v3-tekken", render_mistral_v3_tekken},
    {"mistral-v7", render<kMistralV7>},
    {"mistral-v7-tekken", render<kMistralV7Tekken>},
    {"gemma", render_gemma},
    {"gemma4", render<kGemma4>},
    {"phi3", render<kPhi3>},
    {"phi4", render<kPhi4>},
    {"zephyr", render<kZephyr>},
    {"stablelm", render<kStablelm>},
    {"olmo", render<kOlmo>},
    {"deepseek-coder", render<kDeepseekCoder>},
    {"deepseek2", render<kDeepseek2>},
    {"deepseek3", render<kDeepseek3>},
    {"deepseek-r1", render<kDeepseekR1>},
    {"deepseek3.1", render<kDeepseek31>},
    {"granite", render<kGranite>},
    {"command-r", render<kCommandR>},
    {"gpt-oss", render<kGptOss>},
    {"openchat", render<kOpenchat>},
    {"glm4", render<kGlm4>},
    {"exaone", render<kExaone>},
    {"kimi-k2", render<kKimi>},
    {"megrez", render<kMegrez>},
    {"seed-oss", render<kSeedOss>},
    {"vicuna", render<kVicuna>},
    {"alpaca", render<kAlpaca>},
};

/// A template that has all of these texts is of the family; the first row that fits decides.
struct Recognition {
  std::string_view family;
  std::string_view texts[3];
};
constexpr Recognition kRecognitions[] = {
    {"phi4", {"<|im_start|>", "<|im_sep|>"}},
    {"smollm3", {"<|im_start|>", "## Custom Instructions", "Reasoning Mode"}},
    {"chatml", {"<|im_start|>", "<|im_end|>"}},
    {"mistral-v7", {"[SYSTEM_PROMPT] "}},
    {"mistral-v7-tekken", {"[SYSTEM_PROMPT]"}},
    {"mistral-v1", {"' [INST] ' + system_message"}},
    {"mistral-v1", {"[AVAILABLE_TOOLS]", " [INST]"}},
    {"mistral-v3-tekken", {"[AVAILABLE_TOOLS]", "\"[INST]\""}},
    {"mistral-v3", {"[AVAILABLE_TOOLS]", "[INST]"}},
    {"llama2", {"[INST]"}},
    {"gpt-oss", {"<|start|>", "<|message|>", "<|channel|>"}},
    {"phi3", {"<|assistant|>", "<|end|>"}},
    {"phi3", {"<|user|>", "<|end|>"}},
    {"glm4", {"[gMASK]<sop>"}},
    {"stablelm", {"<|user|>", "+ '<|endoftext|>'"}},
    {"olmo", {"<|user|>\\n' + message['content'] + '\\n'", "<|assistant|>"}},
    {"zephyr", {"<|user|>", "<|assistant|>", "eos_token"}},
    {"gemma4", {"<|turn>", "<turn|>"}},
    {"gemma", {"<start_of_turn>"}},
    {"openchat", {"GPT4 Correct "}},
    {"vicuna", {"USER: ", "ASSISTANT: "}},
    {"deepseek-coder", {"### Instruction:", "<|EOT|>"}},
    {"alpaca", {"### Instruction:", "### Response:"}},
    {"command-r", {"<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"}},
    {"llama3", {"<|start_header_id|>", "<|end_header_id|>"}},
    {"llama4", {"<|header_start|>", "<|header_end|>"}},
    {"deepseek2", {"'Assistant: ' + message['content'] + eos_token"}},
    {"deepseek3.1", {"<｜Assistant｜>", "<｜User｜>", "thinking is defined"}},
    {"deepseek-r1", {"<｜Assistant｜><think>\\n", "<｜User｜>"}},
    {"deepseek3", {"<｜Assistant｜>", "<｜User｜>"}},
    {"exaone", {"[|system|]", "[|assistant|]", "[|endofturn|]"}},
    {"granite", {"<|start_of_role|>", "<|end_of_role|>"}},
    {"kimi-k2", {"<|im_assistant|>", "<|im_middle|>"}},
    {"megrez", {"<|role_start|>", "<|role_end|>"}},
    {"seed-oss", {"<seed:bos>"}},
};

}  // namespace

std::span<const ChatFamily> chat_families() {
  return kFamilies;
}

const ChatFamily* find_chat_family(std::string_view name) {
  const auto found = std::ranges::find(kFamilies, name, &ChatFamily::name);
  return found == std::end(kFamilies) ? nullptr : &*found;
}

const ChatFamily* recognize_chat_family(std::string_view template_text) {
  const auto fits = [&](const Recognition& row) {
    return std::ranges::all_of(row.texts, [&](std::string_view text) {
      return template_text.find(text) != std::string_view::npos;
    });
  };
  const auto found = std::ranges::find_if(kRecognitions, fits);
  return found == std::end(kRecognitions) ? nullptr : find_chat_family(found->family);
}

}  // namespace engine
