// SPDX-License-Identifier: MIT
// Rows F, H and J of the table of malformed input, shapes from config.json, and the stores.
#include "hwdb/model_file.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hwdb/file_reader.h"
#include "hwdb/gguf_split.h"
#include "hwdb/hf_config.h"
#include "hwdb/json.h"
#include "hwdb/limits.h"
#include "hwdb/model_stores.h"
#include "hwdb/safetensors.h"
#include "hwdb/testing/gguf_builder.h"
#include "hwdb/testing/limits_watch.h"
#include "hwdb/testing/safetensors_builder.h"
#include "hwdb/testing/temp_folder.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

namespace fs = std::filesystem;
using testing::safetensors;
using testing::st_tensor;
using testing::TempFolder;
using testing::TinyLlama;

std::string open_code(const std::string& path) {
  const testing::Watchdog watchdog;
  const auto model = open_model_file(path);
  return model ? "ok" : model.error().code;
}

// ---- F: files ----

TEST(ModelFiles, SmallOnesAreTruncated) {  // F01, F02
  const TempFolder folder;
  EXPECT_EQ(open_code(folder.write("a", "")), "file.truncated");
  EXPECT_EQ(open_code(folder.write("b", "GG")), "file.truncated");
  EXPECT_EQ(open_code(folder.write("c", "GGUF")), "gguf.truncated");
}

TEST(ModelFiles, OnlyRegularFilesAreRead) {  // F03
  const TempFolder folder;
  EXPECT_EQ(open_code(folder.path().string()), "file.not_regular");
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);
  EXPECT_EQ(open_code(folder.file("pipe")), "file.not_regular");
  EXPECT_EQ(open_code("/dev/zero"), "file.not_regular");
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_GE(fd, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, folder.file("sock").c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(open_code(folder.file("sock")), "file.not_regular");
  ::close(fd);
}

TEST(ModelFiles, WhatCannotBeOpenedSaysWhy) {  // F04
  const TempFolder folder;
  const auto missing = open_model_file(folder.file("missing.gguf"));
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, "file.open");
  EXPECT_NE(missing.error().what.find("No such file"), std::string::npos);
  fs::create_symlink("nowhere", folder.file("dangling"));
  EXPECT_EQ(open_code(folder.file("dangling")), "file.open");
  fs::create_symlink("loop", folder.file("loop"));
  EXPECT_EQ(open_code(folder.file("loop")), "file.open");
  if (::geteuid() != 0) {
    const std::string closed = folder.write("closed", "GGUF");
    fs::permissions(closed, fs::perms::none);
    EXPECT_EQ(open_code(closed), "file.open");
  }
}

TEST(ModelFiles, AChangeWhileReadingIsNoticed) {  // F05
  const TempFolder folder;
  const std::string path = folder.write("m.gguf", TinyLlama().build());
  const auto during = [&](const std::function<void()>& change) {
    folder.write("m.gguf", TinyLlama().build());
    bool done = false;
    const auto model = open_gguf(path, [&](int fd, void* to, std::size_t n, std::uint64_t at) {
      if (!std::exchange(done, true)) change();
      return static_cast<std::int64_t>(::pread(fd, to, n, static_cast<off_t>(at)));
    });
    return model ? "ok" : model.error().code;
  };
  EXPECT_EQ(during([] {}), "ok");
  EXPECT_EQ(during([&] { fs::resize_file(path, 10); }), "file.changed");
  EXPECT_EQ(during([&] { fs::resize_file(path, 1 << 20); }), "file.changed");
  EXPECT_EQ(during([&] {
              folder.write("other", TinyLlama().build());
              fs::rename(folder.file("other"), path);
            }),
            "file.changed");
}

TEST(ModelFiles, ReadFaultsNameTheirPlace) {  // F06
  const TempFolder folder;
  const std::string path = folder.write("m.gguf", TinyLlama().build());
  const auto fails = [](int, void*, std::size_t, std::uint64_t) -> std::int64_t {
    errno = EIO;
    return -1;
  };
  const auto model = open_gguf(path, fails);
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code, "file.read");
  EXPECT_NE(model.error().what.find("byte 0"), std::string::npos);
  // Interruptions and short counts are no faults.
  int calls = 0;
  const auto slow =
      open_gguf(path, [&](int fd, void* to, std::size_t n, std::uint64_t at) -> std::int64_t {
        if (++calls % 3 == 0) {
          errno = EINTR;
          return -1;
        }
        return ::pread(fd, to, std::min<std::size_t>(n, 7), static_cast<off_t>(at));
      });
  EXPECT_TRUE(slow.has_value());
}

