// SPDX-License-Identifier: MIT
#include "hwdb/quant_name.h"

#include <algorithm>
#include <array>
#include <map>

#include "hwdb/gguf_split.h"

namespace hwdb {
namespace {

bool is_upper_word(std::string_view word) {
  return !word.empty() && std::ranges::all_of(word, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

/// "Q4_K_M", "IQ2_XXS", "TQ1_0", "BF16", "MXFP4_MOE": a known tensor type, or one with endings.
bool is_preset(std::string_view word) {
  if (!is_upper_word(word)) return false;
  constexpr std::array<std::string_view, 7> kEndings = {"_XXS", "_XS", "_XL", "_S",
                                                        "_M",   "_L",  "_MOE"};
  for (const std::string_view ending : kEndings) {
    if (word.ends_with(ending) && word.size() > ending.size()) {
      const std::string_view base = word.substr(0, word.size() - ending.size());
      if (find_tensor_format(base) != nullptr) return true;
      // IQ3_M and the like have no type of their own name without an ending.
      if (base.starts_with("IQ") && base.size() == 3 && base[2] >= '1' && base[2] <= '4')
        return true;
    }
  }
  return find_tensor_format(word) != nullptr;
}

}  // namespace

std::string preset_in_file_name(std::string_view path) {
  std::string_view name = path.substr(path.find_last_of('/') + 1);
  if (name.ends_with(".gguf")) name.remove_suffix(5);
  if (const auto shard = parse_shard_name(std::string(name) + ".gguf"))
    name = name.substr(0, shard->prefix.size());
  const std::size_t start = name.find_last_of("-.");
  if (start == std::string_view::npos) return {};
  std::string word(name.substr(start + 1));
  std::ranges::transform(word, word.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return is_preset(word) ? word : std::string();
}

std::vector<ModelFile::Dtype> dtypes_of(const std::vector<TensorInfo>& tensors) {
  std::map<TensorType, ModelFile::Dtype> sums;
  for (const TensorInfo& tensor : tensors) {
    ModelFile::Dtype& sum = sums[tensor.type];
    ++sum.tensors;
    sum.elements += tensor.elements();
    sum.bytes += tensor.bytes;
  }
  std::vector<ModelFile::Dtype> list;
  for (auto& [type, sum] : sums) {
    sum.name = format_of(type).name;
    list.push_back(std::move(sum));
  }
  std::ranges::stable_sort(list, std::greater<>(), &ModelFile::Dtype::bytes);
  return list;
}

}  // namespace hwdb
