// SPDX-License-Identifier: MIT
// Reads a GGUF header in one pass, front to back, and checks it on the way.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "hwdb/gguf.h"
#include "hwdb/limits.h"
#include "hwdb/name_hash.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint32_t kTypeCount = static_cast<std::uint32_t>(GgufType::f64) + 1;
// The smallest records there can be: a key of one letter with a u8; a tensor of one letter without
// dimensions.
constexpr std::uint64_t kSmallestKey = 8 + 1 + 4 + 1, kSmallestTensor = 8 + 1 + 4 + 4 + 8;
constexpr std::uint64_t kInt64Max = ~std::uint64_t{0} >> 1;

}  // namespace

/// One pass over the header, front to back.
class GgufHeaderReader {
 public:
  explicit GgufHeaderReader(GgufFile* out) : out_(*out), in_(out->file_) {}

  Status read() {
    std::uint64_t n_tensors = 0, n_keys = 0;
    if (Status s = read_counts(&n_tensors, &n_keys); !s) return s;
    out_.keys_.reserve(static_cast<std::size_t>(n_keys));
    for (std::uint64_t i = 0; i < n_keys; ++i) {
      if (Status s = read_key_value(); !s) return s;
    }
    if (Status s = index_keys(); !s) return s;
    if (Status s = read_alignment(); !s) return s;
    // Checked again now that the keys are behind us.
    if (n_tensors > in_.left() / kSmallestTensor)
      return count_error("tensors", n_tensors, kSmallestTensor);
    out_.tensors_.reserve(static_cast<std::size_t>(n_tensors));
    for (std::uint64_t i = 0; i < n_tensors; ++i) {
      if (Status s = read_tensor(); !s) return s;
    }
    if (Status s = check_names(); !s) return s;
    return check_layout();
  }

 private:
  Error fail(std::string_view code, std::uint64_t at, std::string what,
             std::string hint = {}) const {
    return out_.file_.error(code, fmt::format("{} at byte {}", what, at), std::move(hint));
  }
  /// The file ended, or could not be read, where a field was expected.
  Error ended(std::string_view field) const {
    if (!in_.status()) return in_.status().error();
    return fail("gguf.truncated", in_.position(), fmt::format("the file ends inside {}", field),
                "the file is incomplete; download or copy it again");
  }
  Error count_error(std::string_view what, std::uint64_t count, std::uint64_t smallest) const {
    return fail("gguf.count", in_.position(),
                fmt::format("{} {} are announced, but {} bytes are left and each takes at least {}",
                            count, what, in_.left(), smallest));
  }

  template <class T>
  bool take(T* value) {
    if (!in_.need(sizeof(T))) return false;
    std::memcpy(value, in_.data(), sizeof(T));
    in_.advance(sizeof(T));
    return true;
  }

  Status read_counts(std::uint64_t* n_tensors, std::uint64_t* n_keys) {
    std::uint32_t magic = 0;
    if (out_.file_.size() < 4)
      return out_.file_.error(
          "file.truncated",
          fmt::format("the file has {} bytes, too few for any model", out_.file_.size()));
    if (!take(&magic)) return ended("the magic");
    if (magic != kMagic) {
      return fail(
          "gguf.magic", 0,
          fmt::format("the first four bytes are {:08x}, expected \"GGUF\"{}",
                      __builtin_bswap32(magic),
                      __builtin_bswap32(magic) == kMagic ? " (they stand in reverse order)" : ""));
    }
    if (!take(&out_.version_)) return ended("the version");
    if (out_.version_ != 2 && out_.version_ != 3) {
      const std::uint32_t swapped = __builtin_bswap32(out_.version_);
      if (swapped >= 1 && swapped <= 3) {
        return fail("gguf.endianness", 4, "the file is in big-endian byte order",
                    "convert it to little-endian first");
      }
      return fail("gguf.version", 4, fmt::format("GGUF version {}, expected 2 or 3", out_.version_),
                  out_.version_ == 1 ? "convert the model again with a current converter" : "");
    }
    if (!take(n_tensors) || !take(n_keys)) return ended("the counts");
    if (*n_tensors > limits::kGgufTensors || *n_keys > limits::kGgufKeys) {
      return fail("gguf.count", 8,
                  fmt::format("{} tensors and {} keys, at most {} and {} are read", *n_tensors,
                              *n_keys, limits::kGgufTensors, limits::kGgufKeys));
    }
    if (*n_keys > in_.left() / kSmallestKey) return count_error("keys", *n_keys, kSmallestKey);
    if (*n_tensors > (in_.left() - *n_keys * kSmallestKey) / kSmallestTensor) {
      return count_error("tensors", *n_tensors, kSmallestTensor);
    }
    return Ok{};
  }

