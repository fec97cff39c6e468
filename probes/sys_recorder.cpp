// SPDX-License-Identifier: MIT
#include "probes/sys_recorder.h"

#include <array>
#include <filesystem>

#include "probes/sys_root.h"

namespace probes {
namespace {

namespace fs = std::filesystem;
using Kind = SysTree::Kind;

/// A file of which only some lines are ours: those with one of the words.
struct Excerpt {
  std::string_view path;
  std::array<std::string_view, 3> words;  // "" none
};
constexpr std::array kExcerpts = {
    Excerpt{"/proc/self/status", {"Cpus_allowed_list:"}},
    Excerpt{"/proc/self/mountinfo", {" - cgroup"}},
    Excerpt{"/proc/meminfo", {"MemTotal:", "MemFree:", "MemAvailable:"}},
    Excerpt{"/etc/os-release", {"PRETTY_NAME="}},
    Excerpt{"/run/udev/data/+dmi:id", {"E:MEMORY_"}},
};
// Firmware tables hold serial numbers throughout; what they say is kept by udev, too.
constexpr std::string_view kNeverKept = "/sys/firmware/dmi/";

/// By its key: among the flags of a processor stands "serialize".
bool names_one_thing(std::string_view line) {
  line = line.substr(0, line.find_first_of(":="));
  for (const std::string_view word : {"SERIAL", "Serial", "serial", "ASSET_TAG"}) {
    if (line.find(word) != std::string_view::npos) return true;
  }
  return false;
}

std::string kept_part(std::string_view path, const std::string& text) {
  if (path.starts_with(kNeverKept)) return "";
  const Excerpt* excerpt = nullptr;
  for (const Excerpt& e : kExcerpts) {
    if (e.path == path) excerpt = &e;
  }
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line(text.data() + at, end - at);
    bool keep = excerpt == nullptr;
    for (std::size_t i = 0; !keep && i < excerpt->words.size(); ++i) {
      const std::string_view word = excerpt->words[i];
      keep = !word.empty() && line.find(word) != std::string_view::npos;
    }
    if (keep && !names_one_thing(line)) {
      out += line;
      // A list of device-tree words has no line ends, and must get none.
      if (end < text.size()) out += '\n';
    }
    at = end + 1;
  }
  return out;
}

}  // namespace

std::string SysRecorder::follow(std::string_view path) {
  // A link to a process that will be gone.
  if (path.starts_with("/proc/self")) return std::string(path);
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) return "";
  fs::path at;
  const fs::path whole(path);
  std::vector<fs::path> rest(whole.begin(), whole.end());
  int links = 0;
  while (!rest.empty() && links < 40) {
    const fs::path part = rest.front();
    rest.erase(rest.begin());
    if (part == ".." || part == "." || part.empty()) {
      if (part == "..") at = at.parent_path();
      continue;
    }
    const fs::path next = part.is_absolute() ? part : at / part;
    if (!fs::is_symlink(fs::symlink_status(next, error))) {
      at = next;
      continue;
    }
    const fs::path target = fs::read_symlink(next, error);
    if (error) return "";
    tree_.add(next.string(), Kind::link, target.string());
    rest.insert(rest.begin(), target.begin(), target.end());
    ++links;
  }
  return real.string();
}

void SysRecorder::add_entry(const std::string& real) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(real, error);
  if (fs::is_symlink(status)) {
    const fs::path target = fs::read_symlink(real, error);
    if (!error) tree_.add(real, Kind::link, target.string());
  } else {
    tree_.add(real, fs::is_directory(status) ? Kind::folder : Kind::file);
  }
}

void SysRecorder::seen(std::string_view path) {
  // The last part may be a link to nowhere, of which the name alone counts.
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return;
  const std::string folder = slash == 0 ? "/" : follow(path.substr(0, slash));
  if (folder.empty()) return;
  std::error_code error;
  const std::string entry =
      (folder == "/" ? std::string() : folder) + std::string(path.substr(slash));
  if (!fs::exists(fs::symlink_status(entry, error))) return;
  add_entry(entry);
  if (const std::string real = follow(path); !real.empty()) add_entry(real);
}

void SysRecorder::folder(std::string_view path, const std::vector<std::string>& names) {
  const std::string real = follow(path);
  if (real.empty()) return;
  add_entry(real);
  for (const std::string& name : names) add_entry(real + "/" + name);
}

void SysRecorder::file(std::string_view path, const std::string& text) {
  if (const std::string real = follow(path); !real.empty())
    tree_.add(real, Kind::file, kept_part(path, text));
}

}  // namespace probes
