// SPDX-License-Identifier: MIT
#include "hwdb/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "hwdb/limits.h"
#include "hwdb/name_hash.h"
#include "hwdb/text_escape.h"
#include "hwdb/units.h"

namespace hwdb {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");
static_assert(sizeof(bool) == 1);

constexpr std::uint32_t kMagic = 0x46554747, kVersion = 3;
constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr std::size_t kCopyBytes = 1u << 20;

bool is_key_text(std::string_view key) {
  return std::ranges::all_of(key, [](char c) { return c >= 0x20 && c <= 0x7e; });
}

template <class T>
void append(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

Error refused(std::string_view code, std::string_view name, std::string what) {
  return Error{std::string(code), std::move(what), escape_text(name, 200), {}};
}

}  // namespace

void GgufKeys::fail(std::string_view code, std::string_view key, std::string what) {
  if (status_) status_ = refused(code, key, std::move(what));
}

void GgufKeys::put(std::span<const std::byte> bytes) {
  bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

bool GgufKeys::begin(std::string_view key, GgufType type) {
  if (!status_) return false;
  if (key.empty() || key.size() > limits::kGgufKeyBytes || !is_key_text(key)) {
    fail("gguf.key", key, "is no key: 1 to 65535 printable ASCII characters are expected");
    return false;
  }
  const auto place = std::ranges::lower_bound(names_, key);
  if (place != names_.end() && *place == key) {
    fail("gguf.duplicate_key", key, "the key is there twice");
    return false;
  }
  if (names_.size() >= limits::kGgufKeys) {
    fail("gguf.count", key, fmt::format("more than {} keys", limits::kGgufKeys));
    return false;
  }
  names_.insert(place, std::string(key));
  put_number<std::uint64_t>(key.size());
  put(std::as_bytes(std::span(key)));
  put_number(static_cast<std::uint32_t>(type));
  return true;
}

void GgufKeys::put_text(std::string_view key, std::string_view text) {
  if (text.size() > limits::kGgufStringBytes) {
    fail("gguf.string", key,
         fmt::format("holds a text of {} bytes, at most {} are read", text.size(),
                     limits::kGgufStringBytes));
    return;
  }
  put_number<std::uint64_t>(text.size());
  put(std::as_bytes(std::span(text)));
}

void GgufKeys::add_raw(std::string_view key, GgufType type, std::span<const std::byte> value) {
  if (begin(key, type)) put(value);
}

void GgufKeys::add(std::string_view key, std::string_view text) {
  if (begin(key, GgufType::string)) put_text(key, text);
}

void GgufKeys::add_raw_array(std::string_view key, GgufType element, std::uint64_t count,
                             std::span<const std::byte> values) {
  if (!begin(key, GgufType::array)) return;
  if (count > limits::kGgufArrayElements) {
    return fail(
        "gguf.array", key,
        fmt::format("has {} elements, at most {} are read", count, limits::kGgufArrayElements));
  }
  put_number(static_cast<std::uint32_t>(element));
  put_number(count);
  put(values);
}

void GgufKeys::add_array(std::string_view key, const std::vector<bool>& values) {
  std::vector<std::uint8_t> bytes(values.begin(), values.end());
  add_raw_array(key, GgufType::boolean, bytes.size(), std::as_bytes(std::span(bytes)));
}

void GgufKeys::add_texts(std::string_view key, std::span<const std::string> texts) {
  if (!begin(key, GgufType::array)) return;
  if (texts.size() > limits::kGgufArrayStrings) {
    return fail(
        "gguf.array", key,
        fmt::format("has {} texts, at most {} are read", texts.size(), limits::kGgufArrayStrings));
  }
  put_number(static_cast<std::uint32_t>(GgufType::string));
  put_number<std::uint64_t>(texts.size());
  for (const std::string& text : texts) put_text(key, text);
}

Status GgufKeys::copy(const GgufFile& from, std::string_view key) {
  const GgufValue* value = from.find(key);
  if (value == nullptr) {
    return refused("gguf.key", key, "the key to be copied is not there");
  }
  if (value->type != GgufType::string && value->type != GgufType::array) {
    const std::uint64_t bits = value->bits;
    add_raw(key, value->type,
            std::as_bytes(std::span(&bits, 1)).first(gguf_scalar_bytes(value->type)));
    return status_;
  }
  if (!begin(key, value->type)) return status_;
  if (value->type == GgufType::array) put_number(static_cast<std::uint32_t>(value->element));
  put_number(value->count);
  const bool texts = value->type == GgufType::array && value->element == GgufType::string;
  std::uint64_t left = value->count;
  if (value->type == GgufType::array && !texts) left *= gguf_scalar_bytes(value->element);
  WindowReader in(from.file(), value->offset);
  const auto take = [&](std::uint64_t size) {
    while (size > 0) {
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(size, kCopyBytes / 8));
      if (!in.need(part)) return false;
      put({in.data(), part});
      in.advance(part);
      size -= part;
    }
    return true;
  };
  bool whole = true;
  if (!texts) {
    whole = take(left);
  } else {
    for (; left > 0 && whole; --left) {
      std::uint64_t length = 0;
      whole = in.need(sizeof(length));
      if (!whole) break;
      std::memcpy(&length, in.data(), sizeof(length));
      whole = length <= limits::kGgufStringBytes && take(sizeof(length)) && take(length);
    }
  }
  if (!in.status()) return in.status();
  if (!whole) return from.file().error("file.changed", "the file changed while it was read");
  return status_;
}

bool GgufKeys::has(std::string_view key) const {
  return std::ranges::binary_search(names_, key);
}

namespace {

/// Sets bytes and offsets of all tensors; the sum of all, padded.
Result<std::uint64_t> lay_out(std::vector<TensorInfo>* tensors, std::uint64_t alignment) {
  if (tensors->size() > limits::kGgufTensors) {
    return refused(
        "gguf.count", "",
        fmt::format("{} tensors, at most {} are read", tensors->size(), limits::kGgufTensors));
  }
  std::uint64_t total = 0;
  for (TensorInfo& tensor : *tensors) {
    if (tensor.name.empty() || tensor.name.size() > limits::kGgufTensorNameBytes) {
      return refused("gguf.tensor_name", tensor.name,
                     fmt::format("a tensor name of {} bytes, expected 1 to {}", tensor.name.size(),
                                 limits::kGgufTensorNameBytes));
    }
    const TensorFormat* format = find_tensor_format(static_cast<std::uint32_t>(tensor.type));
    if (format == nullptr || format->removed) {
      return refused("gguf.tensor_type", tensor.name, "is of a type that no program reads");
    }
    std::uint64_t elements = 1;
    bool fits = true;
    const bool empty = std::ranges::count(tensor.ne, 0u) > 0;
    for (const std::uint64_t n : tensor.ne) {
      fits = fits && n <= std::numeric_limits<std::int64_t>::max() &&
             (empty || (checked_mul(elements, n, &elements) &&
                        elements <= std::numeric_limits<std::int64_t>::max()));
    }
    if (!fits) return refused("gguf.shape", tensor.name, "the elements do not fit 63 bits");
    auto bytes = tensor_bytes(*format, tensor.ne[0], empty ? 0 : tensor.rows());
    if (!bytes) return refused(bytes.error().code, tensor.name, bytes.error().what);
    tensor.bytes = *bytes;
    tensor.offset = total;
    tensor.shard = 0;
    std::uint64_t padded = 0;
    if (!checked_pad(tensor.bytes, alignment, &padded) || !checked_add(total, padded, &total) ||
        total > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return refused("gguf.size", tensor.name, "the tensors do not fit 63 bits together");
    }
  }
  const auto twice = find_duplicate(
      tensors->size(), [&](std::size_t i) -> std::string_view { return (*tensors)[i].name; });
  if (twice) {
    return refused("gguf.duplicate_tensor", (*tensors)[*twice].name, "the tensor is there twice");
  }
  return total;
}

std::uint32_t n_dims(const TensorInfo& tensor) {
  std::uint32_t n = 4;
  while (n > 1 && tensor.ne[n - 1] == 1) --n;
  return n;
}

}  // namespace

Result<GgufWriter> GgufWriter::create(const std::string& path, GgufKeys keys,
                                      std::vector<TensorInfo> tensors, Options options) {
  if (!std::has_single_bit(options.alignment) || options.alignment > limits::kAlignmentMax) {
    return refused("gguf.alignment", kAlignmentKey,
                   fmt::format("is {}, expected a power of two up to {}", options.alignment,
                               limits::kAlignmentMax));
  }
  if (keys.has(kAlignmentKey)) {
    return refused("gguf.alignment", kAlignmentKey, "is set by the writer's option");
  }
  if (options.alignment != 32) keys.add(kAlignmentKey, options.alignment);
  if (!keys.status()) return keys.status().error();
  auto total = lay_out(&tensors, options.alignment);
  if (!total) return total.error();

  std::string header;
  append(&header, kMagic);
  append(&header, kVersion);
  append<std::uint64_t>(&header, tensors.size());
  append(&header, keys.count());
  header += keys.bytes();
  for (const TensorInfo& tensor : tensors) {
    append<std::uint64_t>(&header, tensor.name.size());
    header += tensor.name;
    const std::uint32_t dims = n_dims(tensor);
    append(&header, dims);
    for (std::uint32_t d = 0; d < dims; ++d) append(&header, tensor.ne[d]);
    append(&header, static_cast<std::uint32_t>(tensor.type));
    append(&header, tensor.offset);
  }
  if (!tensors.empty()) header.resize(pad_up(header.size(), options.alignment));

  auto file = OutputFile::create(path, options.overwrite, std::move(options.write_some));
  if (!file) return file.error();
  GgufWriter writer(std::move(*file));
  writer.tensors_ = std::move(tensors);
  writer.alignment_ = options.alignment;
  writer.header_bytes_ = header.size();
  writer.data_bytes_ = *total;
  if (auto status = writer.file_.write(std::as_bytes(std::span(header))); !status) {
    return status.error();
  }
  return writer;
}

Status GgufWriter::pad(std::uint64_t bytes) {
  constexpr std::array<std::byte, limits::kAlignmentMax> kZeros{};
  return file_.write(std::span(kZeros).first(static_cast<std::size_t>(bytes)));
}

Status GgufWriter::write(std::span<const std::byte> bytes) {
  while (true) {
    // A tensor that is whole is padded at once, so that empty ones need no bytes of their own.
    while (tensor_ < tensors_.size() && in_tensor_ == tensors_[tensor_].bytes) {
      const std::uint64_t size = tensors_[tensor_].bytes;
      if (auto status = pad(pad_up(size, alignment_) - size); !status) return status;
      ++tensor_;
      in_tensor_ = 0;
    }
    if (bytes.empty()) return Ok{};
    if (tensor_ == tensors_.size()) {
      return refused("gguf.size", "",
                     fmt::format("{} bytes more than the tensors hold", bytes.size()));
    }
    const auto part = static_cast<std::size_t>(
        std::min<std::uint64_t>(bytes.size(), tensors_[tensor_].bytes - in_tensor_));
    if (auto status = file_.write(bytes.first(part)); !status) return status;
    in_tensor_ += part;
    bytes = bytes.subspan(part);
  }
}

Status GgufWriter::commit() {
  if (auto status = write({}); !status) return status;
  if (tensor_ < tensors_.size()) {
    return refused("gguf.size", tensors_[tensor_].name,
                   fmt::format("{} of {} bytes were written", in_tensor_, tensors_[tensor_].bytes));
  }
  return file_.commit();
}

}  // namespace hwdb
