// SPDX-License-Identifier: MIT
#include "engine/quant/quant_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::string_view name_of(const QuantCodec& codec) {
  return hwdb::format_of(codec.type).name;
}

const QuantCodec& codec_of(std::string_view name) {
  return *find_quant_codec(hwdb::tensor_type(name));
}

std::size_t bytes_of(const QuantCodec& codec, std::size_t n_weights) {
  const hwdb::TensorFormat& format = hwdb::format_of(codec.type);
  return n_weights / format.block_weights * format.block_bytes;
}

std::vector<float> decode(const QuantCodec& codec, const std::vector<std::byte>& bytes) {
  const hwdb::TensorFormat& format = hwdb::format_of(codec.type);
  std::vector<float> weights(bytes.size() / format.block_bytes * format.block_weights);
  codec.decode(bytes.data(), weights.size(), weights.data());
  return weights;
}

std::vector<std::byte> encode(const QuantCodec& codec, const std::vector<float>& weights,
                              const float* importance = nullptr) {
  constexpr std::byte kUntouched{0xa5};
  const std::size_t n_bytes = bytes_of(codec, weights.size());
  std::vector<std::byte> bytes(n_bytes + 128, kUntouched);
  codec.encode(weights.data(), weights.size(), importance, bytes.data());
  EXPECT_EQ(
      std::count(bytes.begin() + static_cast<std::ptrdiff_t>(n_bytes), bytes.end(), kUntouched),
      128)
      << name_of(codec) << " writes beyond its blocks";
  bytes.resize(n_bytes);
  return bytes;
}

std::vector<float> round_trip(const QuantCodec& codec, const std::vector<float>& weights,
                              const float* importance = nullptr) {
  return decode(codec, encode(codec, weights, importance));
}

double squared_error(const std::vector<float>& a, const std::vector<float>& b,
                     const float* importance = nullptr) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double off = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += off * off * (importance != nullptr ? static_cast<double>(importance[i]) : 1.0);
  }
  return sum;
}

std::vector<float> gaussian(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> weights(n);
  for (float& weight : weights) weight = normal(random);
  return weights;
}

// One in a hundred is ten times as large.
std::vector<float> with_outliers(std::size_t n, unsigned seed) {
  std::vector<float> weights = gaussian(n, seed);
  std::mt19937 random(seed + 1);
  for (float& weight : weights) {
    if (random() % 100 == 0) weight *= 10;
  }
  return weights;
}

std::vector<const QuantCodec*> encoders() {
  std::vector<const QuantCodec*> found;
  for (const QuantCodec& codec : quant_codecs()) {
    if (codec.encode != nullptr) found.push_back(&codec);
  }
  return found;
}

TEST(QuantCodec, ListsEveryTypeOnce) {
  std::vector<std::string_view> names;
  for (const QuantCodec& codec : quant_codecs()) {
    EXPECT_NE(codec.decode, nullptr);
    EXPECT_EQ(find_quant_codec(codec.type), &codec);
    names.push_back(name_of(codec));
  }
  std::ranges::sort(names);
  const std::vector<std::string_view> expected = {
      "BF16",    "F16",    "F32",    "IQ1_M", "IQ1_S", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ3_S",
      "IQ3_XXS", "IQ4_NL", "IQ4_XS", "MXFP4", "Q2_K",  "Q3_K",  "Q4_0",   "Q4_1",    "Q4_K",
      "Q5_0",    "Q5_1",   "Q5_K",   "Q6_K",  "Q8_0",  "TQ1_0", "TQ2_0"};
  EXPECT_EQ(names, expected);
  EXPECT_EQ(encoders().size(), 18u);  // all but the seven that need a code-book search
  EXPECT_EQ(find_quant_codec(hwdb::tensor_type("I32")), nullptr);
}

struct Golden {
  std::string_view type, hex;
  float samples[8];
  std::uint64_t hash;
};
constexpr Golden kGoldens[] = {
#include "engine/quant/golden_blocks.inc"
};

std::vector<std::byte> bytes_of_hex(std::string_view hex) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

// FNV-1a.
std::uint64_t hash_of_bytes(std::span<const std::byte> bytes) {
  std::uint64_t hash = 14695981039346656037u;
  for (const std::byte byte : bytes) {
    hash = (hash ^ static_cast<std::uint64_t>(byte)) * 1099511628211u;
  }
  return hash;
}

std::uint64_t hash_of_bits(const std::vector<float>& weights) {
  return hash_of_bytes(std::as_bytes(std::span(weights)));
}

