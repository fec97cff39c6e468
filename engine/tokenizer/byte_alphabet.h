// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace engine {

/// The alphabet of byte-level BPE: printable bytes of Latin-1 stand for themselves, the other 68
/// for U+0100 onward, so that a token of any bytes can be written as text.
class ByteAlphabet {
 public:
  static const ByteAlphabet& get();
  /// The character that stands for a byte, as UTF-8.
  std::string_view spell(std::uint8_t byte) const {
    return {spelled_[byte].data(), byte_sizes_[byte]};
  }
  /// The bytes that a text spells; characters outside of the alphabet stay as they are.
  std::string read(std::string_view text) const;

 private:
  ByteAlphabet();
  std::array<std::array<char, 2>, 256> spelled_{};
  std::array<std::uint8_t, 256> byte_sizes_{};
  std::array<std::int16_t, 0x144> byte_of_{};  // by code point; -1: none
};

}  // namespace engine
