// SPDX-License-Identifier: MIT
#include <cstdlib>

#include "hwdb/gguf_split.h"
#include "hwdb/testing/gguf_builder.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const MemoryFile file({data, size});
  const auto model = hwdb::open_gguf(file.path());
  if (!model && model.error().code.empty()) std::abort();
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  using hwdb::GgufType;
  hwdb::testing::GgufBuilder words;
  hwdb::testing::TinyLlama tiny;
  tiny.n_layers = 1;
  tiny.add_keys(&words);
  words.text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", {"a", "b", "ab"});
  words.texts("tokenizer.ggml.merges", {"a b"});
  words.array<std::int32_t>("tokenizer.ggml.token_type", GgufType::i32, {1, 1, 1});
  hwdb::testing::GgufBuilder mixed;
  mixed.text("general.architecture", "other").u32("general.alignment", 64).boolean("x", true);
  mixed.alignment = 64;
  mixed.tensor("blk.0.w", {32, 2}, "Q4_0").tensor("b", {3});
  return {words.build(), mixed.build()};
}