TEST(ModelFiles, OtherFormatsAreNamed) {  // F07
  const TempFolder folder;
  const auto words = [&](std::string_view bytes) {
    const auto model = open_model_file(folder.write("m.bin", bytes));
    EXPECT_FALSE(model.has_value());
    if (model) return std::string();
    EXPECT_EQ(model.error().code, "file.unknown_format") << model.error().what;
    return model.error().what;
  };
  EXPECT_NE(words("\x1f\x8b\x08xxxxxxxx").find("gzip"), std::string::npos);
  EXPECT_NE(words("PK\x03\x04xxxxxxxxxx").find("zip"), std::string::npos);
  EXPECT_NE(words("\x80\x02}q\x01xxxxxx").find("pickle"), std::string::npos);
  EXPECT_NE(words("<!DOCTYPE html><html>").find("HTML"), std::string::npos);
  EXPECT_NE(words("version https://git-lfs.github.com/spec/v1\noid").find("LFS"),
            std::string::npos);
  EXPECT_NE(words("lmggxxxxxxxxxxxx").find("GGML"), std::string::npos);
  EXPECT_NE(words("tjggxxxxxxxxxxxx").find("GGJT"), std::string::npos);
  EXPECT_NE(words("nothing known at all").find("no known format"), std::string::npos);
}

TEST(ModelFiles, ASparseTebibyteIsCheap) {  // F08
  const TempFolder folder;
  const std::string path = folder.write("m.gguf", TinyLlama().build());
  std::error_code error;
  fs::resize_file(path, std::uint64_t{1} << 40, error);
  if (error) GTEST_SKIP() << "this file system holds no sparse file of 1 TiB";
  const testing::PeakMemory memory;
  EXPECT_EQ(open_code(path), "ok");
  EXPECT_LT(memory.growth(), 64 * kMiB);
}

TEST(ModelFiles, OddNamesWorkAndAreShownEscaped) {  // F09
  const TempFolder folder;
  for (const std::string name : {"a\nb.gguf", "a\x1b[31m.gguf", "\xff\xfe.gguf", "-rf.gguf"}) {
    EXPECT_EQ(open_code(folder.write(name, TinyLlama().build())), "ok");
  }
  const auto model = open_model_file(folder.write("x\n\x1b.gguf", "GGUF"));
  ASSERT_FALSE(model.has_value());
  EXPECT_NE(model.error().where.find("x\\x0a\\x1b.gguf"), std::string::npos) << model.error().where;
  EXPECT_EQ(escape_text("a\xe2\x80\xae"
                        "b\xc3\xa4"),
            "a\\xe2\\x80\\xaeb\xc3\xa4");
  EXPECT_EQ(escape_text("abcdef", 3), "abc...");
}

TEST(ModelFiles, FoldersAndPlans) {
  const TempFolder folder;
  folder.write("one/model.gguf", TinyLlama().build());
  folder.write("one/mmproj-model.gguf", "x");
  EXPECT_EQ(open_code(folder.file("one")), "ok");
  EXPECT_TRUE(check_plannable(*open_model_file(folder.file("one"))).has_value());
  folder.write("one/second.gguf", TinyLlama().build());
  EXPECT_EQ(open_code(folder.file("one")), "file.unknown_format");
  testing::GgufBuilder words;
  TinyLlama().add_keys(&words);
  const auto vocabulary = open_model_file(folder.write("vocab.gguf", words.build()));
  ASSERT_TRUE(vocabulary.has_value());
  EXPECT_EQ(check_plannable(*vocabulary).error().code,
            "model.inconsistent");  // P11: no tensors at all
  const auto nothing = open_model_file(folder.write("empty.gguf", testing::GgufBuilder().build()));
  ASSERT_TRUE(nothing.has_value());  // G08
  EXPECT_EQ(check_plannable(*nothing).error().code, "model.missing_key");
}

// ---- H: safetensors ----

