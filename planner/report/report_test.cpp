// SPDX-License-Identifier: MIT
#include "planner/report/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "planner/report/escape.h"
#include "planner/report/figures.h"

namespace report {
namespace {

TEST(Escape, TerminalShowsWhatCouldDoHarm) {
  EXPECT_EQ(escape_terminal("plain text, \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
            "plain text, \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(escape_terminal("a\x1b[31mb\r\n\t\x7f"), "a\\x1b[31mb\\x0d\\x0a\\x09\\x7f");
  EXPECT_EQ(escape_terminal(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(escape_terminal("\xc2\x9b"), "\\xc2\\x9b");                    // C1
  EXPECT_EQ(escape_terminal("\xe2\x80\xae"), "\\xe2\\x80\\xae");           // right-to-left override
  EXPECT_EQ(escape_terminal("\xe2\x81\xa6"), "\\xe2\\x81\\xa6");           // isolate
  EXPECT_EQ(escape_terminal("\xe2\x80\x8b"), "\\xe2\\x80\\x8b");           // zero width
  EXPECT_EQ(escape_terminal("\xff\xc3"), "\\xff\\xc3");                    // no UTF-8, cut short
  EXPECT_EQ(escape_terminal("\xc0\x80"), "\\xc0\\x80");                    // overlong
  EXPECT_EQ(escape_terminal("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(escape_terminal("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond Unicode
}

TEST(Escape, EveryByteAndPairStaysHarmless) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      const std::string out = escape_terminal(text);
      EXPECT_TRUE(std::ranges::none_of(out,
                                       [](char c) {
                                         const auto u = static_cast<unsigned char>(c);
                                         return u < 0x20 || u == 0x7f;
                                       }))
          << a << ' ' << b;
      EXPECT_EQ(escape_terminal(out), out);  // what comes out is clean
    }
  }
}

TEST(Escape, CsvNeverStartsAFormula) {
  EXPECT_EQ(escape_csv("plain", false), "plain");
  EXPECT_EQ(escape_csv("=1+1", false), "\"'=1+1\"");
  EXPECT_EQ(escape_csv("@x", false), "\"'@x\"");
  EXPECT_EQ(escape_csv("\tx", false), "\"'\tx\"");
  EXPECT_EQ(escape_csv("-5", true), "-5");
  EXPECT_EQ(escape_csv("-5", false), "\"'-5\"");
  EXPECT_EQ(escape_csv("a,b \"c\"\nd", false), "\"a,b \"\"c\"\"\nd\"");
  EXPECT_EQ(escape_csv("\x1b[0m", false), "\\x1b[0m");
}

TEST(Escape, MarkdownMarkup) {
  EXPECT_EQ(escape_markdown("a|b `c` <img> [x](y) *z*"),
            "a\\|b \\`c\\` \\<img\\> \\[x\\](y) \\*z\\*");
}

TEST(Escape, WidthAndCut) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("\xe4\xb8\xad\xe6\x96\x87"), 4u);  // two wide characters
  EXPECT_EQ(display_width("e\xcc\x81"), 1u);                 // combining accent
  EXPECT_EQ(cut_to_width("abcdef", 6), "abcdef");
  EXPECT_EQ(cut_to_width("abcdef", 5), "abc..");
  EXPECT_EQ(cut_to_width("\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97", 5), "\xe4\xb8\xad..");
  EXPECT_EQ(cut_to_width("abc", 1), ".");
}

TEST(Figures, DigitsByWhatTheyDeserve) {
  EXPECT_EQ(short_number(1234.5), "1234");
  EXPECT_EQ(short_number(12.34), "12");
  EXPECT_EQ(short_number(9.96), "10");
  EXPECT_EQ(short_number(3.14), "3.1");
  EXPECT_EQ(short_number(0.999), "1.0");
  EXPECT_EQ(short_number(0.412), "0.41");
  EXPECT_EQ(short_number(0.0123), "0.012");
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(context_text(131072), "128k");
  EXPECT_EQ(context_text(4607), "4.4k");  // never more than there is
  EXPECT_EQ(context_text(13568), "13k");
  EXPECT_EQ(context_text(640), "640");
  EXPECT_EQ(seconds_text(1.4583), "1.46 s");
  EXPECT_EQ(seconds_text(0.0853), "85.3 ms");
  EXPECT_EQ(seconds_text(12e-6), "12.0 us");
  EXPECT_EQ(seconds_text(210), "3.5 min");
  EXPECT_EQ(money_text(51.84), "51.84");
  EXPECT_EQ(money_text(0.041), "0.041");
  EXPECT_EQ(decimal_bytes(140e9), "140.0 GB");
  EXPECT_EQ(with_band({33, 38, 43}), "38 (33-43)");
  EXPECT_EQ(band_text({38, 38, 38}), "");
}

Report sample() {
  Report report;
  report.command = "sample";
  Section head;
  head.key = "head";
  head.title = "Head";
  head.sentences.emplace_back("A sentence that is long enough to be wrapped at forty columns.");
  head.lines = {{"size_bytes", "size", Cell("4.58 GiB", 4917801472)}, {"", "note", "for people"}};
  head.commands.push_back(
      {"launch", "", "run --with 'a very long command line that is never cut'"});
  head.notes = {"a note"};
  Section list;
  list.key = "list";
  Table table;
  table.columns = {
      {.key = "id", .title = {}},
      {.key = "name", .title = "name", .align = Align::left},
      {.key = "decode_tok_per_s", .title = "decode", .unit = "tok/s", .estimate = true},
      {.title = "band", .unit = "90 %", .priority = 1},
      {.key = "evidence", .title = "evidence", .align = Align::left, .priority = 2},
  };
  const planner::Estimate fast{90, 100, 110}, slow{0.5, 0.8, 1.5};
  table.rows.push_back({Cell("", 1), "model|a", estimate_cell(fast), band_text(fast), "MMLU 80"});
  table.rows.push_back({Cell("", 2), "=cmd()", estimate_cell(slow), band_text(slow), "none"});
  list.tables.push_back(std::move(table));
  report.sections = {head, list};
  return report;
}

TEST(Figures, EachBasisHasALetterOfItsOwn) {
  using hwdb::Basis;
  std::string letters;
  for (const Basis basis : {Basis::measured, Basis::calibrated, Basis::detected, Basis::spec,
                            Basis::modelled, Basis::unverified, Basis::assumed})
    letters.push_back(basis_letter(basis));
  EXPECT_EQ(letters, "mcdsoua");
  EXPECT_EQ(basis_legend({Basis::assumed, Basis::measured, Basis::assumed}),
            "m measured on this machine; a rests on an assumption");
  EXPECT_EQ(basis_legend({}), "");
  const Cell cell = lettered_cell({33, 38, 43, Basis::calibrated});
  EXPECT_EQ(cell.text, "38 c");
  EXPECT_EQ(cell.value.find("likely")->as_double(), 38);
  EXPECT_EQ(seconds_cell({0.1, 0.24, 0.4, Basis::modelled}).text, "0.24 s o");
}

TEST(Figures, SharesAndMilliseconds) {
  EXPECT_EQ(percent_text(0.35), "35 %");
  EXPECT_EQ(percent_text(0.098), "9.8 %");
  EXPECT_EQ(percent_text(0.0004), "< 0.1 %");
  EXPECT_EQ(percent_text(0), "0.0 %");
  EXPECT_EQ(milliseconds_text(2.874), "2874");
  EXPECT_EQ(milliseconds_text(0.0169), "16.9");
  EXPECT_EQ(milliseconds_text(0.00596), "5.96");
  EXPECT_EQ(milliseconds_text(0.00003), "0.030");
  EXPECT_EQ(seconds_band({0.38, 0.5, 0.8}), "0.38-0.80 s");
  EXPECT_EQ(seconds_band({0.05, 0.1, 0.2}), "50.0 ms-0.20 s");
  EXPECT_EQ(seconds_band({2, 2, 2}), "");
}

TEST(Columns, SomeAreForOneKindOfProgramAlone) {
  Report report;
  Section& section = report.sections.emplace_back();
  Table& table = section.tables.emplace_back();
  table.columns = {
      {.key = "a", .title = "a"}, {.key = "list", .csv = false}, {.key = "flat", .json = false}};
  table.rows = {{"-", Cell("", hwdb::Json(hwdb::Json::Array{1, 2})), Cell("", hwdb::Json(3))}};
  EXPECT_EQ(render_csv(report), "a,flat\r\n,3\r\n");
  const auto json = hwdb::parse_json(render_json(report), "");
  ASSERT_TRUE(json);
  EXPECT_EQ(hwdb::write_json(json->find("rows")->as_array()->front()),
            R"({"a":null,"list":[1,2]})");
}

TEST(Text, LaysOutAndAligns) {
  EXPECT_EQ(render_text(sample(), {80, false}),
            "Head\n"
            "  A sentence that is long enough to be wrapped at forty columns.\n"
            "  size  4.58 GiB\n"
            "  note  for people\n"
            "  run --with 'a very long command line that is never cut'\n"
            "  - a note\n"
            "\n"
            "name     decode      band  evidence\n"
            "          tok/s      90 %\n"
            "model|a     100    90-110  MMLU 80\n"
            "=cmd()     0.80  0.50-1.5  none\n");
}

TEST(Text, NarrowPagesDropColumnsAndSayWhich) {
  const std::string text = render_text(sample(), {20, false});
  EXPECT_EQ(text.find("MMLU"), std::string::npos);
  EXPECT_EQ(text.find("90-110"), std::string::npos);
  EXPECT_NE(text.find("(too narrow for:\nevidence, band)"), std::string::npos) << text;
  EXPECT_NE(text.find("model|a     100"), std::string::npos) << text;
}

TEST(Text, NoLineIsWiderThanThePageAndNoneEndsInBlanks) {
  for (std::size_t width = 20; width <= 120; ++width) {
    std::istringstream lines(render_text(sample(), {width, false}));
    for (std::string line; std::getline(lines, line);) {
      if (line.find("run --with") == std::string::npos) {
        EXPECT_LE(display_width(line), width) << line;
      }
      EXPECT_FALSE(line.ends_with(' ')) << line;
    }
  }
}

TEST(Text, ColourOnlyWhenAsked) {
  EXPECT_EQ(render_text(sample(), {80, false}).find('\x1b'), std::string::npos);
  EXPECT_NE(render_text(sample(), {80, true}).find("\x1b[1mHead\x1b[0m"), std::string::npos);
}

TEST(Text, HostileNamesStayOnTheirLine) {
  Report report = sample();
  report.sections[1].tables[0].rows[0][1] = Cell("a\nb\x1b[2J");
  const std::string text = render_text(report, {100, false});
  EXPECT_NE(text.find("a\\x0ab\\x1b[2J"), std::string::npos) << text;
}

TEST(Markdown, TablesAndFences) {
  EXPECT_EQ(render_markdown(sample()),
            "## Head\n\n"
            "A sentence that is long enough to be wrapped at forty columns.\n\n"
            "- size: 4.58 GiB\n- note: for people\n\n"
            "```sh\nrun --with 'a very long command line that is never cut'\n```\n\n"
            "> a note\n\n"
            "| name | decode (tok/s) | band (90 %) | evidence |\n"
            "| --- | ---: | ---: | --- |\n"
            "| model\\|a | 100 | 90-110 | MMLU 80 |\n"
            "| =cmd() | 0.80 | 0.50-1.5 | none |\n");
}

TEST(Json, OneDocumentWithExactValues) {
  auto parsed = hwdb::parse_json(render_json(sample()), "report");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed->find("schema")->as_string(), "1.0");
  EXPECT_EQ(parsed->find("head")->find("size_bytes")->as_uint64(), 4917801472u);
  EXPECT_EQ(parsed->find("head")->find("note"), nullptr);
  const auto& rows = *parsed->find("list")->find("rows")->as_array();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(*rows[0].find("name")->as_string(), "model|a");
  EXPECT_EQ(rows[0].find("decode_tok_per_s")->find("low")->as_double(), 90);
  EXPECT_EQ(*rows[0].find("decode_tok_per_s")->find("basis")->as_string(), "modelled");
  EXPECT_EQ(parsed->find("notes")->as_array()->size(), 1u);
}

TEST(Json, BytesThatAreNoTextStayValid) {
  Report report = sample();
  report.sections[1].tables[0].rows[0][1] = Cell("\xff\xfe\x01");
  EXPECT_TRUE(hwdb::parse_json(render_json(report), "report"));
}

TEST(Csv, EstimatesBecomeFourColumns) {
  EXPECT_EQ(render_csv(sample()),
            "id,name,decode_tok_per_s_low,decode_tok_per_s,decode_tok_per_s_high,"
            "decode_tok_per_s_basis,evidence\r\n"
            "1,model|a,90,100,110,modelled,\"MMLU 80\"\r\n"
            "2,\"'=cmd()\",0.5,0.8,1.5,modelled,none\r\n");
}

TEST(Csv, TablesForProgramsAloneAreNotTheAnswer) {
  Report report = sample();
  Table hidden;
  hidden.columns = {{.key = "inner"}};
  hidden.rows.push_back({Cell("x")});
  report.sections[0].tables.push_back(std::move(hidden));
  EXPECT_TRUE(render_csv(report).starts_with("id,name,"));
}

TEST(Csv, DocumentsFlatten) {
  const auto json = hwdb::parse_json(R"({"a":{"b":[1,{"c":"=x"}]},"d":null})", "test");
  EXPECT_EQ(flat_csv(*json), "key,value\r\na.b.0,1\r\na.b.1.c,\"'=x\"\r\nd,\r\n");
}

TEST(Csv, WithoutATableKeysAndValues) {
  Report report = sample();
  report.sections.pop_back();
  EXPECT_EQ(render_csv(report),
            "key,value\r\nhead.size_bytes,4917801472\r\n"
            "head.launch,\"run --with 'a very long command line that is never cut'\"\r\n");
}

}  // namespace
}  // namespace report