  /// Length of a string, checked. One that could not fit the whole file was never a string; one
  /// that only runs past the end tells of a file cut short.
  Status take_length(std::string_view what, std::string_view code, std::uint64_t limit,
                     std::uint64_t* length) {
    const std::uint64_t at = in_.position();
    if (!take(length)) return ended(what);
    if (*length > limit)
      return fail(code, at,
                  fmt::format("{} of {} bytes, at most {} are read", what, *length, limit));
    if (*length > in_.left()) {
      if (*length > out_.file_.size())
        return fail(
            code, at,
            fmt::format("{} of {} bytes in a file of {}", what, *length, out_.file_.size()));
      in_.skip(in_.left());
      return ended(what);
    }
    return Ok{};
  }

  Status read_key_value() {
    const std::uint64_t at = in_.position();
    std::uint64_t length = 0;
    if (Status s = take_length("a key", "gguf.string", limits::kGgufKeyBytes, &length); !s)
      return s;
    if (length == 0) return fail("gguf.key", at, "an empty key");
    if (!in_.need(static_cast<std::size_t>(length))) return ended("a key");
    GgufFile::Entry entry;
    entry.key.assign(reinterpret_cast<const char*>(in_.data()), static_cast<std::size_t>(length));
    in_.advance(static_cast<std::size_t>(length));
    const auto printable = [](char c) { return c >= 0x20 && c < 0x7F; };
    if (!std::ranges::all_of(entry.key, printable)) {
      return fail("gguf.key", at,
                  fmt::format("the key \"{}\" holds other than printable ASCII",
                              escape_text(entry.key, 200)));
    }
    key_ = &entry.key;
    if (Status s = take_type(&entry.value.type); !s) return s;
    if (Status s = read_value(&entry.value); !s) return s;
    out_.keys_.push_back(std::move(entry));
    return Ok{};
  }

  std::string about_key() const { return fmt::format("the value of {}", escape_text(*key_, 200)); }

  Status take_type(GgufType* type) {
    const std::uint64_t at = in_.position();
    std::uint32_t id = 0;
    if (!take(&id)) return ended("a value type");
    if (id >= kTypeCount)
      return fail("gguf.type", at,
                  fmt::format("{} has type {}, expected 0 to {}", about_key(), id, kTypeCount - 1));
    *type = static_cast<GgufType>(id);
    return Ok{};
  }

  Status read_value(GgufValue* value) {
    if (value->type == GgufType::string) {
      std::uint64_t length = 0;
      if (Status s = take_length(about_key(), "gguf.string", limits::kGgufStringBytes, &length); !s)
        return s;
      value->offset = in_.position();
      value->count = length;
      in_.skip(length);
      return Ok{};
    }
    if (value->type == GgufType::array) return read_array(value);
    const auto size = static_cast<std::size_t>(gguf_scalar_bytes(value->type));
    value->offset = in_.position();
    if (!in_.need(size)) return ended(about_key());
    std::memcpy(&value->bits, in_.data(), size);
    in_.advance(size);
    if (value->type == GgufType::boolean && value->bits > 1) {
      return fail("gguf.bool", value->offset,
                  fmt::format("{} is the byte {}, expected 0 or 1", about_key(), value->bits));
    }
    return Ok{};
  }

  Status read_array(GgufValue* value) {
    if (Status s = take_type(&value->element); !s) return s;
    const std::uint64_t at = in_.position();
    if (value->element == GgufType::array)
      return fail("gguf.nested_array", at - 4, about_key() + " is an array of arrays");
    if (!take(&value->count)) return ended(about_key());
    value->offset = in_.position();
    const bool strings = value->element == GgufType::string;
    const std::uint64_t limit = strings ? limits::kGgufArrayStrings : limits::kGgufArrayElements;
    // A string takes at least its length field.
    const std::uint64_t each = strings ? 8 : gguf_scalar_bytes(value->element);
    if (value->count > limit)
      return fail("gguf.array", at,
                  fmt::format("{} is an array of {} elements, at most {} are read", about_key(),
                              value->count, limit));
    const std::uint64_t bytes = value->count * each;  // below 2^29: both factors are bounded
    if (bytes > in_.left()) {
      if (bytes > out_.file_.size())
        return fail("gguf.array", at,
                    fmt::format("{} is an array of {} elements in a file of {} bytes", about_key(),
                                value->count, out_.file_.size()));
      in_.skip(in_.left());
      return ended(about_key());
    }
    if (strings) return walk_strings(value->count);
    if (value->element == GgufType::boolean) return walk_booleans(value->count);
    in_.skip(bytes);
    return Ok{};
  }