struct Case {
  std::string id, code;
  std::function<std::string()> bytes;
};
class MalformedSafetensors : public ::testing::TestWithParam<Case> {};
TEST_P(MalformedSafetensors, GivesItsCode) {
  const testing::Watchdog watchdog;
  const TempFolder folder;
  const auto model = open_model_file(folder.write("m.safetensors", GetParam().bytes()));
  EXPECT_EQ(model ? "ok" : model.error().code, GetParam().code)
      << (model ? "" : model.error().what);
}
std::string one(std::string_view dtype, std::string_view shape, std::uint64_t begin,
                std::uint64_t end, std::uint64_t data) {
  return safetensors("{" + st_tensor("t", dtype, shape, begin, end) + "}", data);
}
std::string info(std::string_view value) {
  return safetensors("{\"t\":" + std::string(value) + "}", 4);
}
std::string claimed(std::uint64_t length) {
  std::string out = safetensors("{}", 0);
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(length >> (8 * i) & 0xFF);
  return out;
}
std::string same_range() {
  std::string header = "{";
  for (int i = 0; i < 100'000; ++i)
    header += (i > 0 ? "," : "") + st_tensor("t" + std::to_string(i), "U8", "[4]", 0, 4);
  return safetensors(header + "}", 4);
}
const Case kSafetensors[] = {
    {"H01_seven", "st.truncated", [] { return std::string(7, '\1'); }},
    {"H02_over_limit", "st.header_length",
     [] { return claimed(limits::kSafetensorsHeaderBytes + 1); }},
    {"H02_longer_than_file", "st.header_length", [] { return claimed(1000); }},
    {"H02_wraps", "st.header_length", [] { return claimed(~std::uint64_t{0} - 3); }},
    {"H03_not_utf8", "st.json", [] { return safetensors("{\"\xff\":1}", 0); }},
    {"H03_not_json", "st.json", [] { return safetensors("{nope}", 0); }},
    {"H03_space_before", "st.json", [] { return safetensors(" {}", 0); }},
    {"H03_bom", "st.json", [] { return safetensors("\xef\xbb\xbf{}", 0); }},
    {"H03_bytes_after", "st.json", [] { return safetensors("{}x", 0); }},
    {"H03_newline_after", "st.json", [] { return safetensors("{}\n", 0); }},
    {"H04_deep", "st.json_depth",
     [] {
       return safetensors("{\"a\":" + std::string(200'000, '[') + std::string(200'000, ']') + "}",
                          0);
     }},
    {"H05_tensor_twice", "st.duplicate",
     [] {
       return safetensors(
           "{" + st_tensor("t", "U8", "[2]", 0, 2) + "," + st_tensor("t", "U8", "[2]", 2, 4) + "}",
           4);
     }},
    {"H05_field_twice", "st.duplicate",
     [] { return info(R"({"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]})"); }},
    {"H06_missing", "st.info", [] { return info(R"({"dtype":"U8","shape":[4]})"); }},
    {"H06_extra", "st.info",
     [] { return info(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1})"); }},
    {"H06_not_object", "st.info", [] { return info("7"); }},
    {"H06_dtype_number", "st.info",
     [] { return info(R"({"dtype":8,"shape":[4],"data_offsets":[0,4]})"); }},
    {"H06_one_offset", "st.info",
     [] { return info(R"({"dtype":"U8","shape":[4],"data_offsets":[4]})"); }},
    {"H06_three_offsets", "st.info",
     [] { return info(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4,8]})"); }},
    {"H06_negative", "st.info",
     [] { return info(R"({"dtype":"U8","shape":[4],"data_offsets":[-1,4]})"); }},
    {"H06_fraction", "st.info",
     [] { return info(R"({"dtype":"U8","shape":[1.5],"data_offsets":[0,4]})"); }},
    {"H06_huge", "st.info",
     [] { return info(R"({"dtype":"U8","shape":[4],"data_offsets":[0,1e30]})"); }},
    {"H06_text", "st.info",
     [] { return info(R"({"dtype":"U8","shape":[4],"data_offsets":[0,"8"]})"); }},
    {"H06_17_dims", "st.info",
     [] { return one("U8", "[4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", 0, 4, 4); }},
    {"H06_16_dims", "ok", [] { return one("U8", "[4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", 0, 4, 4); }},
    {"H07_dtype", "st.dtype", [] { return one("Q4_0", "[4]", 0, 4, 4); }},
    {"H08_product", "st.overflow", [] { return one("U8", "[4294967296,4294967296,2]", 0, 4, 4); }},
    {"H08_bits", "st.overflow", [] { return one("F64", "[4611686018427387904]", 0, 4, 4); }},
    {"H09_half_byte", "st.misaligned", [] { return one("F4", "[3]", 0, 2, 2); }},
    {"H10_backwards", "st.size", [] { return one("U8", "[4]", 4, 0, 4); }},
    {"H10_other_size", "st.size", [] { return one("F32", "[4]", 0, 4, 4); }},
    {"H11_overlap", "st.offset",
     [] {
       return safetensors(
           "{" + st_tensor("a", "U8", "[4]", 0, 4) + "," + st_tensor("b", "U8", "[4]", 2, 6) + "}",
           6);
     }},
    {"H11_hole", "st.offset",
     [] {
       return safetensors(
           "{" + st_tensor("a", "U8", "[4]", 0, 4) + "," + st_tensor("b", "U8", "[4]", 6, 10) + "}",
           10);
     }},
    {"H11_first", "st.offset", [] { return one("U8", "[4]", 4, 8, 8); }},
    {"H11_many", "st.offset", same_range},
    {"H12_short", "st.incomplete", [] { return one("U8", "[4]", 0, 4, 3); }},
    {"H12_long", "st.incomplete", [] { return one("U8", "[4]", 0, 4, 5); }},
    {"H13_number", "st.metadata",
     [] { return safetensors(R"({"__metadata__":{"format":1}})", 0); }},
    {"H13_text", "st.metadata", [] { return safetensors(R"({"__metadata__":"pt"})", 0); }},
    {"H14_scalar", "ok", [] { return one("F32", "[]", 0, 4, 4); }},
    {"H14_zero", "ok", [] { return one("F32", "[0,5]", 0, 0, 0); }},
    {"H14_padded", "ok",
     [] { return safetensors("{" + st_tensor("a", "U8", "[4]", 0, 4) + "}     ", 4); }},
    {"H14_nan", "ok",
     [] {
       std::string s = one("F32", "[1]", 0, 4, 4);
       s.replace(s.size() - 4, 4, "\xff\xff\xff\xff");
       return s;
     }},
};
const auto kName = [](const auto& i) { return i.param.id; };
INSTANTIATE_TEST_SUITE_P(Rows, MalformedSafetensors, ::testing::ValuesIn(kSafetensors), kName);

TEST(Safetensors, PrefixesAndChangedBytesEndInOkOrACode) {
  const TempFolder folder;
  const std::string whole = safetensors("{\"__metadata__\":{\"format\":\"pt\"}," +
                                            st_tensor("a", "BF16", "[2,3]", 0, 12) + "," +
                                            st_tensor("b", "F4", "[4]", 12, 14) + "}",
                                        14);
  std::size_t refused = 0;
  // The file has the size, the hook the bytes: nothing is written for a changed byte.
  const std::string path = folder.write("m.safetensors", "");
  const auto attempt = [&](const std::string& bytes) {
    if (fs::file_size(path) != bytes.size()) fs::resize_file(path, bytes.size());
    const auto file = FileReader::open(path, [&](int, void* to, std::size_t n, std::uint64_t at) {
      std::memcpy(to, bytes.data() + at, n);
      return static_cast<std::int64_t>(n);
    });
    ASSERT_TRUE(file.has_value());
    const auto header = read_safetensors_header(*file);
    if (!header) {
      ++refused;
      EXPECT_TRUE(header.error().code.starts_with("st.")) << header.error().code;
    }
  };
  for (std::size_t n = 0; n < whole.size(); ++n) attempt(whole.substr(0, n));
  EXPECT_EQ(refused, whole.size());
  for (std::size_t at = 0; at < whole.size() - 14; ++at) {
    for (int value = 0; value < 256; value += testing::kSanitized ? 5 : 1) {
      std::string changed = whole;
      changed[at] = static_cast<char>(value);
      attempt(changed);
    }
  }
}

// ---- J: config.json and index ----

const std::string kLlama =
    R"({"model_type":"llama","num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,"num_key_value_heads":2,)"
    R"("intermediate_size":128,"vocab_size":96,"max_position_embeddings":512,"rope_theta":10000.0,"torch_dtype":"bfloat16")";
/// The plain Llama with some text replaced, and more members.
std::string config(std::string_view from, std::string_view to, std::string_view more = "") {
  std::string text = kLlama;
  if (!from.empty()) text.replace(text.find(from), from.size(), to);
  return text + std::string(more) + "}";
}
class MalformedConfig : public ::testing::TestWithParam<Case> {};
TEST_P(MalformedConfig, GivesItsCode) {
  const testing::Watchdog watchdog;
  const TempFolder folder;
  const auto model = open_model_file(folder.write("config.json", GetParam().bytes()));
  EXPECT_EQ(model ? "ok" : model.error().code, GetParam().code)
      << (model ? "" : model.error().what);
}
std::string layers(std::string_view value) {
  return config("\"num_hidden_layers\":2", "\"num_hidden_layers\":" + std::string(value));
}
std::string quantized(std::string_view value) {
  return config("", "", ",\"quantization_config\":" + std::string(value));
}
const Case kConfigs[] = {
    {"J00_good", "ok", [] { return config("", ""); }},
    {"J01_size", "json.limit",
     [] {
       return config("", "", ",\"x\":\"" + std::string(limits::kConfigJsonBytes, 'x') + "\"");
     }},
    {"J01_depth", "json.limit",
     [] { return config("", "", ",\"x\":" + std::string(100, '[') + std::string(100, ']')); }},
    {"J02_twice", "json.duplicate", [] { return config("", "", ",\"num_attention_heads\":0"); }},
    {"J03_string", "json.type", [] { return layers("\"2\""); }},
    {"J03_fraction", "json.type", [] { return layers("2.5"); }},
    {"J03_negative", "model.range", [] { return layers("-2"); }},
    {"J03_1e999", "json.type", [] { return layers("1e999"); }},
    {"J03_2_64", "model.range", [] { return layers("18446744073709551616"); }},
    {"J03_null", "json.type", [] { return layers("null"); }},
    {"J03_true", "json.type", [] { return layers("true"); }},
    {"J04_layers", "model.range", [] { return layers("0"); }},
    {"J04_hidden", "model.range", [] { return config("\"hidden_size\":64", "\"hidden_size\":0"); }},
    {"J04_heads", "model.range",
     [] { return config("\"num_attention_heads\":4", "\"num_attention_heads\":0"); }},
    {"J04_kv_heads", "model.range",
     [] { return config("\"num_key_value_heads\":2", "\"num_key_value_heads\":0"); }},
    {"J04_vocabulary", "model.range",
     [] { return config("\"vocab_size\":96", "\"vocab_size\":0"); }},
    {"J05_text_missing", "model.missing_key",
     [] { return std::string(R"({"model_type":"gemma3","vision_config":{"hidden_size":8}})"); }},
    {"J05_text_no_object", "model.missing_key",
     [] { return std::string(R"({"model_type":"gemma3","text_config":7})"); }},
    {"J05_vision_no_object", "model.missing_key",
     [] { return config("", "", ",\"vision_config\":[1]"); }},
    {"J05_no_type", "model.missing_key", [] { return std::string(R"({"hidden_size":8})"); }},
    {"J06_bits_0", "model.range", [] { return quantized(R"({"quant_method":"awq","bits":0})"); }},
    {"J06_bits_negative", "model.range",
     [] { return quantized(R"({"quant_method":"awq","bits":-4})"); }},
    {"J06_bits_3000", "model.range",
     [] { return quantized(R"({"quant_method":"gptq","bits":3000})"); }},
    {"J06_group_0", "model.range",
     [] { return quantized(R"({"quant_method":"gptq","bits":4,"group_size":0})"); }},
    {"J06_group_whole_row", "ok",
     [] { return quantized(R"({"quant_method":"gptq","bits":4,"group_size":-1})"); }},
    {"J07_auto_map", "ok",
     [] {
       return config("", "", R"(,"auto_map":{"AutoModel":"evil.py--x"},"custom_pipelines":{})");
     }},
    {"heads_do_not_divide", "model.range",
     [] { return config("\"num_attention_heads\":4", "\"num_attention_heads\":5"); }},
    {"no_json", "json.syntax", [] { return std::string("{\"a\":}"); }},
};
INSTANTIATE_TEST_SUITE_P(Rows, MalformedConfig, ::testing::ValuesIn(kConfigs), kName);

ModelShape shape_of(const std::string& text, std::string* quantization = nullptr) {
  const auto json = parse_json(text, "config.json");
  EXPECT_TRUE(json.has_value()) << text;
  const auto read = read_hf_config(*json, "config.json");
  EXPECT_TRUE(read.has_value()) << (read ? "" : read.error().what);
  if (!read) return {};
  if (quantization != nullptr) *quantization = read->quantization;
  return read->reading.shape;
}

TEST(HfConfig, AnAutoMapIsNotedAndNeverRun) {  // J07
  const auto json = parse_json(config("", "", R"(,"auto_map":{"AutoModel":"x"})"), "c");
  EXPECT_EQ(read_hf_config(*json, "c")->reading.warnings.size(), 1u);
}

TEST(HfConfig, QuantizationIsNamed) {
  std::string words;
  shape_of(config("", ""), &words);
  EXPECT_EQ(words, "BF16");
  shape_of(quantized(R"({"quant_method":"awq","bits":4,"group_size":128})"), &words);
  EXPECT_EQ(words, "AWQ 4-bit");
  shape_of(quantized(R"({"quant_method":"fp8","weight_block_size":[128,128]})"), &words);
  EXPECT_EQ(words, "FP8");
  shape_of(quantized(R"({"quant_method":"bitsandbytes","load_in_4bit":true})"), &words);
  EXPECT_EQ(words, "BITSANDBYTES 4-bit");
}

TEST(HfConfig, DeepSeekHasALatentAndDenseFirstLayers) {
  const ModelShape s = shape_of(
      R"({"model_type":"deepseek_v3","num_hidden_layers":61,"hidden_size":7168,"num_attention_heads":128,"num_key_value_heads":128,
    "intermediate_size":18432,"moe_intermediate_size":2048,"n_routed_experts":256,"num_experts_per_tok":8,"n_shared_experts":1,"first_k_dense_replace":3,
    "kv_lora_rank":512,"q_lora_rank":1536,"qk_nope_head_dim":128,"qk_rope_head_dim":64,"v_head_dim":128,"vocab_size":129280,"max_position_embeddings":163840,
    "topk_method":"noaux_tc","num_nextn_predict_layers":1,"tie_word_embeddings":false,"rope_theta":10000,"rope_scaling":{"type":"yarn","factor":40,"original_max_position_embeddings":4096}})");
  EXPECT_EQ(s.architecture, "deepseek2");
  ASSERT_TRUE(s.mla.has_value());
  EXPECT_EQ(s.mla->kv_lora_rank, 512u);
  EXPECT_EQ(s.head_dim_k, 192u);
  EXPECT_EQ(s.head_dim_v, 128u);
  EXPECT_EQ(s.first_dense_layers, 3u);
  EXPECT_EQ(s.n_ff.at(0), 18432u);
  EXPECT_EQ(s.n_ff_shared, 2048u);
  EXPECT_TRUE(s.router_bias);
  EXPECT_EQ(s.mtp_layers, 1u);
  EXPECT_EQ(s.rope.scaling, "yarn");
  EXPECT_EQ(s.rope.original_context, 4096u);
}

TEST(HfConfig, GptOssAlternatesItsWindows) {
  const ModelShape s = shape_of(
      R"({"model_type":"gpt_oss","num_hidden_layers":4,"hidden_size":2880,"num_attention_heads":64,"num_key_value_heads":8,"head_dim":64,
    "intermediate_size":2880,"num_local_experts":32,"num_experts_per_tok":4,"sliding_window":128,"vocab_size":201088,"attention_bias":true,
    "layer_types":["sliding_attention","full_attention","sliding_attention","full_attention"]})");
  EXPECT_EQ(s.global_layers, (std::vector<std::uint32_t>{1, 3}));
  EXPECT_EQ(s.n_ff_expert, 2880u);
  EXPECT_EQ(s.n_ff.at(0), 0u);
  EXPECT_TRUE(s.attn_sinks && s.attn_qkv_bias && s.attn_out_bias && s.expert_bias);
}