TEST(QuantCodec, ReadsBlocksAsLlamaCppDoes) {
  EXPECT_EQ(std::size(kGoldens), quant_codecs().size() - 1);  // F32 is a copy
  for (const Golden& golden : kGoldens) {
    const std::vector<float> weights = decode(codec_of(golden.type), bytes_of_hex(golden.hex));
    for (std::size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(weights[i * 37 % weights.size()], golden.samples[i]) << golden.type << " " << i;
    }
    EXPECT_EQ(hash_of_bits(weights), golden.hash) << golden.type;
  }
}

TEST(QuantCodec, AnyBytesDecodeAndAlignmentDoesNotMatter) {
  std::mt19937 random(11);
  for (const QuantCodec& codec : quant_codecs()) {
    const std::size_t n_weights = 256 * 64, n_bytes = bytes_of(codec, n_weights);
    std::vector<std::byte> bytes(n_bytes + 1);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    std::vector<float> odd(n_weights), even(n_weights);
    codec.decode(bytes.data() + 1, n_weights, odd.data());
    std::copy(bytes.begin() + 1, bytes.end(), bytes.begin());
    codec.decode(bytes.data(), n_weights, even.data());
    EXPECT_EQ(hash_of_bits(odd), hash_of_bits(even)) << name_of(codec);
  }
}

TEST(QuantCodec, InfiniteAndNanScalesDecode) {
  for (const QuantCodec& codec : quant_codecs()) {
    for (const int byte : {0x7c, 0xfc, 0x7f, 0xff}) {
      std::vector<std::byte> bytes(bytes_of(codec, 256), static_cast<std::byte>(byte));
      const std::vector<float> weights = decode(codec, bytes);
      EXPECT_EQ(weights.size(), 256u) << name_of(codec);
    }
  }
  std::vector<std::byte> block(18);
  block[1] = std::byte{0x7c};
  EXPECT_EQ(decode(codec_of("Q4_0"), block)[0], -kInfinity);  // (0 - 8) times infinity
}

TEST(QuantCodec, ZerosStayZeros) {
  for (const QuantCodec* codec : encoders()) {
    const std::vector<float> zeros(512, 0.0f), importance(512, 1.0f);
    for (const float* weighed : {static_cast<const float*>(nullptr), importance.data()}) {
      const std::vector<float> back = round_trip(*codec, zeros, weighed);
      for (const float weight : back) ASSERT_EQ(weight, 0.0f) << name_of(*codec);
    }
  }
}

// What an encoder has to beat: every group gets the scale that just spans it, its scale the nearest
// multiple of the block's, every weight the nearest level.
struct PlainRounding {
  std::string_view type;
  std::size_t group;
  bool affine;
  float n_scales;  // integer scales of a block of 256; 0 where each group has a scale of its own
  std::vector<float> levels;
};

std::vector<float> integers(int low, int high) {
  std::vector<float> levels;
  for (int level = low; level <= high; ++level) levels.push_back(static_cast<float>(level));
  return levels;
}

const std::vector<float> kIq4 = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};

std::vector<PlainRounding> plain_roundings() {
  return {{"Q4_0", 32, false, 0, integers(-8, 7)},
          {"Q4_1", 32, true, 0, integers(0, 15)},
          {"Q5_0", 32, false, 0, integers(-16, 15)},
          {"Q5_1", 32, true, 0, integers(0, 31)},
          {"Q8_0", 32, false, 0, integers(-127, 127)},
          {"Q2_K", 16, true, 15, integers(0, 3)},
          {"Q3_K", 16, false, 31, integers(-4, 3)},
          {"Q4_K", 32, true, 63, integers(0, 15)},
          {"Q5_K", 32, true, 63, integers(0, 31)},
          {"Q6_K", 16, false, 127, integers(-32, 31)},
          {"IQ4_NL", 32, false, 0, kIq4},
          {"IQ4_XS", 32, false, 31, kIq4},
          {"TQ1_0", 256, false, 0, integers(-1, 1)},
          {"TQ2_0", 256, false, 0, integers(-1, 1)}};
}

