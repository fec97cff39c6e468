// SPDX-License-Identifier: MIT
#include "hwdb/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "hwdb/json.h"
#include "hwdb/limits.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

struct DtypeRow {
  std::string_view name;
  std::uint32_t bits;
  std::string_view gguf;  // the tensor type of the same layout, "" when there is none
};
constexpr std::array<DtypeRow, 21> kDtypes = {
    {{"BF16", 16, "BF16"}, {"F16", 16, "F16"}, {"F32", 32, "F32"}, {"F64", 64, "F64"},
     {"I8", 8, "I8"},      {"I16", 16, "I16"}, {"I32", 32, "I32"}, {"I64", 64, "I64"},
     {"U8", 8, ""},        {"U16", 16, ""},    {"U32", 32, ""},    {"U64", 64, ""},
     {"BOOL", 8, ""},      {"F8_E4M3", 8, ""}, {"F8_E5M2", 8, ""}, {"F8_E8M0", 8, ""},
     {"C64", 64, ""},      {"F4", 4, ""},      {"F4_E2M1", 4, ""}, {"F6_E2M3", 6, ""},
     {"F6_E3M2", 6, ""}}};

const DtypeRow* find_dtype(std::string_view name) {
  const auto* it = std::ranges::find(kDtypes, name, &DtypeRow::name);
  return it != kDtypes.end() ? it : nullptr;
}

class HeaderReader {
 public:
  explicit HeaderReader(const FileReader& file) : file_(file) {}

  Result<SafetensorsHeader> read() {
    auto text = read_text();
    if (!text) return text.error();
    auto document = parse_json(*text, file_.shown_path(), limits::kSafetensorsHeaderBytes);
    if (!document) {
      Error error = document.error();
      error.code = error.code == "json.limit"       ? "st.json_depth"
                   : error.code == "json.duplicate" ? "st.duplicate"
                                                    : "st.json";
      return error;
    }
    *text = {};
    for (const Json::Member& member : *document->as_object()) {
      Status s = member.first == "__metadata__" ? check_metadata(member.second)
                                                : read_tensor(member.first, member.second);
      if (!s) return s.error();
    }
    if (Status s = check_ranges(); !s) return s.error();
    if (Status s = file_.check_unchanged(); !s) return s.error();
    return std::move(out_);
  }

 private:
  Error fail(std::string_view code, std::string what) const {
    return file_.error(code, std::move(what));
  }

  Result<std::string> read_text() {
    if (file_.size() < 8)
      return fail(
          "st.truncated",
          fmt::format("the file has {} bytes, the length field alone takes 8", file_.size()));
    std::uint64_t length = 0;
    if (Status s = file_.read(0, std::as_writable_bytes(std::span(&length, 1))); !s)
      return s.error();
    if (length > limits::kSafetensorsHeaderBytes) {
      return fail("st.header_length", fmt::format("the header has {} bytes, at most {} are read",
                                                  length, limits::kSafetensorsHeaderBytes));
    }
    if (length > file_.size() - 8)
      return fail("st.header_length",
                  fmt::format("the header has {} bytes in a file of {}", length, file_.size()));
    std::string text(static_cast<std::size_t>(length), '\0');
    if (Status s = file_.read(8, std::as_writable_bytes(std::span(text))); !s) return s.error();
    out_.header_bytes = 8 + length;
    // The format pads with spaces behind, and begins with the brace.
    const std::size_t last = text.find_last_not_of(' ');
    if (last == std::string::npos || text.front() != '{' || text[last] != '}') {
      return fail("st.json", "the header does not begin with { and end with }");
    }
    return text;
  }

  Status check_metadata(const Json& value) const {
    const Json::Object* members = value.as_object();
    if (members == nullptr)
      return fail("st.metadata",
                  fmt::format("__metadata__ is {}, expected an object", value.type_name()));
    for (const Json::Member& member : *members) {
      if (!member.second.is_string()) {
        return fail("st.metadata",
                    fmt::format("__metadata__.{} is {}, expected text",
                                escape_text(member.first, 80), member.second.type_name()));
      }
    }
    return Ok{};
  }

