// SPDX-License-Identifier: MIT
// Rows G, K, T, V of the table of malformed input, by generated files.
#include "hwdb/gguf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "hwdb/gguf_split.h"
#include "hwdb/limits.h"
#include "hwdb/testing/gguf_builder.h"
#include "hwdb/testing/limits_watch.h"
#include "hwdb/testing/temp_folder.h"

namespace hwdb {
namespace {

using testing::GgufBuilder;
using testing::TempFolder;
using testing::TinyLlama;

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

/// The code that opening these bytes gives, "ok" when they are accepted.
std::string code_of(std::string_view bytes, std::string* what = nullptr) {
  const testing::Watchdog watchdog;
  const TempFolder folder;
  const auto model = open_gguf(folder.write("model.gguf", bytes));
  if (what != nullptr && !model) *what = model.error().what;
  return model ? "ok" : model.error().code;
}

struct Case {
  std::string id;
  std::string code;  // what must come out; a trailing '.' means any of that family
  std::function<std::string()> bytes;
};

class MalformedGguf : public ::testing::TestWithParam<Case> {};

TEST_P(MalformedGguf, GivesItsCode) {
  const Case& row = GetParam();
  std::string what;
  const std::string code = code_of(row.bytes(), &what);
  if (row.code.ends_with('.')) {
    EXPECT_TRUE(code.starts_with(row.code)) << code << ": " << what;
  } else {
    EXPECT_EQ(code, row.code) << what;
  }
}

// Files that go wrong in the fixed header.
std::string fixed(std::uint32_t magic, std::uint32_t version, std::uint64_t tensors,
                  std::uint64_t keys, std::size_t more = 0) {
  std::string out;
  GgufBuilder::put(&out, magic);
  GgufBuilder::put(&out, version);
  GgufBuilder::put(&out, tensors);
  GgufBuilder::put(&out, keys);
  return out + std::string(more, '\0');
}
constexpr std::uint32_t kMagic = 0x46554747;

std::string one_key(const std::function<void(GgufBuilder*)>& add) {
  GgufBuilder b;
  TinyLlama().add_keys(&b);
  add(&b);
  TinyLlama().add_tensors(&b);
  return b.build();
}
std::string no_tensors(const std::function<void(GgufBuilder*)>& add) {
  GgufBuilder b;
  TinyLlama().add_keys(&b);
  add(&b);
  return b.build();
}
/// A length field and nothing of what it promises.
std::string length_only(std::uint64_t length) {
  std::string out;
  GgufBuilder::put(&out, length);
  return out;
}
std::string key_with_length(std::uint64_t length) {
  GgufBuilder b;
  b.raw_key_bytes(length_only(length) + "general.architecture");
  return b.build() + std::string(64, 'x');
}
std::string typed(std::uint32_t type, std::string_view value) {
  return one_key([&](GgufBuilder* b) { b->raw("x.y", type, value); });
}
std::string array_value(std::uint32_t element, std::uint64_t count, std::string_view data = {}) {
  std::string out;
  GgufBuilder::put(&out, element);
  GgufBuilder::put(&out, count);
  return out + std::string(data);
}
constexpr auto kArray = static_cast<std::uint32_t>(GgufType::array),
               kString = static_cast<std::uint32_t>(GgufType::string);

std::string deep_array() {
  std::string value;
  for (int i = 0; i < 10'000; ++i) value += array_value(kArray, 1);
  return typed(kArray, value);
}

/// A file whose tensor is written by hand.
std::string with_tensor(const std::function<void(GgufBuilder::Tensor*)>& change,
                        std::size_t slack = 1024) {
  GgufBuilder b;
  b.text("general.architecture", "other");
  b.tensor("t", {32, 4});
  change(&b.tensors.back());
  return b.build() + std::string(slack, '\0');
}
std::string with_type(std::uint32_t type) {
  return with_tensor([&](GgufBuilder::Tensor* t) { t->type = type; });
}
std::string with_shape(std::vector<std::uint64_t> ne, std::string_view type = "F32") {
  return with_tensor([&](GgufBuilder::Tensor* t) {
    t->ne = std::move(ne);
    t->type = static_cast<std::uint32_t>(tensor_type(type));
  });
}
std::string with_name(const std::string& name) {
  return with_tensor([&](GgufBuilder::Tensor* t) { t->name = name; });
}
std::string tensor_name_length(std::uint64_t length) {
  GgufBuilder b;
  b.text("general.architecture", "other");
  b.n_tensors = 1;
  return b.build() + length_only(length) + std::string(128, 'n');
}
std::string two_tensors(const std::function<void(GgufBuilder*)>& change, std::size_t slack = 4096) {
  GgufBuilder b;
  b.text("general.architecture", "other");
  b.tensor("a", {32}).tensor("b", {32}).tensor("c", {32});
  change(&b);
  return b.build() + std::string(slack, '\0');
}

struct Vocabulary {
  std::string model = "llama";
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>", "<0x0A>", "a", "b", "ab", " a"};
  std::vector<float> scores = std::vector<float>(8, 0.0f);
  std::vector<std::int32_t> types{2, 3, 3, 6, 1, 1, 1, 1};
  std::vector<std::string> merges;
  std::int64_t bos = 1;
  std::string chat;
  std::string build() const {
    GgufBuilder b;
    TinyLlama llama;
    llama.n_vocab = static_cast<std::uint32_t>(tokens.size());
    llama.add_keys(&b);
    b.text("tokenizer.ggml.model", model);
    b.texts("tokenizer.ggml.tokens", tokens);
    if (!scores.empty()) b.array("tokenizer.ggml.scores", GgufType::f32, scores);
    if (!types.empty()) b.array("tokenizer.ggml.token_type", GgufType::i32, types);
    if (!merges.empty()) b.texts("tokenizer.ggml.merges", merges);
    if (bos < 0) {
      b.i32("tokenizer.ggml.bos_token_id", static_cast<std::int32_t>(bos));
    } else {
      b.u32("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(bos));
    }
    if (!chat.empty()) b.text("tokenizer.chat_template", chat);
    llama.add_tensors(&b);
    return b.build();
  }
};
std::string vocabulary(const std::function<void(Vocabulary*)>& change) {
  Vocabulary v;
  change(&v);
  return v.build();
}
std::string byte_token(const std::string& text) {
  return vocabulary([&](Vocabulary* v) { v->tokens[3] = text; });
}

const Case kHeaderCases[] = {
    {"G01_magic", "gguf.magic", [] { return fixed(0x21212121, 3, 0, 0); }},
    {"G01_reversed", "gguf.magic", [] { return fixed(0x47475546, 3, 0, 0); }},
    {"G02_version_0", "gguf.version", [] { return fixed(kMagic, 0, 0, 0); }},
    {"G02_version_1", "gguf.version", [] { return fixed(kMagic, 1, 0, 0); }},
    {"G02_version_4", "gguf.version", [] { return fixed(kMagic, 4, 0, 0); }},
    {"G02_big_endian", "gguf.endianness", [] { return fixed(kMagic, 0x03000000, 0, 0); }},
    {"G04_tensors_max", "gguf.count", [] { return fixed(kMagic, 3, kMax, 0); }},
    {"G04_keys_max", "gguf.count", [] { return fixed(kMagic, 3, 0, kMax); }},
    {"G05_keys", "gguf.count", [] { return fixed(kMagic, 3, 0, 11, 140); }},
    {"G05_tensors", "gguf.count", [] { return fixed(kMagic, 3, 1000, 0, 200); }},
    {"G05_limit_keys", "gguf.count",
     [] { return fixed(kMagic, 3, 0, limits::kGgufKeys + 1, 2'000'000); }},
    {"G05_limit_tensors", "gguf.count",
     [] { return fixed(kMagic, 3, limits::kGgufTensors + 1, 0, 64); }},
    {"G06_product", "gguf.count", [] { return fixed(kMagic, 3, std::uint64_t{1} << 60, 0, 64); }},
    {"G07_too_few_keys", "gguf.",
     [] {
       GgufBuilder b;
       TinyLlama().add_keys(&b);
       TinyLlama().add_tensors(&b);
       b.n_keys = 3;
       return b.build();
     }},
    {"G07_too_many_keys", "gguf.",
     [] {
       GgufBuilder b;
       TinyLlama().add_keys(&b);
       TinyLlama().add_tensors(&b);
       b.n_keys = 20;
       return b.build();
     }},
    {"G08_empty", "ok", [] { return fixed(kMagic, 3, 0, 0); }},
    {"F01_three_bytes", "file.truncated", [] { return std::string("GGU"); }},
    {"F01_empty", "file.truncated", [] { return std::string(); }},
    {"F02_magic_only", "gguf.truncated", [] { return std::string("GGUF"); }},
    {"version_2", "ok",
     [] {
       GgufBuilder b;
       b.version = 2;
       TinyLlama().add_keys(&b);
       TinyLlama().add_tensors(&b);
       return b.build();
     }},
};

const Case kKeyCases[] = {
    {"K01_length_max", "gguf.string", [] { return key_with_length(kMax); }},
    {"K01_over_limit", "gguf.string", [] { return key_with_length(limits::kGgufKeyBytes + 1); }},
    {"K01_longer_than_file", "gguf.string", [] { return key_with_length(30'000); }},
    {"K01_at_limit", "ok",
     [] {
       return one_key([](GgufBuilder* b) { b->u32(std::string(limits::kGgufKeyBytes, 'k'), 1); });
     }},
    {"K02_empty", "gguf.key", [] { return one_key([](GgufBuilder* b) { b->u32("", 1); }); }},
    {"K02_nul", "gguf.key",
     [] { return one_key([](GgufBuilder* b) { b->u32(std::string_view("a\0b", 3), 1); }); }},
    {"K02_control", "gguf.key",
     [] { return one_key([](GgufBuilder* b) { b->u32("a\x1b[2J", 1); }); }},
    {"K02_non_ascii", "gguf.key",
     [] { return one_key([](GgufBuilder* b) { b->u32("\xc3\xa4", 1); }); }},
    {"K03_twice", "gguf.duplicate_key",
     [] { return one_key([](GgufBuilder* b) { b->u32("x", 1).u32("x", 1); }); }},
    {"K04_type_13", "gguf.type", [] { return typed(13, "\0\0\0\0"); }},
    {"K04_negative", "gguf.type", [] { return typed(0xFFFFFFFF, "\0\0\0\0"); }},
    {"K05_length_max", "gguf.string", [] { return typed(kString, length_only(kMax)); }},
    {"K05_over_limit", "gguf.string",
     [] { return typed(kString, length_only(limits::kGgufStringBytes + 1)); }},
    {"K05_past_end", "gguf.string", [] { return typed(kString, length_only(1'000'000)); }},
    {"K05_at_limit", "ok",
     [] {
       return one_key(
           [](GgufBuilder* b) { b->text("x", std::string(limits::kGgufStringBytes, 's')); });
     }},
    {"K06_nested", "gguf.nested_array",
     [] { return typed(kArray, array_value(kArray, 1, array_value(4, 0))); }},
    {"K06_deep", "gguf.nested_array", deep_array},
    {"K07_element", "gguf.type", [] { return typed(kArray, array_value(13, 1, "\1")); }},
    {"K08_wraps", "gguf.array",
     [] { return typed(kArray, array_value(10, std::uint64_t{1} << 61)); }},
    {"K09_numbers", "gguf.array", [] { return typed(kArray, array_value(4, 1'000'000)); }},
    {"K09_strings", "gguf.array", [] { return typed(kArray, array_value(kString, 200'000)); }},
    {"K09_limit", "gguf.array",
     [] { return typed(kArray, array_value(0, limits::kGgufArrayElements + 1)); }},
    {"K11_scalar", "gguf.bool", [] { return typed(7, "\2"); }},
    {"K11_array", "gguf.bool",
     [] { return typed(kArray, array_value(7, 3, std::string_view("\0\1\2", 3))); }},
    {"K13_zero", "gguf.alignment",
     [] { return one_key([](GgufBuilder* b) { b->u32("general.alignment", 0); }); }},
    {"K14_thirteen", "gguf.alignment",
     [] { return one_key([](GgufBuilder* b) { b->u32("general.alignment", 13); }); }},
    {"K14_huge", "gguf.alignment",
     [] { return one_key([](GgufBuilder* b) { b->u32("general.alignment", 1u << 31); }); }},
    {"K14_over_limit", "gguf.alignment",
     [] { return one_key([](GgufBuilder* b) { b->u32("general.alignment", 131'072); }); }},
    {"K14_at_limit", "ok",
     [] { return no_tensors([](GgufBuilder* b) { b->u32("general.alignment", 65'536); }); }},
    {"K15_i32", "gguf.alignment",
     [] { return one_key([](GgufBuilder* b) { b->i32("general.alignment", 32); }); }},
    {"K15_string", "gguf.alignment",
     [] { return one_key([](GgufBuilder* b) { b->text("general.alignment", "32"); }); }},
    {"K15_array", "gguf.alignment",
     [] {
       return one_key([](GgufBuilder* b) {
         b->array<std::uint32_t>("general.alignment", GgufType::u32, {32});
       });
     }},
    {"K16_one", "ok",
     [] {
       GgufBuilder b;
       b.alignment = 1;
       TinyLlama().add_keys(&b);
       b.u32("general.alignment", 1);
       TinyLlama().add_tensors(&b);
       return b.build();
     }},
    {"K17_string", "gguf.key_type",
     [] {
       GgufBuilder b;
       TinyLlama().add_keys(&b, {"block_count"});
       b.text("llama.block_count", "2");
       return b.build();
     }},
    {"K17_float", "gguf.key_type",
     [] {
       GgufBuilder b;
       TinyLlama().add_keys(&b, {"block_count"});
       b.f32("llama.block_count", 2);
       return b.build();
     }},
    {"K17_array", "gguf.key_type",
     [] {
       GgufBuilder b;
       TinyLlama().add_keys(&b, {"block_count"});
       b.array<std::uint32_t>("llama.block_count", GgufType::u32, {2});
       return b.build();
     }},
    {"K17_name", "gguf.key_type",
     [] { return one_key([](GgufBuilder* b) { b->u32("general.name", 2); }); }},
    {"K17_tokens", "gguf.key_type",
     [] { return one_key([](GgufBuilder* b) { b->u32("tokenizer.ggml.tokens", 2); }); }},
    {"K19_hostile_text", "ok",
     [] {
       return one_key([](GgufBuilder* b) {
         b->text("general.name", std::string_view("a\0\x1b[31m\xff\xe2\x80\xae z", 14));
       });
     }},
};

const Case kTensorCases[] = {
    {"T01_length_max", "gguf.tensor_name", [] { return tensor_name_length(kMax); }},
    {"T01_65", "gguf.tensor_name", [] { return with_name(std::string(65, 'n')); }},
    {"T01_64", "ok", [] { return with_name(std::string(64, 'n')); }},
    {"T01_empty", "gguf.tensor_name", [] { return with_name(""); }},
    {"T02_twice", "gguf.duplicate_tensor",
     [] { return two_tensors([](GgufBuilder* b) { b->tensors[2].name = "a"; }); }},
    {"T03_five", "gguf.n_dims",
     [] {
       return with_shape({1, 1, 1, 1, 1});
     }},
    {"T03_max", "gguf.n_dims",
     [] {
       GgufBuilder b;
       b.text("general.architecture", "other");
       b.n_tensors = 1;
       std::string out = b.build();
       GgufBuilder::put_string(&out, "t");
       GgufBuilder::put(&out, std::uint32_t{0xFFFFFFFF});
       return out + std::string(64, '\0');
     }},
    {"T04_negative", "gguf.shape",
     [] {
       return with_shape({32, kMax});
     }},
    {"T05_zero", "ok",
     [] {
       return with_shape({32, 0});
     }},
    {"T05_zero_row", "ok",
     [] {
       return with_shape({0, 5}, "Q4_0");
     }},
    {"T06_product", "gguf.shape",
     [] {
       return with_shape({4 * std::uint64_t{0x7FFFFFFF}, 4 * std::uint64_t{0x7FFFFFFF}});
     }},
    {"T07_wraps_to_zero", "gguf.shape",
     [] {
       return with_shape({std::uint64_t{1} << 32, std::uint64_t{1} << 32});
     }},
    {"T07_wraps_small", "gguf.shape",
     [] {
       return with_shape({(std::uint64_t{1} << 32) + 2, std::uint64_t{1} << 32, 2});
     }},
    {"T08_bytes", "gguf.size", [] { return with_shape({std::uint64_t{1} << 62}, "I64"); }},
    {"T09_padding", "gguf.size", [] { return with_shape({(std::uint64_t{1} << 63) - 2}, "F16"); }},
    {"T10_sum", "gguf.size",
     [] {
       return two_tensors([](GgufBuilder* b) {
         for (auto& t : b->tensors) {
           t.ne = {0x7FFFFFFFFFFFFFC0};
           t.type = static_cast<std::uint32_t>(tensor_type("I8"));
         }
       });
     }},
    {"T11_negative", "gguf.tensor_type", [] { return with_type(0xFFFFFFFF); }},
    {"T11_count", "gguf.tensor_type", [] { return with_type(10'000); }},
    {"T11_removed", "gguf.tensor_type", [] { return with_type(4); }},
    {"T12_row", "gguf.block",
     [] {
       return with_shape({31, 4}, "Q4_0");
     }},
    {"T13_max", "gguf.offset",
     [] { return with_tensor([](GgufBuilder::Tensor* t) { t->offset = kMax; }); }},
    {"T13_unaligned", "gguf.offset",
     [] { return with_tensor([](GgufBuilder::Tensor* t) { t->offset = 16; }); }},
    {"T14_past_end", "gguf.data_bounds",
     [] { return with_tensor([](GgufBuilder::Tensor* t) { t->offset = 1 << 30; }); }},
    {"T14_wraps", "gguf.data_bounds",
     [] { return with_tensor([](GgufBuilder::Tensor* t) { t->offset = kMax - 31; }); }},
    {"T15_one_short", "gguf.data_bounds",
     [] {
       std::string s = TinyLlama().build();
       s.pop_back();
       return s;
     }},
    {"T15_half", "gguf.data_bounds",
     [] {
       std::string s = TinyLlama().build();
       s.resize(s.size() / 2);
       return s;
     }},
    {"T16_overlap", "gguf.layout",
     [] { return two_tensors([](GgufBuilder* b) { b->tensors[1].offset = 0; }); }},
    {"T16_gap", "gguf.layout",
     [] {
       return two_tensors([](GgufBuilder* b) {
         b->tensors[1].offset += 64;
         b->tensors[2].offset += 64;
       });
     }},
    {"T16_other_alignment", "gguf.layout",
     [] {
       GgufBuilder b;
       b.alignment = 64;
       b.text("general.architecture", "other");
       b.tensor("a", {8}).tensor("b", {8});
       return b.build() + std::string(512, '\0');
     }},
};

const Case kVocabularyCases[] = {
    {"V00_good", "ok", [] { return vocabulary([](Vocabulary*) {}); }},
    {"V01_scores", "vocab.length",
     [] { return vocabulary([](Vocabulary* v) { v->scores.pop_back(); }); }},
    {"V01_types", "vocab.length",
     [] { return vocabulary([](Vocabulary* v) { v->types.push_back(1); }); }},
    {"V02_too_large", "vocab.id", [] { return vocabulary([](Vocabulary* v) { v->bos = 8; }); }},
    {"V02_negative", "vocab.id", [] { return vocabulary([](Vocabulary* v) { v->bos = -1; }); }},
    {"V03_sign", "vocab.byte_token", [] { return byte_token("<0x-1>"); }},
    {"V03_letters", "vocab.byte_token", [] { return byte_token("<0xZZ>"); }},
    {"V03_one_digit", "vocab.byte_token", [] { return byte_token("<0x1>"); }},
    {"V03_untyped", "vocab.byte_token",
     [] {
       return vocabulary([](Vocabulary* v) {
         v->types.clear();
         v->tokens[3] = "<0xG0>";
       });
     }},
    {"V03_not_a_byte", "ok",
     [] {
       return vocabulary([](Vocabulary* v) {
         v->types[3] = 1;
         v->tokens[3] = "<0xZZ>";
       });
     }},
    {"V04_good", "ok",
     [] { return vocabulary([](Vocabulary* v) {
            v->merges = {"a b", " a b"};
          }); }},
    {"V04_no_space", "vocab.merge",
     [] { return vocabulary([](Vocabulary* v) {
            v->merges = {"a b", "ab"};
          }); }},
    {"V04_unknown_piece", "vocab.merge",
     [] { return vocabulary([](Vocabulary* v) { v->merges = {"a q"}; }); }},
    {"V04_empty", "vocab.merge",
     [] { return vocabulary([](Vocabulary* v) { v->merges = {""}; }); }},
    {"V05_long_token", "ok",
     [] {
       return vocabulary(
           [](Vocabulary* v) { v->tokens[5] = std::string(limits::kGgufStringBytes, 'x'); });
     }},
    {"V06_template", "ok",
     [] {
       return vocabulary([](Vocabulary* v) {
         v->chat = "{{ ''.__class__.__mro__ }}\x1b]0;x\x07" + std::string(5000, 'y');
       });
     }},
};

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  return info.param.id;
}
INSTANTIATE_TEST_SUITE_P(Header, MalformedGguf, ::testing::ValuesIn(kHeaderCases), name_of);
INSTANTIATE_TEST_SUITE_P(Keys, MalformedGguf, ::testing::ValuesIn(kKeyCases), name_of);
INSTANTIATE_TEST_SUITE_P(Tensors, MalformedGguf, ::testing::ValuesIn(kTensorCases), name_of);
INSTANTIATE_TEST_SUITE_P(Vocabulary, MalformedGguf, ::testing::ValuesIn(kVocabularyCases), name_of);

TEST(GgufHeader, CutInTheFixedPartIsTruncated) {  // G03
  const std::string whole = TinyLlama().build();
  for (std::size_t n = 4; n < 24; ++n)
    EXPECT_EQ(code_of(whole.substr(0, n)), "gguf.truncated") << n;
}

TEST(GgufHeader, CutInsideAValueIsTruncated) {  // K12
  const auto sweep = [](const GgufBuilder& b, std::size_t value_bytes) {
    const std::string whole = b.build();
    for (std::size_t cut = 1; cut <= value_bytes; ++cut) {
      EXPECT_EQ(code_of(whole.substr(0, whole.size() - cut)), "gguf.truncated") << cut;
    }
  };
  const std::string key = "a.key.of.some.length";
  sweep(GgufBuilder().u64(key, 7), 8 + 4 + key.size() - 8);
  sweep(GgufBuilder().text(key, "twenty letters of it"), 8 + 20 + 4);
  sweep(GgufBuilder().array<std::uint16_t>(key, GgufType::u16, {1, 2, 3, 4, 5}), 12 + 10);
  sweep(GgufBuilder().texts(key, {"one", "two", "three"}), 12 + 3 * 8 + 11);
}

TEST(GgufHeader, MessageOfACutFileSaysHowMuchIsThere) {  // T15
  const std::string whole = TinyLlama().build();
  GgufBuilder b;
  TinyLlama().add_keys(&b);
  TinyLlama().add_tensors(&b);
  std::string what;
  code_of(whole.substr(0, whole.size() - b.data_bytes() / 2), &what);
  EXPECT_NE(what.find(std::to_string(b.data_bytes() - b.data_bytes() / 2) + " of " +
                      std::to_string(b.data_bytes()) + " bytes"),
            std::string::npos)
      << what;
}

TEST(GgufHeader, SixtyMillionEmptyStringsAreRefusedWithoutMemory) {  // K10
  const TempFolder folder;
  const std::uint64_t count = 60ull << 20;
  GgufBuilder b;
  TinyLlama().add_keys(&b);
  b.raw("x", kArray, array_value(kString, count));
  const std::string path = folder.write("bomb.gguf", b.build());
  std::filesystem::resize_file(path, b.build().size() + count * 8);  // the rest is a hole of zeros
  const testing::Watchdog watchdog;
  const testing::PeakMemory memory;
  const auto model = open_gguf(path);
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code, "gguf.array");
  EXPECT_LT(memory.growth(), 64 * kMiB);
}

TEST(GgufHeader, ManyNearlyEqualKeysAreFast) {  // K18
  GgufBuilder b;
  TinyLlama().add_keys(&b);
  std::string key(200, 'k');
  for (int i = 0; i < 65'000; ++i) {
    const std::string digits = std::to_string(100'000 + i);
    b.u32(key.replace(key.size() - 6, 6, digits), 1);
  }
  TinyLlama().add_tensors(&b);
  const TempFolder folder;
  const std::string path = folder.write("keys.gguf", b.build());
  const testing::Watchdog watchdog(testing::kSanitized ? 5 : 1);
  EXPECT_TRUE(open_gguf(path).has_value());
}

TEST(GgufHeader, AMillionTensorsFitTheBudget) {  // T17
  const TempFolder folder;
  GgufBuilder b;
  b.alignment = 32;
  b.text("general.architecture", "other");
  for (int i = 0; i < 1'000'000; ++i) b.tensor(std::string("t").append(std::to_string(i)), {1});
  b.write_data = false;
  std::string bytes = b.build();
  const std::uint64_t header = bytes.size();
  const std::string path = folder.write("many.gguf", bytes);
  std::filesystem::resize_file(path, header + b.data_bytes());
  b = GgufBuilder();
  bytes = {};
  bytes.shrink_to_fit();
  const testing::Watchdog watchdog;
  const testing::PeakMemory memory;
  const auto model = open_gguf(path);
  ASSERT_TRUE(model.has_value()) << model.error().what;
  EXPECT_EQ(model->tensors.size(), 1'000'000u);
  EXPECT_LT(memory.growth(), 64 * kMiB + 2 * header);
}

/// Opens bytes that only the read hook knows; the file itself only has their size.
class InMemory {
 public:
  Result<ModelFile> open(std::string_view bytes) {
    if (bytes.size() != size_) {
      folder_.write("sweep.gguf", "");
      std::filesystem::resize_file(path_, bytes.size());
      size_ = bytes.size();
    }
    return open_gguf(path_, [bytes](int, void* to, std::size_t n, std::uint64_t at) {
      n = std::min<std::size_t>(n, bytes.size() - at);
      std::memcpy(to, bytes.data() + at, n);
      return static_cast<std::int64_t>(n);
    });
  }

 private:
  TempFolder folder_;
  std::string path_ = folder_.file("sweep.gguf");
  std::size_t size_ = ~std::size_t{0};
};

std::vector<std::string> small_files() {
  GgufBuilder mixed;
  mixed.text("general.architecture", "other").array<std::int32_t>("a", GgufType::i32, {1, 2});
  mixed.texts("s", {"x", "yz"}).boolean("b", true);
  mixed.tensor("blk.0.w", {32, 2}, "Q8_0").tensor("n", {4});
  GgufBuilder model;
  TinyLlama tiny;
  tiny.n_layers = 1;
  tiny.add_keys(&model);
  model.n_tensors = 0;
  GgufBuilder words;
  TinyLlama().add_keys(&words);
  words.text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", {"a", "b"});
  words.texts("tokenizer.ggml.merges", {"a b"});
  return {mixed.build(), model.build(), words.build()};
}

TEST(GgufHeader, EveryPrefixEndsInOkOrACode) {
  InMemory file;
  for (const std::string& whole : small_files()) {
    ASSERT_TRUE(file.open(whole).has_value());
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const auto model = file.open(std::string_view(whole).substr(0, n));
      EXPECT_TRUE(model.has_value() || model.error().code.find('.') != std::string::npos);
    }
  }
}

TEST(GgufHeader, EveryChangedByteEndsInOkOrACode) {
  InMemory file;
  std::size_t refused = 0;
  for (const std::string& whole : small_files()) {
    std::string changed = whole;
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        changed[at] = static_cast<char>(value);
        const auto model = file.open(changed);
        if (!model) {
          ++refused;
          EXPECT_NE(model.error().code.find('.'), std::string::npos);
        }
      }
      changed[at] = whole[at];
    }
  }
  EXPECT_GT(refused, 1000u);
}

TEST(GgufVocabulary, ATemplateIsCutAndKeptAsItIs) {  // V06
  const TempFolder folder;
  const auto model = open_gguf(folder.write("m.gguf", vocabulary([](Vocabulary* v) {
                                              v->chat = "{% x %}\x1b" + std::string(5000, 'y');
                                            })));
  ASSERT_TRUE(model.has_value()) << model.error().what;
  EXPECT_TRUE(model->vocabulary.has_chat_template);
  EXPECT_EQ(model->vocabulary.chat_template_head.size(), 200u);
  EXPECT_EQ(model->vocabulary.n_tokens, 8u);
}

}  // namespace
}  // namespace hwdb