std::vector<float> rounded_plainly(const PlainRounding& plain, const std::vector<float>& weights) {
  std::vector<float> result(weights.size());
  for (std::size_t block = 0; block < weights.size(); block += 256) {
    std::vector<float> scales, starts;
    for (std::size_t g = block; g < block + 256; g += plain.group) {
      const auto [low, high] =
          std::minmax_element(weights.begin() + static_cast<std::ptrdiff_t>(g),
                              weights.begin() + static_cast<std::ptrdiff_t>(g + plain.group));
      if (plain.affine) {
        const float start = std::min(*low, 0.0f);
        starts.push_back(start);
        scales.push_back((*high - start) / plain.levels.back());
      } else {
        starts.push_back(0);
        scales.push_back(std::max(-*low, *high) / -plain.levels.front());
      }
    }
    const float top = *std::ranges::max_element(scales), bottom = *std::ranges::min_element(starts);
    for (std::size_t j = 0; j < 256; ++j) {
      float scale = scales[j / plain.group], start = starts[j / plain.group];
      if (plain.n_scales > 0) {
        scale = std::round(scale / top * plain.n_scales) * top / plain.n_scales;
        if (bottom < 0)
          start = std::round(start / bottom * plain.n_scales) * bottom / plain.n_scales;
      }
      float best = FLT_MAX;
      for (const float level : plain.levels) {
        const float at = scale * level + start;
        if (std::fabs(at - weights[block + j]) < best) {
          best = std::fabs(at - weights[block + j]);
          result[block + j] = at;
        }
      }
    }
  }
  return result;
}

TEST(QuantCodec, EncodersAreNoWorseThanPlainRounding) {
  for (const PlainRounding& plain : plain_roundings()) {
    const QuantCodec& codec = codec_of(plain.type);
    for (unsigned seed = 1; seed <= 4; ++seed) {
      for (const auto& weights : {gaussian(4096, seed), with_outliers(4096, seed)}) {
        const double ours = squared_error(round_trip(codec, weights), weights);
        const double theirs = squared_error(rounded_plainly(plain, weights), weights);
        // 1 % for scales that are rounded to half precision here and not there.
        EXPECT_LE(ours, 1.01 * theirs) << plain.type << " seed " << seed;
        if (plain.n_scales > 0) {
          EXPECT_LE(ours, 0.97 * theirs) << plain.type << " searches: " << seed;
        }
      }
    }
  }
}

// Root mean square error relative to that of the weights, for Gaussian ones: a sixth above what was
// measured when the encoders were written. A bit that is lost on the way doubles it; half of it
// would be a format of one more bit.
TEST(QuantCodec, RoundTripErrorsAreWhatTheBitsAllow) {
  struct Bound {
    std::string_view type;
    double most;
  };
  const Bound bounds[] = {{"F16", 0.0003},  {"BF16", 0.0025}, {"Q8_0", 0.0065},  {"Q6_K", 0.020},
                          {"Q5_K", 0.040},  {"Q5_0", 0.050},  {"Q5_1", 0.045},   {"Q4_K", 0.080},
                          {"Q4_0", 0.100},  {"Q4_1", 0.090},  {"IQ4_NL", 0.085}, {"IQ4_XS", 0.085},
                          {"MXFP4", 0.130}, {"Q3_K", 0.170},  {"Q2_K", 0.300},   {"TQ1_0", 0.45},
                          {"TQ2_0", 0.45}};
  const std::vector<float> weights = gaussian(32768, 5);
  const double size = squared_error(weights, std::vector<float>(weights.size()));
  for (const Bound& bound : bounds) {
    const double error = squared_error(round_trip(codec_of(bound.type), weights), weights);
    EXPECT_LT(std::sqrt(error / size), bound.most) << bound.type;
    EXPECT_GT(std::sqrt(error / size), bound.most / 2) << bound.type;
  }
}

TEST(QuantCodec, ImportanceLowersTheErrorThatItWeighs) {
  const std::vector<float> weights = with_outliers(8192, 3);
  std::mt19937 random(4);
  std::gamma_distribution<float> gamma(0.5f, 1.0f);
  std::vector<float> importance(weights.size());
  for (float& factor : importance) factor = gamma(random);
  for (const QuantCodec* codec : encoders()) {
    const std::string_view name = name_of(*codec);
    const double without = squared_error(round_trip(*codec, weights), weights, importance.data());
    const double with =
        squared_error(round_trip(*codec, weights, importance.data()), weights, importance.data());
    if (hwdb::format_of(codec->type).block_weights == 1) {
      EXPECT_EQ(with, without) << name;
    } else {
      EXPECT_LT(with, 0.97 * without) << name;
    }
    // Equal importance is none, also where it is all 0; only the formats with one obvious rounding
    // search when they are given any.
    const std::vector<float> equal(weights.size(), 3.0f), none(weights.size(), 0.0f);
    EXPECT_EQ(encode(*codec, weights, equal.data()), encode(*codec, weights, none.data())) << name;
  }
}