TEST(HfConfig, GemmaThreeTakesItsClassDefaults) {
  const ModelShape s = shape_of(
      R"({"model_type":"gemma3","architectures":["Gemma3ForConditionalGeneration"],"vision_config":{"hidden_size":1152},
    "text_config":{"model_type":"gemma3_text","hidden_size":2560,"intermediate_size":10240,"num_hidden_layers":34,"sliding_window":1024,
    "rope_scaling":{"factor":8.0,"rope_type":"linear"}}})");
  EXPECT_TRUE(s.vision);
  EXPECT_EQ(s.n_heads.at(0), 8u);
  EXPECT_EQ(s.n_kv_heads.at(0), 4u);
  EXPECT_EQ(s.head_dim_k, 256u);
  EXPECT_EQ(s.global_layers, (std::vector<std::uint32_t>{5, 11, 17, 23, 29}));
  EXPECT_EQ(s.norms_per_layer, 4u);
  EXPECT_TRUE(s.tie_embeddings);
}

TEST(HfConfig, WindowsOfMistralAndQwen) {
  EXPECT_TRUE(
      shape_of(config("\"llama\"", "\"mistral\"", ",\"sliding_window\":256")).all_layers_sliding);
  EXPECT_EQ(shape_of(config("\"llama\"", "\"mistral\"", ",\"sliding_window\":null")).sliding_window,
            0u);
  EXPECT_EQ(shape_of(config("\"llama\"", "\"qwen2\"",
                            ",\"sliding_window\":256,\"use_sliding_window\":false"))
                .sliding_window,
            0u);
  EXPECT_TRUE(shape_of(config("\"llama\"", "\"qwen2\"")).attn_qkv_bias);
  EXPECT_EQ(shape_of(config("\"llama\"", "\"qwen3\"")).qk_norm, ModelShape::QkNorm::per_head_dim);
}

