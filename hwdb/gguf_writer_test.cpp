// SPDX-License-Identifier: MIT
#include "hwdb/gguf_writer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "hwdb/limits.h"
#include "hwdb/testing/temp_folder.h"

namespace hwdb {
namespace {

using testing::TempFolder;

std::vector<TensorInfo> two_tensors() {
  TensorInfo a, b;
  a.name = "a.weight";
  a.ne = {5, 1, 1, 1};
  a.type = tensor_type("F32");
  b.name = "b.weight";
  b.ne = {32, 3, 2, 1};
  b.type = tensor_type("Q4_0");
  return {a, b};
}

std::vector<std::byte> numbered(std::size_t n) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

Result<GgufFile> open(const std::string& path) {
  auto file = FileReader::open(path);
  if (!file) return file.error();
  return GgufFile::open(std::move(*file));
}

std::size_t n_files(const TempFolder& folder) {
  std::size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) n += entry.exists();
  return n;
}

TEST(GgufWriter, KeysOfEveryTypeReadBackAndCopy) {
  TempFolder folder;
  GgufKeys keys;
  keys.add("general.architecture", "llama");
  keys.add("k.u8", std::uint8_t{250});
  keys.add("k.i8", std::int8_t{-5});
  keys.add("k.u16", std::uint16_t{65000});
  keys.add("k.i16", std::int16_t{-30000});
  keys.add("k.u32", std::uint32_t{4'000'000'000});
  keys.add("k.i32", std::int32_t{-7});
  keys.add("k.f32", 1.5f);
  keys.add("k.bool", true);
  keys.add("k.u64", std::uint64_t{1} << 60);
  keys.add("k.i64", std::int64_t{1} << 40);
  keys.add("k.f64", 0.1);
  const std::array<std::int32_t, 3> numbers = {3, 1, 2};
  keys.add_array<std::int32_t>("k.numbers", numbers);
  keys.add_array("k.flags", std::vector<bool>{true, false, true});
  const std::vector<std::string> texts = {"", "zwei", std::string(3000, 'x')};
  keys.add_texts("k.texts", texts);
  ASSERT_TRUE(keys.status());
  const std::string path = folder.file("keys.gguf");
  auto writer = GgufWriter::create(path, keys, {}, {});
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->commit());

  auto file = open(path);
  ASSERT_TRUE(file) << file.error().what;
  EXPECT_EQ(file->n_keys(), 15u);
  EXPECT_EQ(**file->text("general.architecture"), "llama");
  EXPECT_EQ(**file->integer("k.u8"), 250u);
  EXPECT_EQ(**file->integer("k.u32"), 4'000'000'000u);
  EXPECT_EQ(**file->integer("k.u64"), std::uint64_t{1} << 60);
  EXPECT_EQ(file->integer("k.i8").error().code, "model.range");
  EXPECT_DOUBLE_EQ(**file->number("k.f32"), 1.5);
  EXPECT_DOUBLE_EQ(**file->number("k.f64"), 0.1);
  EXPECT_TRUE(**file->boolean("k.bool"));
  EXPECT_EQ(**file->integers("k.numbers", 10), (std::vector<std::uint64_t>{3, 1, 2}));
  EXPECT_EQ(**file->integers("k.flags", 10), (std::vector<std::uint64_t>{1, 0, 1}));
  EXPECT_EQ(file->find("k.texts")->count, 3u);

  GgufKeys copied;
  for (std::size_t i = 0; i < file->n_keys(); ++i) ASSERT_TRUE(copied.copy(*file, file->key(i)));
  EXPECT_EQ(copied.copy(*file, "k.none").error().code, "gguf.key");
  const std::string again = folder.file("copy.gguf");
  auto second = GgufWriter::create(again, copied, {}, {});
  ASSERT_TRUE(second);
  ASSERT_TRUE(second->commit());
  auto copy = open(again);
  ASSERT_TRUE(copy) << copy.error().what;
  EXPECT_EQ(copy->file().size(), file->file().size());
  EXPECT_EQ(**copy->integers("k.numbers", 10), (std::vector<std::uint64_t>{3, 1, 2}));
  EXPECT_EQ(copied.bytes().size(), keys.bytes().size());
}

TEST(GgufWriter, TensorsArePaddedWhateverThePiecesTheyComeIn) {
  TempFolder folder;
  for (const std::uint32_t alignment : {32u, 1u, 64u}) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
      const std::string path = folder.file("tensors.gguf");
      GgufWriter::Options options;
      options.alignment = alignment;
      options.overwrite = true;
      auto writer = GgufWriter::create(path, {}, two_tensors(), options);
      ASSERT_TRUE(writer) << writer.error().what;
      const std::vector<std::byte> data = numbered(20 + 6 * 18);
      for (std::size_t at = 0; at < data.size(); at += piece) {
        const std::size_t n = std::min(piece, data.size() - at);
        ASSERT_TRUE(writer->write(std::span(data).subspan(at, n)));
      }
      EXPECT_EQ(writer->write(std::span(data).first(1)).error().code, "gguf.size");
      ASSERT_TRUE(writer->commit());
      auto file = open(path);
      ASSERT_TRUE(file) << file.error().what;
      EXPECT_EQ(file->alignment(), alignment);
      EXPECT_EQ(file->file().size(), writer->file_bytes());
      ASSERT_EQ(file->tensors().size(), 2u);
      EXPECT_EQ(file->tensors()[1].ne, (std::array<std::uint64_t, 4>{32, 3, 2, 1}));
      std::vector<std::byte> read(6 * 18);
      ASSERT_TRUE(file->file().read(file->header_bytes() + file->tensors()[1].offset, read));
      EXPECT_TRUE(std::ranges::equal(read, std::span(data).subspan(20)));
    }
  }
}

TEST(GgufWriter, RefusesWhatTheReaderWouldRefuse) {
  const auto code = [](auto&& add) {
    GgufKeys keys;
    add(keys);
    return keys.status() ? std::string() : keys.status().error().code;
  };
  EXPECT_EQ(code([](GgufKeys& k) { k.add("", 1u); }), "gguf.key");
  EXPECT_EQ(code([](GgufKeys& k) { k.add("a\nb", 1u); }), "gguf.key");
  EXPECT_EQ(code([](GgufKeys& k) { k.add(std::string(limits::kGgufKeyBytes, 'k'), 1u); }), "");
  EXPECT_EQ(code([](GgufKeys& k) { k.add(std::string(limits::kGgufKeyBytes + 1, 'k'), 1u); }),
            "gguf.key");
  EXPECT_EQ(code([](GgufKeys& k) {
              k.add("a", 1u);
              k.add("a", "again");
            }),
            "gguf.duplicate_key");
  EXPECT_EQ(code([](GgufKeys& k) { k.add("a", std::string(limits::kGgufStringBytes + 1, 'x')); }),
            "gguf.string");

  TempFolder folder;
  const auto refused = [&](auto&& change, std::uint32_t alignment = 32) {
    std::vector<TensorInfo> tensors = two_tensors();
    change(&tensors);
    GgufWriter::Options options;
    options.alignment = alignment;
    auto writer = GgufWriter::create(folder.file("x.gguf"), {}, std::move(tensors), options);
    return writer ? std::string() : writer.error().code;
  };
  using List = std::vector<TensorInfo>*;
  EXPECT_EQ(refused([](List t) { (*t)[0].name = ""; }), "gguf.tensor_name");
  EXPECT_EQ(refused([](List t) { (*t)[0].name = std::string(65, 'n'); }), "gguf.tensor_name");
  EXPECT_EQ(refused([](List t) { (*t)[1].name = (*t)[0].name; }), "gguf.duplicate_tensor");
  EXPECT_EQ(refused([](List t) { (*t)[1].ne[0] = 31; }), "gguf.block");
  EXPECT_EQ(refused([](List t) { (*t)[0].ne = {1ull << 32, 1ull << 32, 1, 1}; }), "gguf.shape");
  EXPECT_EQ(refused([](List t) { (*t)[0].type = static_cast<TensorType>(9999); }),
            "gguf.tensor_type");
  EXPECT_EQ(refused([](List) {}, 13), "gguf.alignment");
  EXPECT_EQ(n_files(folder), 0u);
}

TEST(GgufWriter, AFileIsThereWholeOrNotAtAll) {
  TempFolder folder;
  const std::string path = folder.write("there.gguf", "the old one");
  auto refused = GgufWriter::create(path, {}, two_tensors(), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "output.exists");
  GgufWriter::Options force;
  force.overwrite = true;
  {
    auto given_up = GgufWriter::create(path, {}, two_tensors(), force);
    ASSERT_TRUE(given_up);
    ASSERT_TRUE(given_up->write(numbered(50)));
    EXPECT_EQ(given_up->commit().error().code, "gguf.size");
    EXPECT_EQ(n_files(folder), 2u);  // the old one and what is being written
  }
  EXPECT_EQ(n_files(folder), 1u);
  std::ifstream old(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(old), {}), "the old one");
  EXPECT_EQ(GgufWriter::create(folder.path().string(), {}, {}, force).error().code,
            "output.exists");
  EXPECT_EQ(GgufWriter::create(folder.file("no/such/folder.gguf"), {}, {}, {}).error().code,
            "output.write");

