// SPDX-License-Identifier: MIT
#include "engine/quantize/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "engine/quant/quant_codec.h"
#include "engine/synth/synthesize.h"
#include "hwdb/catalog.h"
#include "hwdb/gguf_writer.h"
#include "hwdb/testing/temp_folder.h"

namespace engine {
namespace {

using hwdb::testing::TempFolder;

/// A small model of 256-wide rows in 32 bits.
hwdb::ModelShape small_shape() {
  hwdb::ModelShape shape = (*hwdb::Catalog::builtin().find_model("llama-3.1-8b"))->shape;
  shape = cut_shape(shape, {.n_layers = 4, .n_vocab = 320});
  shape.n_embd = 256;
  shape.n_heads = hwdb::PerLayer(4);
  shape.n_kv_heads = hwdb::PerLayer(2);
  shape.head_dim_k = shape.head_dim_v = 64;
  shape.n_ff = hwdb::PerLayer(512);
  return shape;
}

std::string make_source(const TempFolder& folder, const std::string& preset) {
  SynthRequest request;
  request.preset = preset;
  const auto plan = plan_synth(small_shape(), request);
  EXPECT_TRUE(plan);
  ThreadPool pool(2);
  const std::string path = folder.file("source-" + preset + ".gguf");
  EXPECT_TRUE(write_synth(*plan, path, pool, {}));
  return path;
}

hwdb::QuantOptions preset(const std::string& name) {
  hwdb::QuantOptions options;
  options.preset = name;
  options.newer_rules = true;
  return options;
}

std::vector<float> weights_of(const std::string& path, const std::string& name) {
  auto gguf = hwdb::GgufFile::open(std::move(*hwdb::FileReader::open(path)));
  const auto tensor = std::ranges::find(gguf->tensors(), name, &hwdb::TensorInfo::name);
  std::vector<std::byte> bytes(tensor->bytes);
  EXPECT_TRUE(gguf->file().read(gguf->header_bytes() + tensor->offset, bytes));
  std::vector<float> values(tensor->elements());
  find_quant_codec(tensor->type)->decode(bytes.data(), values.size(), values.data());
  return values;
}

std::string type_of(const Quantization& plan, const std::string& name) {
  const auto tensor = std::ranges::find_if(
      plan.tensors(), [&](const hwdb::PlannedTensor& t) { return t.info.name == name; });
  return std::string(hwdb::format_of(tensor->info.type).name);
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

TEST(Quantize, WeightsStayCloseAndKeysStayAsTheyAre) {
  TempFolder folder;
  const std::string source = make_source(folder, "F32"), out = folder.file("out.gguf");
  const auto plan = Quantization::plan(source, preset("Q4_K_M"));
  ASSERT_TRUE(plan) << plan.error().what;
  EXPECT_EQ(type_of(*plan, "output.weight"), "Q6_K");
  EXPECT_EQ(type_of(*plan, "blk.0.attn_q.weight"), "Q4_K");
  EXPECT_EQ(type_of(*plan, "blk.0.attn_norm.weight"), "F32");
  ThreadPool pool(2);
  const auto written = plan->write(out, pool, {});
  ASSERT_TRUE(written) << written.error().what;
  EXPECT_EQ(*written, std::filesystem::file_size(out));
  EXPECT_LT(plan->bytes_after() * 5, plan->bytes_before());

  const auto before = weights_of(source, "blk.1.ffn_up.weight");
  const auto after = weights_of(out, "blk.1.ffn_up.weight");
  double squares = 0, errors = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    squares += double{before[i]} * double{before[i]};
    errors += std::pow(double{before[i]} - double{after[i]}, 2);
  }
  EXPECT_LT(std::sqrt(errors / squares), 0.09);  // 4 bits of a bell shape
  EXPECT_GT(std::sqrt(errors / squares), 0.01);

  auto old_file = hwdb::GgufFile::open(std::move(*hwdb::FileReader::open(source)));
  auto new_file = hwdb::GgufFile::open(std::move(*hwdb::FileReader::open(out)));
  ASSERT_TRUE(new_file);
  EXPECT_EQ(**new_file->integer("general.file_type"), 15u);  // Q4_K_M
  EXPECT_EQ(new_file->n_keys(), old_file->n_keys());
  EXPECT_EQ(**new_file->text("general.name"), **old_file->text("general.name"));
  EXPECT_EQ(new_file->find("tokenizer.ggml.tokens")->count, 320u);

  // From one quantization to another, and back to 16 bits.
  const auto again = Quantization::plan(out, preset("Q8_0"));
  ASSERT_TRUE(again);
  ASSERT_TRUE(again->write(folder.file("again.gguf"), pool, {}));
  const auto wide = Quantization::plan(out, preset("F16"));
  ASSERT_TRUE(wide);
  EXPECT_EQ(type_of(*wide, "token_embd.weight"), "F16");
  EXPECT_EQ(type_of(*wide, "blk.0.attn_norm.weight"), "F32");
}

TEST(Quantize, DoesNotDependOnThreads) {
  TempFolder folder;
  const auto plan = Quantization::plan(make_source(folder, "F16"), preset("Q4_K_M"));
  ASSERT_TRUE(plan);
  ThreadPool one(1), three(3);
  ASSERT_TRUE(plan->write(folder.file("1.gguf"), one, {}));
  ASSERT_TRUE(plan->write(folder.file("3.gguf"), three, {}));
  EXPECT_TRUE(contents(folder.file("1.gguf")) == contents(folder.file("3.gguf")));
}

TEST(Quantize, TypesByNameWinOverThePreset) {
  TempFolder folder;
  const std::string source = make_source(folder, "F16");
  hwdb::QuantOptions options = preset("Q4_K_M");
  options.token_embedding_type = "Q8_0";
  options.output_tensor_type = "F16";
  const auto named = Quantization::plan(source, options);
  ASSERT_TRUE(named);
  EXPECT_EQ(type_of(*named, "token_embd.weight"), "Q8_0");
  EXPECT_EQ(type_of(*named, "output.weight"), "F16");
  options = preset("Q4_K_M");
  options.pure = true;
  const auto pure = Quantization::plan(source, options);
  ASSERT_TRUE(pure);
  for (const hwdb::PlannedTensor& tensor : pure->tensors()) {
    const bool matrix = tensor.part != hwdb::QuantPart::copied;
    EXPECT_EQ(hwdb::format_of(tensor.info.type).name, matrix ? "Q4_K" : "F32") << tensor.info.name;
  }
  options.output_tensor_type = "Q9";
  EXPECT_EQ(Quantization::plan(source, options).error().code, "quant.unknown");
}

TEST(Quantize, RefusesWhatItCannotDo) {
  TempFolder folder;
  const std::string source = make_source(folder, "F16");
  EXPECT_EQ(Quantization::plan(source, preset("IQ2_XS")).error().code, "quant.unsupported");
  EXPECT_EQ(Quantization::plan(source, preset("nothing")).error().code, "quant.unknown");
  EXPECT_EQ(Quantization::plan(folder.file("none.gguf"), preset("Q8_0")).error().code, "file.open");
  const auto plan = Quantization::plan(source, preset("Q8_0"));
  ASSERT_TRUE(plan);
  ThreadPool pool(1);
  Quantization::Writing force;
  force.overwrite = true;
  const std::string before = contents(source);
  EXPECT_EQ(plan->write(source, pool, force).error().code, "usage.value");
  std::filesystem::create_symlink(source, folder.file("link.gguf"));
  EXPECT_EQ(plan->write(folder.file("link.gguf"), pool, force).error().code, "usage.value");
  EXPECT_TRUE(contents(source) == before);
  std::atomic<bool> cancel = true;
  Quantization::Writing cancelled;
  cancelled.cancel = &cancel;
  EXPECT_EQ(plan->write(folder.file("out.gguf"), pool, cancelled).error().code, "run.interrupted");
  EXPECT_FALSE(std::filesystem::exists(folder.file("out.gguf")));
}

TEST(Quantize, ANumberThatIsNoneIsNamedWithItsPlace) {
  TempFolder folder;
  const std::string source = make_source(folder, "F32");
  constexpr std::size_t kPlace = 70'001;  // in the second task
  {
    auto gguf = hwdb::GgufFile::open(std::move(*hwdb::FileReader::open(source)));
    const auto tensor = std::ranges::find(gguf->tensors(), std::string("blk.2.ffn_down.weight"),
                                          &hwdb::TensorInfo::name);
    std::fstream file(source, std::ios::in | std::ios::out | std::ios::binary);
    for (const std::size_t place : {kPlace + 5000, kPlace}) {
      const float nan = std::numeric_limits<float>::quiet_NaN();
      file.seekp(
          static_cast<std::streamoff>(gguf->header_bytes() + tensor->offset + place * sizeof(nan)));
      file.write(reinterpret_cast<const char*>(&nan), sizeof(nan));
    }
  }
  const auto plan = Quantization::plan(source, preset("Q4_K_M"));
  ASSERT_TRUE(plan);
  ThreadPool pool(2);
  const auto written = plan->write(folder.file("out.gguf"), pool, {});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, "quantize.not_finite");
  EXPECT_NE(written.error().what.find("weight 70001 of blk.2.ffn_down.weight"), std::string::npos)
      << written.error().what;
  EXPECT_FALSE(std::filesystem::exists(folder.file("out.gguf")));
}

TEST(Quantize, ReadsTheShardsOfASplit) {
  TempFolder folder;
  const std::string source = make_source(folder, "F16");
  auto whole = hwdb::GgufFile::open(std::move(*hwdb::FileReader::open(source)));
  ASSERT_TRUE(whole);
  const auto& tensors = whole->tensors();
  const std::size_t half = tensors.size() / 2;
  for (std::uint16_t shard = 0; shard < 2; ++shard) {
    hwdb::GgufKeys keys;
    for (std::size_t i = 0; i < whole->n_keys() && shard == 0; ++i) {
      ASSERT_TRUE(keys.copy(*whole, whole->key(i)));
    }
    keys.add("split.no", shard);
    keys.add("split.count", std::uint16_t{2});
    keys.add("split.tensors.count", static_cast<std::int32_t>(tensors.size()));
    const auto begin = tensors.begin() + static_cast<std::ptrdiff_t>(shard == 0 ? 0 : half);
    const auto end =
        shard == 0 ? tensors.begin() + static_cast<std::ptrdiff_t>(half) : tensors.end();
    auto writer = hwdb::GgufWriter::create(
        folder.file(shard == 0 ? "s-00001-of-00002.gguf" : "s-00002-of-00002.gguf"), keys,
        {begin, end}, {});
    ASSERT_TRUE(writer) << writer.error().what;
    for (auto it = begin; it != end; ++it) {
      std::vector<std::byte> bytes(it->bytes);
      ASSERT_TRUE(whole->file().read(whole->header_bytes() + it->offset, bytes));
      ASSERT_TRUE(writer->write(bytes));
    }
    ASSERT_TRUE(writer->commit());
  }
  const auto split = Quantization::plan(folder.file("s-00001-of-00002.gguf"), preset("Q8_0"));
  ASSERT_TRUE(split) << split.error().what;
  const auto single = Quantization::plan(source, preset("Q8_0"));
  ASSERT_TRUE(single);
  ThreadPool pool(2);
  ASSERT_TRUE(split->write(folder.file("a.gguf"), pool, {}));
  ASSERT_TRUE(single->write(folder.file("b.gguf"), pool, {}));
  EXPECT_TRUE(contents(folder.file("a.gguf")) == contents(folder.file("b.gguf")));
}

}  // namespace
}  // namespace engine
