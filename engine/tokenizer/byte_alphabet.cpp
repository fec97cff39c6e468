// SPDX-License-Identifier: MIT
#include "engine/tokenizer/byte_alphabet.h"

#include "engine/tokenizer/utf8.h"

namespace engine {

ByteAlphabet::ByteAlphabet() {
  byte_of_.fill(-1);
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    const char32_t code = printable ? static_cast<char32_t>(byte) : next++;
    std::string text;
    append_utf8(&text, code);
    const auto i = static_cast<std::size_t>(byte);
    text.copy(spelled_[i].data(), spelled_[i].size());
    byte_sizes_[i] = static_cast<std::uint8_t>(text.size());
    byte_of_[code] = static_cast<std::int16_t>(byte);
  }
}

const ByteAlphabet& ByteAlphabet::get() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

std::string ByteAlphabet::read(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  bool cut = false;
  while (!text.empty()) {
    const std::size_t size = valid_char_size(text, &cut);
    const char32_t code = size == 0 ? 0xFFFF : front_char(text).code;
    if (code < byte_of_.size() && byte_of_[code] >= 0) {
      out.push_back(static_cast<char>(byte_of_[code]));
    } else {
      out += text.substr(0, size == 0 ? 1 : size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

}  // namespace engine