  Status walk_strings(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      std::uint64_t length = 0;
      if (in_.visible() >= 8) {
        // The common case, without building any message.
        std::memcpy(&length, in_.data(), 8);
        if (length <= limits::kGgufStringBytes && length + 8 <= in_.left()) {
          in_.skip(length + 8);
          continue;
        }
      }
      if (Status s = take_length(about_key(), "gguf.string", limits::kGgufStringBytes, &length); !s)
        return s;
      in_.skip(length);
    }
    return Ok{};
  }

  Status walk_booleans(std::uint64_t count) {
    while (count > 0) {
      if (!in_.need(1)) return ended(about_key());
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(count, in_.visible()));
      const std::byte* bad =
          std::find_if(in_.data(), in_.data() + n, [](std::byte b) { return b > std::byte{1}; });
      if (bad != in_.data() + n) {
        return fail("gguf.bool", in_.position() + static_cast<std::uint64_t>(bad - in_.data()),
                    fmt::format("{} holds the byte {}, expected 0 or 1", about_key(),
                                static_cast<unsigned>(*bad)));
      }
      in_.advance(n);
      count -= n;
    }
    return Ok{};
  }

  Status index_keys() {
    std::ranges::sort(out_.keys_, {}, &GgufFile::Entry::key);
    const auto twice = std::ranges::adjacent_find(out_.keys_, {}, &GgufFile::Entry::key);
    if (twice != out_.keys_.end()) {
      return out_.file_.error("gguf.duplicate_key",
                              fmt::format("the key {} stands twice", escape_text(twice->key, 200)));
    }
    return Ok{};
  }

  Status read_alignment() {
    const GgufValue* value = out_.find("general.alignment");
    if (value == nullptr) return Ok{};
    if (value->type != GgufType::u32) {
      return fail(
          "gguf.alignment", value->offset,
          fmt::format("general.alignment is of type {}, expected u32", to_string(value->type)));
    }
    if (!std::has_single_bit(value->bits) || value->bits > limits::kAlignmentMax) {
      return fail("gguf.alignment", value->offset,
                  fmt::format("general.alignment is {}, expected a power of two up to {}",
                              value->bits, limits::kAlignmentMax));
    }
    out_.alignment_ = value->bits;
    return Ok{};
  }

  Status read_tensor() {
    const std::uint64_t at = in_.position();
    std::uint64_t length = 0;
    TensorInfo tensor;
    if (!take(&length)) return ended("a tensor name");
    if (length == 0 || length > limits::kGgufTensorNameBytes) {
      return fail("gguf.tensor_name", at,
                  fmt::format("a tensor name of {} bytes, expected 1 to {}", length,
                              limits::kGgufTensorNameBytes));
    }
    if (!in_.need(static_cast<std::size_t>(length))) return ended("a tensor name");
    tensor.name.assign(reinterpret_cast<const char*>(in_.data()), static_cast<std::size_t>(length));
    in_.advance(static_cast<std::size_t>(length));
    const auto name = [&] { return escape_text(tensor.name); };

    std::uint32_t n_dims = 0, type = 0;
    if (!take(&n_dims)) return ended("a tensor record");
    if (n_dims > limits::kGgufDims)
      return fail("gguf.n_dims", at,
                  fmt::format("{} has {} dimensions, at most {} are known", name(), n_dims,
                              limits::kGgufDims));
    std::uint64_t elements = 1;
    bool empty = false;
    for (std::uint32_t d = 0; d < n_dims; ++d) {
      if (!take(&tensor.ne[d])) return ended("a tensor record");
      if (tensor.ne[d] > kInt64Max)
        return fail("gguf.shape", at, fmt::format("dimension {} of {} is negative", d, name()));
      empty = empty || tensor.ne[d] == 0;
    }
    for (const std::uint64_t n : tensor.ne) {
      if (!empty && (!checked_mul(elements, n, &elements) || elements > kInt64Max)) {
        return fail("gguf.shape", at, fmt::format("the elements of {} do not fit 63 bits", name()));
      }
    }
    if (!take(&type) || !take(&tensor.offset)) return ended("a tensor record");
    const TensorFormat* format = find_tensor_format(type);
    if (format == nullptr || format->removed || format->block_weights == 0) {
      return fail("gguf.tensor_type", at,
                  format != nullptr
                      ? fmt::format("{} is of type {}, which no program reads any more", name(),
                                    format->name)
                      : fmt::format("{} is of the unknown type {}", name(), type),
                  "a newer file type, or a damaged file");
    }
    tensor.type = format->type;
    if (tensor.ne[0] % format->block_weights != 0) {
      return fail("gguf.block", at,
                  fmt::format("rows of {} weights in {} do not divide into {} blocks of {}",
                              tensor.ne[0], name(), format->name, format->block_weights));
    }
    if (!empty) {
      const Result<std::uint64_t> bytes = tensor_bytes(*format, tensor.ne[0], tensor.rows());
      if (!bytes)
        return fail("gguf.size", at, fmt::format("the bytes of {} do not fit 64 bits", name()));
      tensor.bytes = *bytes;
    }
    std::uint64_t padded = 0;
    if (!checked_pad(tensor.bytes, out_.alignment_, &padded) ||
        !checked_add(data_bytes_, padded, &data_bytes_) || data_bytes_ > kInt64Max) {
      return fail("gguf.size", at,
                  fmt::format("{} of {} bytes: the tensors do not fit 63 bits together", name(),
                              tensor.bytes));
    }
    out_.tensors_.push_back(std::move(tensor));
    return Ok{};
  }

  Status check_names() const {
    const auto& tensors = out_.tensors_;
    const auto twice = find_duplicate(
        tensors.size(), [&](std::size_t i) -> std::string_view { return tensors[i].name; });
    if (twice)
      return out_.file_.error(
          "gguf.duplicate_tensor",
          fmt::format("the tensor {} stands twice", escape_text(tensors[*twice].name)));
    return Ok{};
  }

  /// Tensors follow each other in the order of the directory, each padded to the alignment; so any
  /// other offset is an overlap, a gap, or another alignment than the one declared.
  Status check_layout() {
    out_.header_bytes_ = in_.position();
    if (out_.tensors_.empty()) return Ok{};
    std::uint64_t start = 0;
    if (!checked_pad(in_.position(), out_.alignment_, &start))
      return fail("gguf.data_bounds", in_.position(), "the data section has no start");
    out_.header_bytes_ = start;
    const std::uint64_t size = out_.file_.size();
    const std::uint64_t present = size > start ? size - start : 0;
    const TensorInfo* misplaced = nullptr;
    std::uint64_t expected = 0, misplaced_at = 0;
    for (const TensorInfo& tensor : out_.tensors_) {
      if (tensor.offset % out_.alignment_ != 0) {
        return out_.file_.error(
            "gguf.offset", fmt::format("{} stands at offset {}, expected a multiple of {}",
                                       escape_text(tensor.name), tensor.offset, out_.alignment_));
      }
      std::uint64_t end = 0;
      if (!checked_add(tensor.offset, tensor.bytes, &end) || end > present) {
        // With offsets in their places the file is only cut short, and it is known by how much.
        const bool in_place = misplaced == nullptr && tensor.offset == expected;
        return out_.file_.error(
            "gguf.data_bounds",
            in_place ? fmt::format("{} of {} bytes of tensor data are present", present,
                                   std::max(data_bytes_unpadded(), present))
                     : fmt::format("{} ends past the end of the file: {} of {} bytes present, "
                                   "offset {}, size {}",
                                   escape_text(tensor.name), present, std::max(end, data_bytes_),
                                   tensor.offset, tensor.bytes),
            "the file is incomplete; download or copy it again");
      }
      if (misplaced == nullptr && tensor.offset != expected) {
        misplaced = &tensor;
        misplaced_at = expected;
      }
      expected += pad_up(tensor.bytes, out_.alignment_);
    }
    if (misplaced != nullptr) {
      return out_.file_.error(
          "gguf.layout", fmt::format("{} stands at offset {}, expected {}: tensors overlap, leave "
                                     "a gap, or were laid out with another alignment than {}",
                                     escape_text(misplaced->name), misplaced->offset, misplaced_at,
                                     out_.alignment_));
    }
    return Ok{};
  }

  /// What the data section holds when the last tensor is not padded.
  std::uint64_t data_bytes_unpadded() const {
    const std::uint64_t last = out_.tensors_.back().bytes;
    return data_bytes_ - pad_up(last, out_.alignment_) + last;
  }

  GgufFile& out_;
  WindowReader in_;
  const std::string* key_ = nullptr;
  std::uint64_t data_bytes_ = 0;  // tensors so far, padded
};

Result<GgufFile> GgufFile::open(FileReader file) {
  GgufFile out(std::move(file));
  if (Status s = GgufHeaderReader(&out).read(); !s) return s.error();
  if (Status s = out.file_.check_unchanged(); !s) return s.error();
  return out;
}

}  // namespace hwdb
