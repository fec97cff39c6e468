// SPDX-License-Identifier: MIT
#include "engine/tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace engine {
namespace {

using Role = ChatMessage::Role;

const ChatMessage kTalk[] = {{Role::system, "Be brief."},
                             {Role::user, "Hello"},
                             {Role::assistant, "Hi there"},
                             {Role::user, "Who are you"}};

std::string rendered(std::string_view family, std::span<const ChatMessage> messages = kTalk) {
  const ChatFamily* found = find_chat_family(family);
  return found == nullptr ? "no such family" : found->render(messages);
}

TEST(ChatFamilies, RenderAsDocumented) {
  EXPECT_EQ(rendered("chatml"),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
            "<|im_start|>assistant\nHi there<|im_end|>\n<|im_start|>user\nWho are you<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(rendered("llama2"),
            "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHello [/INST] Hi there </s>"
            "<s>[INST] Who are you [/INST]");
  EXPECT_EQ(rendered("llama3"),
            "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nHi there<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nWho are you<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(rendered("mistral-v1"),
            " [INST] Be brief.\n\nHello [/INST] Hi there</s> [INST] Who are you [/INST]");
  EXPECT_EQ(rendered("mistral-v3"),
            "[INST] Be brief.\n\nHello[/INST] Hi there</s>[INST] Who are you[/INST]");
  EXPECT_EQ(rendered("mistral-v3-tekken"),
            "[INST]Be brief.\n\nHello[/INST]Hi there</s>[INST]Who are you[/INST]");
  EXPECT_EQ(rendered("mistral-v7"),
            "[SYSTEM_PROMPT] Be brief.[/SYSTEM_PROMPT][INST] Hello[/INST] Hi there</s>"
            "[INST] Who are you[/INST]");
  EXPECT_EQ(rendered("mistral-v7-tekken"),
            "[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]Hello[/INST]Hi there</s>"
            "[INST]Who are you[/INST]");
  EXPECT_EQ(rendered("gemma"),
            "<start_of_turn>user\nBe brief.\n\nHello<end_of_turn>\n<start_of_turn>model\n"
            "Hi there<end_of_turn>\n<start_of_turn>user\nWho are you<end_of_turn>\n"
            "<start_of_turn>model\n");
  EXPECT_EQ(rendered("gemma4"),
            "<|turn>system\nBe brief.<turn|>\n<|turn>user\nHello<turn|>\n<|turn>model\n"
            "Hi there<turn|>\n<|turn>user\nWho are you<turn|>\n<|turn>model\n"
            "<|channel>thought\n<channel|>");
  EXPECT_EQ(rendered("phi3"),
            "<|system|>\nBe brief.<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\n"
            "Hi there<|end|>\n<|user|>\nWho are you<|end|>\n<|assistant|>\n");
  EXPECT_EQ(rendered("phi4"),
            "<|im_start|>system<|im_sep|>Be brief.<|im_end|><|im_start|>user<|im_sep|>Hello"
            "<|im_end|><|im_start|>assistant<|im_sep|>Hi there<|im_end|><|im_start|>user<|im_sep|>"
            "Who are you<|im_end|><|im_start|>assistant<|im_sep|>");
  EXPECT_EQ(rendered("zephyr"),
            "<|system|>\nBe brief.</s>\n<|user|>\nHello</s>\n<|assistant|>\nHi there</s>\n"
            "<|user|>\nWho are you</s>\n<|assistant|>\n");
  EXPECT_EQ(rendered("olmo"),
            "<|system|>\nBe brief.\n<|user|>\nHello\n<|assistant|>\nHi there<|endoftext|>\n"
            "<|user|>\nWho are you\n<|assistant|>\n");
  EXPECT_EQ(rendered("deepseek2"),
            "Be brief.\n\nUser: Hello\n\nAssistant: Hi there<｜end▁of▁sentence｜>"
            "User: Who are you\n\nAssistant:");
  EXPECT_EQ(rendered("deepseek3"),
            "Be brief.<｜User｜>Hello<｜Assistant｜>Hi there<｜end▁of▁sentence｜>"
            "<｜User｜>Who are you<｜Assistant｜>");
  EXPECT_TRUE(rendered("deepseek-r1").ends_with("Who are you<｜Assistant｜><think>\n"));
  EXPECT_TRUE(rendered("deepseek3.1").ends_with("Who are you<｜Assistant｜></think>"));
  EXPECT_EQ(rendered("granite"),
            "<|start_of_role|>system<|end_of_role|>Be brief.<|end_of_text|>\n"
            "<|start_of_role|>user<|end_of_role|>Hello<|end_of_text|>\n"
            "<|start_of_role|>assistant<|end_of_role|>Hi there<|end_of_text|>\n"
            "<|start_of_role|>user<|end_of_role|>Who are you<|end_of_text|>\n"
            "<|start_of_role|>assistant<|end_of_role|>");
  EXPECT_EQ(rendered("command-r"),
            "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>Be brief.<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hello<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>Hi there<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Who are you<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>");
  EXPECT_EQ(rendered("vicuna"),
            "Be brief.\n\nUSER: Hello\nASSISTANT: Hi there</s>\nUSER: Who are you\nASSISTANT:");
  EXPECT_EQ(rendered("alpaca"),
            "Be brief.\n\n### Instruction:\nHello\n\n### Response:\nHi there\n\n"
            "### Instruction:\nWho are you\n\n### Response:\n");
  EXPECT_EQ(rendered("glm4"),
            "[gMASK]<sop><|system|>\nBe brief.<|user|>\nHello<|assistant|>\nHi there<|user|>\n"
            "Who are you<|assistant|>\n");
  const std::string harmony = rendered("gpt-oss");
  EXPECT_TRUE(harmony.starts_with("<|start|>system<|message|>You are ChatGPT"));
  EXPECT_TRUE(harmony.ends_with(
      "Channel must be included for every message.<|end|><|start|>developer<|message|>"
      "# Instructions\n\nBe brief.\n\n<|end|><|start|>user<|message|>Hello<|end|><|start|>assistant"
      "<|channel|>final<|message|>Hi there<|end|><|start|>user<|message|>Who are you<|end|>"
      "<|start|>assistant"));
}

TEST(ChatFamilies, SmolLm3ThinksWhenAsked) {
  EXPECT_EQ(rendered("smollm3"),
            "<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\n"
            "Reasoning Mode: /no_think\n\n## Custom Instructions\n\nBe brief.\n\n<|im_end|>\n"
            "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n"
            "Hi there<|im_end|>\n<|im_start|>user\nWho are you<|im_end|>\n<|im_start|>assistant\n"
            "<think>\n\n</think>\n");
  const ChatMessage thinking[] = {{Role::system, "Be brief. /think"}, {Role::user, "Hello"}};
  const std::string text = rendered("smollm3", thinking);
  EXPECT_NE(text.find("Reasoning Mode: /think\n\n## Custom Instructions\n\nBe brief.\n\n"),
            std::string::npos);
  EXPECT_TRUE(text.ends_with("<|im_start|>assistant\n"));
}

TEST(ChatFamilies, WithoutSystemTextNothingStandsForIt) {
  const ChatMessage question[] = {{Role::user, "  Hello "}};
  EXPECT_EQ(rendered("chatml", question),
            "<|im_start|>user\n  Hello <|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(rendered("gemma", question),
            "<start_of_turn>user\nHello<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(rendered("llama2", question), "[INST] Hello [/INST]");
}

TEST(ChatFamilies, AreRecognizedByTheirTexts) {
  const auto name = [](std::string_view text) {
    const ChatFamily* family = recognize_chat_family(text);
    return family == nullptr ? std::string_view("none") : family->name;
  };
  EXPECT_EQ(
      name("{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>'}}"),
      "chatml");
  EXPECT_EQ(name("{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}"), "phi4");
  EXPECT_EQ(name("{{ '[INST] ' + content + ' [/INST]' }} <<SYS>>"), "llama2");
  EXPECT_EQ(name("{{- ' [INST] ' + system_message + '\\n\\n' }}"), "mistral-v1");
  EXPECT_EQ(name("[AVAILABLE_TOOLS] {{- \"[INST] \" + message[\"content\"] }}"), "mistral-v3");
  EXPECT_EQ(name("[AVAILABLE_TOOLS] {{- \"[INST]\" + message[\"content\"] }}"),
            "mistral-v3-tekken");
  EXPECT_EQ(name("'[SYSTEM_PROMPT] ' + x [INST]"), "mistral-v7");
  EXPECT_EQ(name("'[SYSTEM_PROMPT]' + x [INST]"), "mistral-v7-tekken");
  EXPECT_EQ(name("<|start_header_id|> <|end_header_id|>"), "llama3");
  EXPECT_EQ(name("<start_of_turn>"), "gemma");
  EXPECT_EQ(name("'<|user|>' '<|end|>' '<|assistant|>'"), "phi3");
  EXPECT_EQ(name("{{ '<|user|>\\n' + message['content'] + eos_token }} <|assistant|>"), "zephyr");
  EXPECT_EQ(name("{{ '<|user|>\\n' + message['content'] + '\\n' }} <|assistant|>"), "olmo");
  EXPECT_EQ(name("<|start|> <|message|> <|channel|>"), "gpt-oss");
  EXPECT_EQ(name("'<｜User｜>' '<｜Assistant｜>'"), "deepseek3");
  EXPECT_EQ(name("'<｜User｜>' '<｜Assistant｜><think>\\n'"), "deepseek-r1");
  EXPECT_EQ(name("{{ message['content'] }}"), "none");
  EXPECT_EQ(name(""), "none");
}

TEST(ChatFamilies, NamesAreThereOnce) {
  std::set<std::string_view> names;
  for (const ChatFamily& family : chat_families()) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name;
    const std::string text = family.render(std::span(kTalk));
    EXPECT_NE(text.find("Who are you"), std::string::npos) << family.name;
  }
  EXPECT_EQ(find_chat_family("nothing"), nullptr);
}

}  // namespace
}  // namespace engine
