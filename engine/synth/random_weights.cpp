// SPDX-License-Identifier: MIT
#include "engine/synth/random_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/quant/half.h"
#include "engine/quant/quant_codec.h"
#include "hwdb/quant_format.h"

namespace engine {
namespace {

// A stock of 4 Mi weights: encoded in moments, held by the caches, and large enough that two rows
// of a matrix rarely share a piece.
constexpr std::uint64_t kStockWeights = 1u << 22;
constexpr std::uint64_t kTaskWeights = 1u << 16;
constexpr std::array<std::uint32_t, 4> kPieceWeights = {256, 128, 64, 32};
// Standard deviation of a sum of four even 16-bit numbers: sqrt(4 * (65536^2 - 1) / 12).
constexpr double kSumSpread = 37'837.227'236'698'1;
constexpr std::int32_t kSumMean = 2 * 65'535;

/// A bijection that leaves no pattern of its input (splitmix64's finish).
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}
constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15u;
constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t number) {
  return mix(seed + kStep * number);
}

/// Puts a block's scale where the type has it: the first two bytes, or the top quarter of each of
/// IQ1_M's four 16-bit scales.
void set_scale(std::string_view type, std::uint16_t half, std::byte* block, std::size_t bytes) {
  if (type != "IQ1_M") {
    std::memcpy(block, &half, sizeof(half));
    return;
  }
  for (std::size_t i = 0; i < 4; ++i) {
    std::byte& top = block[bytes - 8 + 2 * i + 1];
    const auto nibble = static_cast<std::byte>(half >> (4 * i) & 15);
    top = (top & std::byte{0x0f}) | nibble << 4;
  }
}

/// Blocks of a type without an encoder: any code word is one of its code-book, so random bytes with
/// a fitting scale are random weights.
void make_code_words(const QuantCodec& codec, const hwdb::TensorFormat& format, float spread,
                     std::uint64_t seed, std::uint64_t first_block, std::span<std::byte> to) {
  constexpr std::size_t kSample = 64;
  constexpr std::uint64_t kSampleAt = std::uint64_t{1} << 40;  // beyond any tensor's blocks
  const auto fill = [&](std::uint64_t block, std::uint16_t scale, std::byte* at) {
    for (std::size_t i = 0; i < format.block_bytes; i += 8) {
      const std::uint64_t bits = random_bits(seed, block * 64 + i / 8);
      std::memcpy(at + i, &bits, std::min<std::size_t>(8, format.block_bytes - i));
    }
    set_scale(format.name, scale, at, format.block_bytes);
  };
  // The size at a scale of one decides the scale.
  std::vector<std::byte> sample(kSample * format.block_bytes);
  std::vector<float> decoded(kSample * format.block_weights);
  for (std::size_t i = 0; i < kSample; ++i) {
    fill(kSampleAt + i, quant::float_to_fp16(1), &sample[i * format.block_bytes]);
  }
  codec.decode(sample.data(), decoded.size(), decoded.data());
  double squares = 0;
  for (const float value : decoded) squares += double{value} * double{value};
  const double size = std::sqrt(squares / static_cast<double>(decoded.size()));
  const std::uint16_t scale =
      quant::float_to_fp16(static_cast<float>(double{spread} / std::max(size, 1e-30)));
  for (std::size_t at = 0; at < to.size(); at += format.block_bytes) {
    fill(first_block + at / format.block_bytes, scale, &to[at]);
  }
}

/// Encodes pieces first, first + 1, ... of the sequence of a seed.
void make_pieces(const RandomWeights::Source& source, std::uint64_t seed, std::uint64_t first,
                 std::span<std::byte> to) {
  const hwdb::TensorFormat& format = hwdb::format_of(source.type);
  const QuantCodec& codec = *find_quant_codec(source.type);
  const std::uint64_t n = to.size() / source.piece_bytes * source.piece_weights;
  const std::uint64_t first_weight = first * source.piece_weights;
  if (codec.encode == nullptr) {
    return make_code_words(codec, format, source.rule.spread, seed,
                           first_weight / format.block_weights, to);
  }
  std::vector<float> values(n);
  if (source.rule.values.empty()) {
    fill_random(seed, first_weight, source.rule.mean, source.rule.spread, values);
    for (std::uint64_t i = 0; source.rule.signs && i < n; ++i) {
      if ((random_bits(~seed, first_weight + i) & 1) != 0) values[i] = -values[i];
    }
  } else {
    std::copy_n(source.rule.values.begin() + static_cast<std::ptrdiff_t>(first_weight), n,
                values.begin());
  }
  codec.encode(values.data(), n, nullptr, to.data());
}

}  // namespace