TEST(QuantCodec, OldFormatsRoundInTheirOneObviousWay) {
  // The largest magnitude, -4, becomes -8: the scale is 1/2, and halves round up.
  std::vector<float> weights(32);
  weights[3] = -4.0f;
  weights[4] = 3.9f;
  weights[5] = 0.25f;
  weights[6] = -0.25f;
  const std::vector<float> q4 = round_trip(codec_of("Q4_0"), weights);
  EXPECT_EQ(q4[3], -4.0f);
  EXPECT_EQ(q4[4], 3.5f);
  EXPECT_EQ(q4[5], 0.5f);
  EXPECT_EQ(q4[6], 0.0f);
  // Q8_0 rounds halves away from zero, and 127 stands for the largest.
  std::vector<float> bytes(32);
  bytes[0] = 127.0f;
  bytes[1] = 0.5f;
  bytes[2] = -0.5f;
  bytes[3] = 1.5f;
  bytes[4] = std::nextafter(0.5f, 0.0f);
  const std::vector<float> q8 = round_trip(codec_of("Q8_0"), bytes);
  EXPECT_EQ(q8[0], 127.0f);
  EXPECT_EQ(q8[1], 1.0f);
  EXPECT_EQ(q8[2], -1.0f);
  EXPECT_EQ(q8[3], 2.0f);
  EXPECT_EQ(q8[4], 0.0f);
}

TEST(QuantCodec, TernaryWeightsComeBackExactly) {
  std::mt19937 random(6);
  std::vector<float> weights(2048);
  for (float& weight : weights) weight = 0.0371f * (static_cast<float>(random() % 3) - 1);
  for (const std::string_view name : {"TQ1_0", "TQ2_0"}) {
    const std::vector<float> back = round_trip(codec_of(name), weights);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      ASSERT_NEAR(back[i], weights[i], 0.0371 / 2048) << name;
    }
  }
}

TEST(QuantCodec, ConstantsAndLonelyWeightsSurvive) {
  for (const QuantCodec* codec : encoders()) {
    const std::string_view name = name_of(*codec);
    for (const float value : {1.0f, -1.0f}) {
      const std::vector<float> back = round_trip(*codec, std::vector<float>(512, value));
      for (const float weight : back) ASSERT_NEAR(weight, value, 0.02) << name;
    }
    std::vector<float> lonely(512);
    lonely[300] = -3.0f;
    const std::vector<float> back = round_trip(*codec, lonely);
    for (std::size_t i = 0; i < back.size(); ++i) {
      ASSERT_NEAR(back[i], lonely[i], 0.06) << name << " " << i;
    }
  }
}

TEST(QuantCodec, HugeAndTinyWeightsStayFinite) {
  for (const QuantCodec* codec : encoders()) {
    const std::string_view name = name_of(*codec);
    if (hwdb::format_of(codec->type).block_weights == 1) continue;
    for (const float size : {FLT_MAX, 1e30f, 1e6f, 1e-6f, 1e-30f, FLT_MIN, 1e-45f}) {
      std::vector<float> weights = gaussian(512, 8);
      for (float& weight : weights) weight = size * std::clamp(weight * 12, -1.0f, 1.0f);
      const float* const own = weights.data();
      for (const float* weighed : {static_cast<const float*>(nullptr), own}) {
        for (const float weight : round_trip(*codec, weights, weighed)) {
          ASSERT_TRUE(std::isfinite(weight)) << name << " " << size;
        }
      }
    }
  }
}

TEST(QuantCodec, WeightsThatAreNotFiniteCountAsZero) {
  std::vector<float> clean = gaussian(512, 9), dirty = clean;
  const float bad[] = {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()};
  for (std::size_t i = 0; i < 3; ++i) {
    clean[100 * i + 7] = 0;
    dirty[100 * i + 7] = bad[i];
  }
  EXPECT_TRUE(all_finite(clean));
  EXPECT_FALSE(all_finite(dirty));
  for (const QuantCodec* codec : encoders()) {
    if (hwdb::format_of(codec->type).block_weights == 1) continue;
    EXPECT_EQ(encode(*codec, dirty), encode(*codec, clean)) << name_of(*codec);
    const std::vector<float> importance(clean.size(), 1.0f);
    EXPECT_EQ(encode(*codec, dirty, importance.data()), encode(*codec, clean, importance.data()))
        << name_of(*codec);
    // Nor does importance that is no number do harm.
    const std::vector<float> back = round_trip(*codec, clean, dirty.data());
    EXPECT_TRUE(all_finite(back)) << name_of(*codec);
  }
}