TEST(HfConfig, LlamaFourIsChunkedAndInterleaved) {
  const ModelShape s = shape_of(
      R"({"model_type":"llama4","vision_config":{},"text_config":{"model_type":"llama4_text","num_hidden_layers":8,"hidden_size":5120,
    "num_attention_heads":40,"num_key_value_heads":8,"head_dim":128,"intermediate_size":8192,"intermediate_size_mlp":16384,"num_local_experts":128,
    "num_experts_per_tok":1,"interleave_moe_layer_step":2,"attention_chunk_size":8192,"vocab_size":202048}})");
  EXPECT_EQ(s.chunked_attention, 8192u);
  EXPECT_EQ(s.global_layers, (std::vector<std::uint32_t>{3, 7}));
  EXPECT_EQ(s.moe_layer_step, 2u);
  EXPECT_EQ(s.moe_layer_offset, 1u);
  EXPECT_EQ(s.n_ff.at(0), 16384u);
  EXPECT_EQ(s.n_ff_shared, 8192u);
}

TEST(HfConfig, OldFamiliesWithTheirOwnNames) {
  const ModelShape gpt2 = shape_of(
      R"({"model_type":"gpt2","n_layer":48,"n_embd":1600,"n_head":25,"n_positions":1024,"n_ctx":1024,"vocab_size":50257})");
  EXPECT_EQ(gpt2.n_ff.at(0), 6400u);
  EXPECT_EQ(gpt2.learned_positions, 1024u);
  EXPECT_TRUE(gpt2.tie_embeddings && gpt2.mlp_bias);
  EXPECT_EQ(gpt2.norm, ModelShape::Norm::layernorm);
  const ModelShape falcon = shape_of(
      R"({"model_type":"falcon","num_hidden_layers":32,"hidden_size":4544,"num_attention_heads":71,"multi_query":true,"vocab_size":65024,"bias":false})");
  EXPECT_EQ(falcon.n_kv_heads.at(0), 1u);
  EXPECT_EQ(falcon.n_ff.at(0), 18176u);
  const ModelShape elm = shape_of(
      R"({"model_type":"openelm","num_transformer_layers":3,"model_dim":1280,"head_dim":64,"num_query_heads":[12,12,16],"num_kv_heads":[3,3,4],
    "ffn_multipliers":[0.5,0.73,4.0],"ffn_dim_divisor":256,"vocab_size":32000,"max_context_length":2048})");
  EXPECT_EQ(elm.n_ff.values, (std::vector<std::uint32_t>{768, 1024, 5120}));
  EXPECT_EQ(elm.n_heads.at(2), 16u);
  EXPECT_EQ(elm.n_kv_heads.at(0), 3u);
}

