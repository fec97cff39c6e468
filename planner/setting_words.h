// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string_view>

#include "planner/scenario.h"

/// The words of settings, as scenarios, flags and readings write them.
namespace planner {

template <class T>
struct Word {
  std::string_view text;
  T value;
};

constexpr Word<hwdb::Runtime> word_of(hwdb::Runtime runtime) {
  return {hwdb::to_string(runtime), runtime};
}

inline constexpr std::array kRuntimeWords = {
    word_of(hwdb::Runtime::llama_cpp), word_of(hwdb::Runtime::ollama),
    word_of(hwdb::Runtime::lmstudio),  word_of(hwdb::Runtime::vllm),
    word_of(hwdb::Runtime::mlx),       word_of(hwdb::Runtime::tokwatt)};

inline constexpr std::array kBackendWords = {
    Word<hwdb::GpuInfo::Backend>{"cuda", hwdb::GpuInfo::Backend::cuda},
    Word<hwdb::GpuInfo::Backend>{"rocm", hwdb::GpuInfo::Backend::rocm},
    Word<hwdb::GpuInfo::Backend>{"vulkan", hwdb::GpuInfo::Backend::vulkan},
    Word<hwdb::GpuInfo::Backend>{"metal", hwdb::GpuInfo::Backend::metal},
    Word<hwdb::GpuInfo::Backend>{"sycl", hwdb::GpuInfo::Backend::sycl}};

inline constexpr std::array kSplitModeWords = {
    Word<SplitMode>{"none", SplitMode::none}, Word<SplitMode>{"layer", SplitMode::layer},
    Word<SplitMode>{"row", SplitMode::row}, Word<SplitMode>{"tensor", SplitMode::tensor}};

inline constexpr std::array kLoadModeWords = {Word<LoadMode>{"auto", LoadMode::automatic},
                                              Word<LoadMode>{"none", LoadMode::none},
                                              Word<LoadMode>{"mmap", LoadMode::mmap},
                                              Word<LoadMode>{"mlock", LoadMode::mlock},
                                              Word<LoadMode>{"mmap+mlock", LoadMode::mmap_mlock},
                                              Word<LoadMode>{"dio", LoadMode::direct_io}};

}  // namespace planner