std::uint64_t tensor_seed(std::uint64_t seed, std::string_view name) {
  // FNV-1a: the same on every machine.
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return mix(hash ^ mix(seed));
}

void fill_random(std::uint64_t seed, std::uint64_t first, float mean, float spread,
                 std::span<float> to) {
  const float scale = static_cast<float>(double{spread} / kSumSpread);
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::uint64_t bits = random_bits(seed, first + i);
    const auto sum = static_cast<std::int32_t>((bits & 0xffff) + (bits >> 16 & 0xffff) +
                                               (bits >> 32 & 0xffff) + (bits >> 48));
    to[i] = mean + scale * static_cast<float>(sum - kSumMean);
  }
}

hwdb::Result<RandomWeights::Source> RandomWeights::open(const hwdb::TensorInfo& tensor,
                                                        WeightRule rule) {
  const hwdb::TensorFormat& format = hwdb::format_of(tensor.type);
  if (find_quant_codec(tensor.type) == nullptr) {
    return hwdb::Error{"quant.unsupported",
                       fmt::format("the engine has no {} encoder or decoder", format.name),
                       tensor.name, "another preset"};
  }
  Source source;
  source.type = tensor.type;
  source.rule = std::move(rule);
  source.seed = tensor_seed(seed_, tensor.name);
  const std::uint64_t elements = tensor.elements();
  source.piece_weights = format.block_weights;
  for (const std::uint32_t weights : kPieceWeights) {
    if (tensor.ne[0] % weights == 0 && weights % format.block_weights == 0) {
      source.piece_weights = weights;
      break;
    }
  }
  source.piece_bytes = source.piece_weights / format.block_weights * format.block_bytes;
  source.n_pieces = elements / source.piece_weights;
  if (format.block_weights > 1 && elements > kStockWeights && source.rule.values.empty()) {
    auto made = stock(source);
    if (!made) return made.error();
    source.stock = *made;
  }
  return source;
}

hwdb::Result<const std::vector<std::byte>*> RandomWeights::stock(const Source& like) {
  const std::uint64_t sizes =
      std::uint64_t{static_cast<std::uint32_t>(like.type)} << 32 | like.piece_weights;
  const std::uint64_t numbers = std::uint64_t{std::bit_cast<std::uint32_t>(like.rule.mean)} << 32 |
                                std::bit_cast<std::uint32_t>(like.rule.spread);
  std::vector<std::byte>& bytes = stocks_[{sizes, numbers}];
  if (bytes.empty()) {
    const std::uint64_t n = kStockWeights / like.piece_weights;
    const std::uint64_t seed = mix(seed_ ^ mix(sizes) ^ mix(numbers + 1));
    bytes.resize(n * like.piece_bytes);
    const std::uint64_t each = kTaskWeights / like.piece_weights;
    pool_.for_each((n + each - 1) / each, [&](std::size_t task, unsigned) {
      const std::uint64_t first = task * each, count = std::min(each, n - first);
      make_pieces(like, seed, first,
                  std::span(bytes).subspan(first * like.piece_bytes, count * like.piece_bytes));
    });
  }
  return &bytes;
}

void RandomWeights::make(const Source& source, std::uint64_t first, std::span<std::byte> to) const {
  const std::uint64_t n = to.size() / source.piece_bytes;
  const std::uint64_t each = std::max<std::uint64_t>(1, kTaskWeights / source.piece_weights);
  pool_.for_each((n + each - 1) / each, [&](std::size_t task, unsigned) {
    const std::uint64_t begin = task * each, count = std::min(each, n - begin);
    const auto out = to.subspan(begin * source.piece_bytes, count * source.piece_bytes);
    if (source.stock == nullptr) return make_pieces(source, source.seed, first + begin, out);
    const std::uint64_t in_stock = source.stock->size() / source.piece_bytes;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t chosen = random_bits(source.seed, first + begin + i) % in_stock;
      std::memcpy(&out[i * source.piece_bytes], &(*source.stock)[chosen * source.piece_bytes],
                  source.piece_bytes);
    }
  });
}

}  // namespace engine