  Status read_tensor(const std::string& name, const Json& value) {
    const auto info = [&](std::string what) {
      return fail("st.info", fmt::format("{}: {}", escape_text(name, 200), what));
    };
    const Json* dtype = value.find("dtype");
    const Json* shape = value.find("shape");
    const Json* offsets = value.find("data_offsets");
    if (!value.is_object())
      return info(fmt::format("is {}, expected an object", value.type_name()));
    if (dtype == nullptr || shape == nullptr || offsets == nullptr ||
        value.as_object()->size() != 3)
      return info("expected dtype, shape and data_offsets and nothing else");
    if (!dtype->is_string()) return info("dtype is not text");
    if (!shape->is_array()) return info("shape is not a list");
    if (!offsets->is_array() || offsets->as_array()->size() != 2)
      return info("data_offsets are not two numbers");
    const auto begin = (*offsets->as_array())[0].as_uint64(),
               end = (*offsets->as_array())[1].as_uint64();
    if (!begin || !end) return info("data_offsets are not two whole numbers");
    if (shape->as_array()->size() > limits::kSafetensorsDims)
      return info(fmt::format("has {} dimensions, at most {} are known", shape->as_array()->size(),
                              limits::kSafetensorsDims));

    SafetensorsTensor tensor{
        .name = name, .dtype = *dtype->as_string(), .shape = {}, .begin = *begin, .end = *end};
    const DtypeRow* row = find_dtype(tensor.dtype);
    if (row == nullptr)
      return fail("st.dtype", fmt::format("{} has the unknown dtype {}", escape_text(name, 200),
                                          escape_text(tensor.dtype, 40)));
    bool empty = false;
    for (const Json& n : *shape->as_array()) {
      const auto extent = n.as_uint64();
      if (!extent) return info("shape holds other than whole numbers");
      tensor.shape.push_back(*extent);
      empty = empty || *extent == 0;
    }
    const auto overflow = [&] {
      return fail("st.overflow",
                  fmt::format("the size of {} does not fit 64 bits", escape_text(name, 200)));
    };
    for (const std::uint64_t n : tensor.shape) {
      if (!empty && !checked_mul(tensor.elements, n, &tensor.elements)) return overflow();
    }
    if (empty) tensor.elements = 0;
    std::uint64_t bits = 0;
    if (!checked_mul(tensor.elements, row->bits, &bits)) return overflow();
    if (bits % 8 != 0)
      return fail("st.misaligned",
                  fmt::format("{} takes {} bits, no whole bytes", escape_text(name, 200), bits));
    if (tensor.end < tensor.begin || tensor.end - tensor.begin != bits / 8) {
      return fail("st.size",
                  fmt::format("{} stands at {} to {}, expected {} bytes", escape_text(name, 200),
                              tensor.begin, tensor.end, bits / 8));
    }
    out_.tensors.push_back(std::move(tensor));
    return Ok{};
  }

  /// The data section is covered once, from its start to its end.
  Status check_ranges() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
    ranges.reserve(out_.tensors.size());
    for (const SafetensorsTensor& tensor : out_.tensors)
      ranges.emplace_back(tensor.begin, tensor.end);
    std::ranges::sort(ranges);
    std::uint64_t expected = 0;
    for (const auto& [begin, end] : ranges) {
      if (begin != expected) {
        return fail(
            "st.offset",
            fmt::format("a tensor begins at {}, expected {}: tensors overlap or leave a hole",
                        begin, expected));
      }
      expected = end;
    }
    const std::uint64_t present = file_.size() - out_.header_bytes;
    if (expected != present) {
      return file_.error(
          "st.incomplete",
          fmt::format("{} of {} bytes of tensor data are present", present, expected),
          present < expected ? "the file is incomplete; download or copy it again"
                             : "something follows the tensors");
    }
    return Ok{};
  }

  const FileReader& file_;
  SafetensorsHeader out_;
};

}  // namespace

Result<SafetensorsHeader> read_safetensors_header(const FileReader& file) {
  return HeaderReader(file).read();
}

void add_safetensors(const SafetensorsHeader& header, std::uint32_t shard, ModelFile* model) {
  for (const SafetensorsTensor& tensor : header.tensors) {
    TensorInfo info;
    info.name = tensor.name;
    info.shard = shard;
    info.offset = tensor.begin;
    info.bytes = tensor.end - tensor.begin;
    // The last dimension is the row; what is beyond four is folded into the outermost.
    std::size_t d = 0;
    for (auto it = tensor.shape.rbegin(); it != tensor.shape.rend(); ++it, ++d)
      info.ne[std::min<std::size_t>(d, 3)] *= *it;
    const DtypeRow* row = find_dtype(tensor.dtype);
    // Types without a like in GGUF count as the integer of their width, so that bytes stay right.
    constexpr std::string_view by_width[] = {"I8", "I16", "I32", "I64"};
    info.type = tensor_type(!row->gguf.empty() ? row->gguf
                                               : by_width[row->bits <= 8    ? 0
                                                          : row->bits <= 16 ? 1
                                                          : row->bits <= 32 ? 2
                                                                            : 3]);
    model->tensors.push_back(std::move(info));
    auto sum = std::ranges::find(model->dtypes, tensor.dtype, &ModelFile::Dtype::name);
    if (sum == model->dtypes.end())
      sum = model->dtypes.insert(sum, ModelFile::Dtype{.name = tensor.dtype});
    ++sum->tensors;
    sum->elements += tensor.elements;
    sum->bytes += tensor.end - tensor.begin;
  }
  std::ranges::stable_sort(model->dtypes, std::greater<>(), &ModelFile::Dtype::bytes);
}

}  // namespace hwdb