TEST(QuantCodec, AllFiniteFindsOneAnywhere) {
  std::vector<float> weights(37, FLT_MAX);
  weights[5] = -0.0f;
  EXPECT_TRUE(all_finite(weights));
  EXPECT_TRUE(all_finite({}));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    std::vector<float> copy = weights;
    copy[i] = -kInfinity;
    EXPECT_FALSE(all_finite(copy));
    copy[i] = std::bit_cast<float>(0x7f800001u);  // a NaN by its last bit alone
    EXPECT_FALSE(all_finite(copy));
  }
}

// A file made twice is the same file, whatever the compiler and the processor. The hashes pin what
// the searches choose: a change that finds something better changes them.
TEST(QuantCodec, EncodersWriteTheSameBlocksEverywhere) {
  struct Pin {
    std::string_view type;
    std::uint64_t plain, weighed;
  };
  constexpr Pin kPins[] = {
      {"F16", 0xd5ab8ab4a2cb1c21, 0xd5ab8ab4a2cb1c21},
      {"BF16", 0x76a8cdaca212ee72, 0x76a8cdaca212ee72},
      {"Q4_0", 0xa158613a9563dc1d, 0x12074900beb86e1a},
      {"Q4_1", 0x55fc82b5c8a3dec9, 0x2790a8a77560c047},
      {"Q5_0", 0x869ee34824db4233, 0xe324648ece0a0d0a},
      {"Q5_1", 0xd5a5f4c60a7c2e67, 0x991b70a475eb3769},
      {"Q8_0", 0xc7993f9a45d39c2e, 0xed0d6cc0ad801d9b},
      {"Q2_K", 0x04398610f87bc463, 0x6031f1dd23cb88aa},
      {"Q3_K", 0x64ecd6696b30be17, 0xa05c3557dff143a7},
      {"Q4_K", 0x4b3d27c427bc8745, 0x60e4ef9658bc369a},
      {"Q5_K", 0x89889aa741077da8, 0xaaffecb7121704f8},
      {"Q6_K", 0x2555c66b5e371bfd, 0xf5544d55a79b87e0},
      {"IQ4_NL", 0x64954e1b94377447, 0x2807efde826e5d8c},
      {"IQ4_XS", 0x8b80989840b06123, 0xaceaa5ca67c8897b},
      {"TQ1_0", 0x33141de7be4e67b0, 0xa0999e76a8760c9f},
      {"TQ2_0", 0x9d7239b753e8d12a, 0x3cc239e6ef81a50d},
      {"MXFP4", 0xdc9f4c2dcbbde581, 0x99bc9016710c4365},
  };
  std::uint64_t state = 1;
  const auto uniform = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(state >> 40) * 0x1p-24f;
  };
  std::vector<float> weights(256 * 64), importance(256 * 64);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    for (int k = 0; k < 6; ++k) weights[i] += uniform() - 0.5f;
    if (uniform() < 0.01f) weights[i] *= 10;
    importance[i] = uniform();
  }
  EXPECT_EQ(std::size(kPins), encoders().size() - 1);  // F32 is a copy
  for (const Pin& pin : kPins) {
    const QuantCodec& codec = codec_of(pin.type);
    EXPECT_EQ(hash_of_bytes(encode(codec, weights)), pin.plain) << pin.type;
    EXPECT_EQ(hash_of_bytes(encode(codec, weights, importance.data())), pin.weighed) << pin.type;
  }
}

// Blocks are searched four at a time, which must not show.
TEST(QuantCodec, EveryNumberOfBlocksGivesTheSameBlocks) {
  const std::vector<float> weights = with_outliers(256 * 7, 10);
  const std::vector<float> importance(weights.size(), 0.5f);
  for (const QuantCodec* codec : encoders()) {
    const hwdb::TensorFormat& format = hwdb::format_of(codec->type);
    const std::vector<std::byte> whole = encode(*codec, weights, importance.data());
    for (std::size_t n = 1; n <= 7; ++n) {
      const std::vector<float> some(
          weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(n * format.block_weights));
      const std::vector<std::byte> part = encode(*codec, some, importance.data());
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin())) << format.name << " " << n;
    }
  }
}

}  // namespace
}  // namespace engine