TEST(HfConfig, HybridsNameTheirAttentionLayers) {
  const ModelShape next = shape_of(
      R"({"model_type":"qwen3_next","num_hidden_layers":8,"hidden_size":2048,"num_attention_heads":16,"num_key_value_heads":2,"head_dim":256,
    "intermediate_size":5120,"moe_intermediate_size":512,"num_experts":512,"num_experts_per_tok":10,"shared_expert_intermediate_size":512,"decoder_sparse_step":1,
    "full_attention_interval":4,"linear_num_key_heads":16,"linear_num_value_heads":32,"linear_key_head_dim":128,"linear_value_head_dim":128,"linear_conv_kernel_dim":4,"vocab_size":151936})");
  EXPECT_EQ(next.attention_layers, (std::vector<std::uint32_t>{3, 7}));
  EXPECT_EQ(next.ssm->n_v_heads, 32u);
  EXPECT_EQ(next.n_shared_experts, 1u);
  EXPECT_EQ(next.n_ff.at(0), 0u);
}

// ---- J08 to J10: index ----

struct IndexCase {
  std::string map = R"({"a":"s1.safetensors","b":"s2.safetensors"})";
  std::string metadata = R"(,"metadata":{"total_size":8})";
  bool second = true;
};
Result<ModelFile> open_index(
    const IndexCase& c,
    const std::function<void(const TempFolder&)>& change = [](const TempFolder&) {}) {
  const TempFolder folder;
  folder.write("m/config.json", config("", ""));
  folder.write("m/s1.safetensors", safetensors("{" + st_tensor("a", "U8", "[4]", 0, 4) + "}", 4));
  if (c.second)
    folder.write("m/s2.safetensors", safetensors("{" + st_tensor("b", "U8", "[4]", 0, 4) + "}", 4));
  folder.write("m/model.safetensors.index.json", "{\"weight_map\":" + c.map + c.metadata + "}");
  change(folder);
  return open_model_file(folder.file("m"));
}
std::string index_code(const IndexCase& c) {
  const auto model = open_index(c);
  return model ? "ok" : model.error().code;
}

