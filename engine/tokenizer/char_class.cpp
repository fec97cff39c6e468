// SPDX-License-Identifier: MIT
#include "engine/tokenizer/char_class.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>

namespace engine {
namespace {

struct CodeRange {
  char32_t first, last;
};

constexpr std::uint32_t kChanges[] = {
#include "engine/tokenizer/unicode_ranges.inc"
};

constexpr CodeRange kWhite[] = {
    {0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
// DeepSeek LLM's rule spells out the cased letters that it knows.
constexpr CodeRange kDeepseekLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
    {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},
    {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
    {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},
    {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};
constexpr CodeRange kDeepseekSigns[] = {{0x21, 0x2F},     {0x3A, 0x7E},     {0xFF01, 0xFF0F},
                                        {0xFF1A, 0xFF5E}, {0x2018, 0x201F}, {0x3001, 0x3002}};
constexpr CodeRange kCjk[] = {{0x0800, 0x9FA5}, {0xAC00, 0xD7FF}};
constexpr CodeRange kHanKana[] = {{0x4E00, 0x9FA5}, {0x3040, 0x30FF}};
constexpr CodeRange kSentenceSigns[] = {{'(', ')'},       {'|', '|'},       {'.', '.'},
                                        {',', ','},       {'!', '!'},       {'?', '?'},
                                        {0x2026, 0x2026}, {0x3001, 0x3002}, {0xFF0C, 0xFF0C},
                                        {0x0964, 0x0964}, {0x06D4, 0x06D4}, {0x060C, 0x060C}};

std::uint32_t category_bit(std::uint32_t change) {
  const std::uint32_t category = change & 15;
  return category == 0 ? 0 : 1u << (category - 1);
}

std::uint32_t ascii_classes(char32_t code, std::uint32_t category) {
  using namespace char_class;
  const char c = static_cast<char>(code);
  std::uint32_t bits = 0;
  if (c == '\r' || c == '\n') bits |= cr_lf;
  if (c == '\n') bits |= newline;
  if (c == ' ') bits |= blank;
  if (c == '/') bits |= slash;
  if (c >= 'a' && c <= 'z') bits |= ascii_lower;
  if (c >= 'A' && c <= 'Z') bits |= ascii_upper;
  if (c >= '0' && c <= '9') bits |= ascii_digit;
  if ((category & (punctuation | symbol)) != 0) bits |= ascii_sign;
  if (c == '$' || c == '+' || (c >= '<' && c <= '>') || c == '^' || c == '~' || c == '|') {
    bits |= math_sign;
  }
  if (c == '`') bits |= backtick;
  return bits;
}

struct NamedRanges {
  std::uint32_t bit;
  std::span<const CodeRange> ranges;
};
constexpr NamedRanges kNamedRanges[] = {{char_class::deepseek_letter, kDeepseekLetters},
                                        {char_class::deepseek_sign, kDeepseekSigns},
                                        {char_class::cjk, kCjk},
                                        {char_class::han_kana, kHanKana},
                                        {char_class::sentence_sign, kSentenceSigns}};

// Code points below are looked up, those above are rare enough for a search; only letters of
// DeepSeek's rule lie there.
constexpr char32_t kTableSize = 0x10000;

struct ClassTable {
  std::array<std::uint32_t, kTableSize> bits{};

  ClassTable() {
    const std::uint32_t* change = kChanges;
    for (char32_t code = 0; code < kTableSize; ++code) {
      while (change[1] >> 4 <= code) ++change;
      bits[code] = category_bit(*change);
    }
    for (char32_t code = 0; code < 0x80; ++code) bits[code] |= ascii_classes(code, bits[code]);
    for (const NamedRanges& named : kNamedRanges) {
      for (const CodeRange& range : named.ranges) {
        for (char32_t c = range.first; c <= range.last && c < kTableSize; ++c) {
          bits[c] |= named.bit;
        }
      }
    }
    for (const CodeRange& range : kWhite) {
      for (char32_t c = range.first; c <= range.last; ++c) {
        for (const NamedRanges& named : kNamedRanges) bits[c] &= ~named.bit;
        bits[c] |= char_class::white;
      }
    }
  }
};

std::uint32_t search_classes(char32_t code) {
  const auto after = std::ranges::upper_bound(kChanges, code * 16 + 15);
  std::uint32_t bits = category_bit(*(after - 1));
  for (const CodeRange& range : kDeepseekLetters) {
    if (code >= range.first && code <= range.last) bits |= char_class::deepseek_letter;
  }
  return bits;
}

}  // namespace

std::uint32_t char_classes(char32_t code) {
  static const std::unique_ptr<const ClassTable> table = std::make_unique<ClassTable>();
  return code < kTableSize ? table->bits[code] : search_classes(code);
}

}  // namespace engine
