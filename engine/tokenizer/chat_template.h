// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

struct ChatMessage {
  enum class Role { system, user, assistant } role = Role::user;
  std::string content;
};

/// How one family of models marks turns. Our own table; a template inside a file is text to
/// recognize a family by and is never executed.
struct ChatFamily {
  std::string_view name;  // "chatml", "llama3"...
  /// The whole prompt up to where the answer begins; special tokens stand in it as text (encode
  /// with parse_special), the begin token does not.
  std::string (*render)(std::span<const ChatMessage> messages);
};

std::span<const ChatFamily> chat_families();
/// By name; null when there is none.
const ChatFamily* find_chat_family(std::string_view name);
/// The family that a file's template text belongs to; null when it is none that we know.
const ChatFamily* recognize_chat_family(std::string_view template_text);

}  // namespace engine
