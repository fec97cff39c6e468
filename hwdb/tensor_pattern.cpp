// SPDX-License-Identifier: MIT
#include "hwdb/tensor_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <array>

namespace hwdb {
namespace {

// A name has 64 bytes at most. Patterns that people write take some hundred steps on it, runaway
// ones millions.
constexpr std::uint32_t kMatchSteps = 100'000, kMatchDepth = 2'000, kHeapKib = 1'024;
constexpr std::uint32_t kNesting = 50;

struct CompileContext {
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  CompileContext() {
    if (context != nullptr) pcre2_set_parens_nest_limit(context, kNesting);
  }
  ~CompileContext() { pcre2_compile_context_free(context); }
  CompileContext(const CompileContext&) = delete;
  CompileContext& operator=(const CompileContext&) = delete;
};

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 160> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  std::string out;
  for (const PCRE2_UCHAR c : text) {
    if (c == 0) break;
    out += static_cast<char>(c);
  }
  return out;
}

PCRE2_SPTR units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

}  // namespace

struct TensorPattern::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;
  Code() = default;
  ~Code() {
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
};

Result<TensorPattern> TensorPattern::compile(std::string_view text) {
  if (text.empty()) return Error{"usage.value", "an empty tensor pattern", {}, {}};
  if (text.size() > kMaxBytes) {
    return Error{
        "usage.value",
        fmt::format("a tensor pattern of {} bytes, at most {} are taken", text.size(), kMaxBytes),
        {},
        {}};
  }
  const CompileContext context;
  auto code = std::make_shared<Code>();
  int error = 0;
  PCRE2_SIZE at = 0;
  // As in ECMAScript: \uHHHH, empty classes, and $ only at the very end. No call-outs, no \C.
  constexpr std::uint32_t kOptions = PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS |
                                     PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C |
                                     PCRE2_NEVER_UTF;
  code->code = pcre2_compile(units(text), text.size(), kOptions, &error, &at, context.context);
  if (code->code == nullptr) {
    return Error{
        "usage.value",
        fmt::format("\"{}\" is no regular expression: {} at byte {}", text, message_of(error), at),
        {},
        {}};
  }
  code->limits = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(code->limits, kMatchSteps);
  pcre2_set_depth_limit(code->limits, kMatchDepth);
  pcre2_set_heap_limit(code->limits, kHeapKib);
  TensorPattern pattern;
  pattern.code_ = std::move(code);
  pattern.text_ = text;
  return pattern;
}

Result<bool> TensorPattern::matches(std::string_view name) const {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  const int found = pcre2_match(code_->code, units(name), name.size(), 0, 0, data, code_->limits);
  pcre2_match_data_free(data);
  if (found >= 0) return true;
  if (found == PCRE2_ERROR_NOMATCH) return false;
  return Error{"usage.value",
               fmt::format("the pattern \"{}\" takes too long on \"{}\" ({})", text_, name,
                           message_of(found)),
               {},
               "repetitions within repetitions, such as (a+)+, make it so"};
}

}  // namespace hwdb
