// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace probes {

/// A folder for one test, below the current one (which is on a disk, as /tmp may not be); gone with
/// all that is in it afterwards. Tests write recorded machines into it.
class ScratchFolder {
 public:
  ScratchFolder() : path_(std::filesystem::current_path() / "scratch-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no folder can be made here";
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  /// "/sys/class/…": the path below the folder.
  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path full = path_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full, std::ios::binary) << text;
  }
  void link(const std::string& path, const std::string& target) const {
    const std::filesystem::path full = path_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::filesystem::create_symlink(target, full);
  }

 private:
  std::string path_;
};

}  // namespace probes
