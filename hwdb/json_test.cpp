// SPDX-License-Identifier: MIT
#include "hwdb/json.h"

#include <gtest/gtest.h>

namespace hwdb {
namespace {

std::string code_of(std::string_view text) {
  auto parsed = parse_json(text, "test");
  return parsed ? "ok" : parsed.error().code;
}

TEST(Json, KeepsOrderAndIntegers) {
  auto parsed = parse_json(
      R"({"b":18446744073709551615,"a":-9223372036854775808,"c":1.5,"d":[true,null,"x"]})", "t");
  ASSERT_TRUE(parsed);
  EXPECT_EQ((*parsed->as_object())[0].first, "b");
  EXPECT_EQ(parsed->find("b")->as_uint64(), 18446744073709551615ull);
  EXPECT_FALSE(parsed->find("b")->as_int64());
  EXPECT_EQ(parsed->find("a")->as_int64(), INT64_MIN);
  EXPECT_FALSE(parsed->find("c")->is_integer());
  EXPECT_EQ(write_json(*parsed),
            R"({"b":18446744073709551615,"a":-9223372036854775808,"c":1.5,"d":[true,null,"x"]})");
}

TEST(Json, RefusesWithCodes) {
  EXPECT_EQ(code_of(R"({"a":1,"a":2})"), "json.duplicate");
  EXPECT_EQ(code_of(R"({"a":1e999})"), "json.type");
  EXPECT_EQ(code_of("{\"a\":\"\xff\"}"), "json.utf8");
  EXPECT_EQ(code_of("{} x"), "json.syntax");
  EXPECT_EQ(code_of(""), "json.syntax");
  EXPECT_EQ(code_of(std::string(64, '[') + std::string(64, ']')), "ok");
  EXPECT_EQ(code_of(std::string(65, '[') + std::string(65, ']')), "json.limit");
  EXPECT_EQ(code_of(std::string(200000, '[')), "json.limit");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_EQ(code_of(many + "\"k99\":1}"), "json.duplicate");
  EXPECT_EQ(code_of(many + "\"z\":1}"), "ok");
  auto large = parse_json("[1,2,3]", "t", 6);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, "json.limit");
}

TEST(Json, StringsAreAlwaysUtf8) {
  std::string out;
  append_json_string(&out, "a\"\\\n\x01\xff\xc3\xa4\xed\xa0\x80");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\\\\xff\xc3\xa4\\\\xed\\\\xa0\\\\x80\"");
  EXPECT_TRUE(parse_json(out, "t"));
}

TEST(Json, WriterSeparates) {
  std::string out;
  JsonWriter w(&out);
  w.begin_object()
      .member("a", 1)
      .key("b")
      .begin_array()
      .value(1.0)
      .value("x")
      .begin_object()
      .end_object()
      .end_array();
  w.member("c", true).key("d").null().end_object();
  EXPECT_EQ(out, R"({"a":1,"b":[1,"x",{}],"c":true,"d":null})");
  auto document = parse_json(out, "t");
  ASSERT_TRUE(document);
  EXPECT_EQ(write_json(*document, 2),
            "{\n  \"a\": 1,\n  \"b\": [\n    1,\n    \"x\",\n    {}\n  ],\n  \"c\": true,\n  "
            "\"d\": null\n}");
}

}  // namespace
}  // namespace hwdb