TEST(SafetensorsIndex, OpensItsShards) {
  const auto model = open_index({});
  ASSERT_TRUE(model.has_value()) << model.error().what;
  EXPECT_EQ(model->paths.size(), 2u);
  EXPECT_EQ(model->tensors.size(), 2u);
  EXPECT_EQ(model->tensors[1].shard, 1u);
  EXPECT_TRUE(model->warnings.empty());
}

TEST(SafetensorsIndex, ShardNamesStayInTheFolder) {  // J08
  for (const std::string name :
       {"/etc/passwd", "../s1.safetensors", "x/s1.safetensors", "x\\\\s1", "..", "", "a\\u0000b"}) {
    EXPECT_EQ(index_code({.map = "{\"a\":\"" + name + "\"}"}), "index.path") << name;
  }
  const auto link = [](const std::string& target) {
    return open_index({.second = false}, [&](const TempFolder& folder) {
      folder.write("outside/s2.safetensors",
                   safetensors("{" + st_tensor("b", "U8", "[4]", 0, 4) + "}", 4));
      fs::copy(folder.file("outside/s2.safetensors"), folder.file("m/real"));
      fs::create_symlink(target, folder.file("m/s2.safetensors"));
    });
  };
  EXPECT_EQ(link("../outside/s2.safetensors").error().code, "index.path");
  EXPECT_TRUE(link("real").has_value());
}

TEST(SafetensorsIndex, DisagreementsAreRefused) {  // J09
  EXPECT_EQ(index_code({.second = false}), "index.inconsistent");
  EXPECT_EQ(index_code({.map = R"({"a":"s1.safetensors","b":"s1.safetensors"})"}),
            "index.inconsistent");
  EXPECT_EQ(
      index_code({.map = R"({"a":"s1.safetensors","b":"s2.safetensors","c":"s2.safetensors"})"}),
      "index.inconsistent");
  EXPECT_EQ(index_code({.map = R"({"b":"s2.safetensors","x":"s1.safetensors"})"}),
            "index.inconsistent");
}

TEST(SafetensorsIndex, TheTotalIsCountedAgain) {  // J10
  for (const std::string metadata :
       {"", ",\"metadata\":{\"total_size\":9}", ",\"metadata\":{\"total_size\":\"x\"}"}) {
    const auto model = open_index({.metadata = metadata});
    ASSERT_TRUE(model.has_value());
    EXPECT_EQ(model->warnings.size(), 1u);
  }
}

// ---- Stores ----

std::string digest(char c) {
  return std::string(64, c);
}