  // Somebody else was quicker: what they made stays.
  const std::string raced = folder.file("raced.gguf");
  auto writer = GgufWriter::create(raced, {}, {}, {});
  ASSERT_TRUE(writer);
  folder.write("raced.gguf", "theirs");
  EXPECT_EQ(writer->commit().error().code, "output.exists");
  EXPECT_EQ(std::filesystem::file_size(raced), 6u);
}

TEST(GgufWriter, AFullDiskIsACodedErrorAndLeavesNothing) {
  TempFolder folder;
  // Every call takes at most 10 bytes and is interrupted once; from `room` bytes on the disk is
  // full.
  for (std::uint64_t room = 0; room < 400; room += 13) {
    std::uint64_t taken = 0;
    bool interrupted = false;
    GgufWriter::Options options;
    options.write_some = [&](int fd, const void* from, std::size_t size) -> ssize_t {
      interrupted = !interrupted;
      if (interrupted) {
        errno = EINTR;
        return -1;
      }
      const std::uint64_t n = std::min<std::uint64_t>({size, 10, room - taken});
      if (n == 0) {
        errno = ENOSPC;
        return -1;
      }
      taken += n;
      return ::write(fd, from, n);
    };
    {
      auto writer = GgufWriter::create(folder.file("full.gguf"), {}, two_tensors(), options);
      Status status = Ok{};
      if (writer) status = writer->write(numbered(20 + 6 * 18));
      if (writer && status) status = writer->commit();
      const bool whole = writer && status;
      const Error error = !writer ? writer.error() : status ? Error{} : status.error();
      if (!whole) {
        EXPECT_EQ(error.code, "output.write") << room;
        EXPECT_NE(error.hint.find("space"), std::string::npos);
      } else {
        EXPECT_TRUE(open(folder.file("full.gguf")));
        ASSERT_EQ(::unlink(folder.file("full.gguf").c_str()), 0);
      }
    }
    EXPECT_EQ(n_files(folder), 0u) << room;
  }
}

}  // namespace
}  // namespace hwdb