TEST(ModelStores, OllamaManifestsBecomeModels) {
  const TempFolder folder;
  const auto manifest = [&](const std::string& place, const std::string& layers_text) {
    folder.write("o/manifests/" + place, "{\"schemaVersion\":2,\"layers\":[" + layers_text + "]}");
  };
  const auto layer = [](const std::string& kind, char c) {
    return "{\"mediaType\":\"application/vnd.ollama.image." + kind +
           "\",\"digest\":\"sha256:" + digest(c) + "\",\"size\":1}";
  };
  folder.write("o/blobs/sha256-" + digest('a'), TinyLlama().build());
  manifest("registry.ollama.ai/library/qwen3/8b",
           layer("license", 'c') + "," + layer("model", 'a') + "," + layer("projector", 'b'));
  manifest("registry.ollama.ai/me/own/latest", layer("model", 'a'));
  manifest("hf.co/bartowski/X-GGUF/Q4_K_M", layer("model", 'a'));
  manifest("registry.ollama.ai/library/broken/latest",
           "{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"sha256:../../x\"}");
  manifest("registry.ollama.ai/library/tensors/latest", layer("tensor", 'a'));
  const StoreRoots roots{.ollama = {folder.file("o")}, .lmstudio = {}, .hub = {}, .llama_cpp = {}};
  std::vector<std::string> warnings;
  const auto models = list_store_models(roots, &warnings);
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(models[0].id, "ollama:hf.co/bartowski/X-GGUF:Q4_K_M");
  EXPECT_EQ(models[1].id, "ollama:me/own:latest");
  EXPECT_EQ(models[2].id, "ollama:qwen3:8b");
  EXPECT_FALSE(models[2].projector.empty());
  EXPECT_EQ(warnings.size(), 2u);
  const auto found = find_store_model(roots, "ollama:qwen3:8b");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(open_code(found->path), "ok");
  EXPECT_TRUE(find_store_model(roots, "ollama:me/own").has_value());
  const auto missing = find_store_model(roots, "ollama:qwen3:9b");
  EXPECT_EQ(missing.error().code, "name.unknown");
  EXPECT_NE(missing.error().hint.find("ollama:qwen3:8b"), std::string::npos);
}

TEST(ModelStores, FilesOfLmStudioTheHubAndLlamaCpp) {
  const TempFolder folder;
  folder.write("l/pub/model/m-Q4_K_M.gguf", "x");
  folder.write("l/pub/model/mmproj-m.gguf", "x");
  folder.write("l/pub/two/a.gguf", "x");
  folder.write("l/pub/two/b-00001-of-00002.gguf", "xx");
  folder.write("l/pub/two/b-00002-of-00002.gguf", "xxx");
  folder.write("h/models--org--name/snapshots/abc/config.json", "{}");
  folder.write("h/models--org--gg/snapshots/abc/m.gguf", "x");
  folder.write("c/flat.gguf", "x");
  const StoreRoots roots{.ollama = {},
                         .lmstudio = {folder.file("l")},
                         .hub = {folder.file("h")},
                         .llama_cpp = {folder.file("c")}};
  std::vector<std::string> ids;
  for (const StoreModel& model : list_store_models(roots)) ids.push_back(model.id);
  EXPECT_EQ(ids,
            (std::vector<std::string>{"hub:org/gg/m.gguf", "hub:org/name", "llama.cpp:flat.gguf",
                                      "lmstudio:pub/model/m-Q4_K_M.gguf", "lmstudio:pub/two/a.gguf",
                                      "lmstudio:pub/two/b-00001-of-00002.gguf"}));
  EXPECT_TRUE(find_store_model(roots, "lmstudio:pub/model").has_value());
  EXPECT_EQ(find_store_model(roots, "lmstudio:pub/two").error().code, "name.ambiguous");
  EXPECT_EQ(find_store_model(roots, "lmstudio:pub/two/b-00001-of-00002.gguf")->bytes.value, 5u);
  EXPECT_TRUE(is_store_name("ollama:x") && !is_store_name("llama-3.1-8b") &&
              !is_store_name("ollama:"));
}

TEST(ModelStores, RootsFollowTheVariables) {
  const auto none = [](std::string_view) { return std::string(); };
  const StoreRoots plain = default_store_roots("/home/u", none);
  EXPECT_EQ(plain.ollama.front(), "/home/u/.ollama/models");
  EXPECT_EQ(plain.hub.front(), "/home/u/.cache/huggingface/hub");
  EXPECT_EQ(plain.llama_cpp.front(), "/home/u/.cache/llama.cpp");
  const StoreRoots own = default_store_roots("/home/u", [](std::string_view name) {
    return name == "OLLAMA_MODELS"    ? "/data/o"
           : name == "HF_HOME"        ? "/data/hf"
           : name == "XDG_CACHE_HOME" ? "relative"
                                      : "";
  });
  EXPECT_EQ(own.ollama, (std::vector<std::string>{"/data/o"}));
  EXPECT_EQ(own.hub.front(), "/data/hf/hub");
  EXPECT_EQ(own.llama_cpp.front(),
            "/home/u/.cache/llama.cpp");  // a relative cache folder does not count
  const TempFolder home;
  home.write(".lmstudio-home-pointer", "/elsewhere/lm\n");
  EXPECT_EQ(default_store_roots(home.path().string(), none).lmstudio,
            (std::vector<std::string>{"/elsewhere/lm/models"}));
  EXPECT_TRUE(default_store_roots("", none).lmstudio.empty());
}

}  // namespace
}  // namespace hwdb
