// SPDX-License-Identifier: MIT
#include "probes/sys_root.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <memory>

#include "hwdb/file_reader.h"

namespace probes {
namespace {

constexpr std::uint32_t kMaxCpus = 65536;
constexpr std::size_t kMaxTreeBytes = std::size_t{32} << 20;
constexpr std::string_view kBlank = std::string_view(" \t\r\n\0", 5);

/// The tree.txt that a root names, by itself or by its folder; "" when it is a folder of files.
std::string tree_file_of(const std::string& root) {
  std::error_code error;
  if (std::filesystem::is_regular_file(root, error)) return root;
  const std::string inside = root + "/tree.txt";
  return std::filesystem::is_regular_file(inside, error) ? inside : std::string();
}

hwdb::Result<SysTree> read_tree(const std::string& path) {
  auto file = hwdb::FileReader::open(path);
  if (!file) return file.error();
  const auto text = file->read_text(kMaxTreeBytes);
  if (!text) return text.error();
  return SysTree::parse(*text, path);
}

std::string canonical(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  return error ? std::string() : real.string();
}

}  // namespace

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<std::string_view> value_of(std::string_view line, std::string_view key) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || trim(line.substr(0, colon)) != key) return std::nullopt;
  return trim(line.substr(colon + 1));
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  text = trim(text);
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text) {
  std::vector<std::uint32_t> cpus;
  text = trim(text);
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const std::size_t dash = part.find('-');
    const auto first = parse_number(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_number(part.substr(dash + 1));
    if (!first || !last || *last < *first || *last >= kMaxCpus) return std::nullopt;
    for (std::uint64_t cpu = *first; cpu <= *last; ++cpu)
      cpus.push_back(static_cast<std::uint32_t>(cpu));
    if (cpus.size() > kMaxCpus) return std::nullopt;
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  std::ranges::sort(cpus);
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

SysRoot::SysRoot(std::string root) {
  if (root.empty() || root == "/") return;
  if (const std::string path = tree_file_of(root); !path.empty()) {
    // One that cannot be read holds nothing: check() says why.
    auto tree = read_tree(path);
    tree_ = std::make_shared<const SysTree>(tree ? std::move(*tree) : SysTree());
    return;
  }
  root_ = canonical(root);
  // A root that does not exist holds nothing; it must not become the running system.
  if (root_.empty()) root_ = root;
  if (root_ == "/") root_.clear();
}

hwdb::Status SysRoot::check(const std::string& root) {
  if (const std::string path = tree_file_of(root); !path.empty()) {
    if (const auto tree = read_tree(path); !tree) return tree.error();
    return hwdb::Ok{};
  }
  std::error_code error;
  if (std::filesystem::is_directory(root, error)) return hwdb::Ok{};
  return hwdb::Error{"file.open", "no folder of a recorded machine, and no tree.txt", root, ""};
}

std::optional<std::string> SysRoot::real(std::string_view path) const {
  std::string full = root_ + std::string(path);
  if (root_.empty()) return full;
  full = canonical(full);
  if (!full.starts_with(root_ + "/")) return std::nullopt;
  return full;
}

bool SysRoot::exists(std::string_view path) const {
  if (tree_) return tree_->resolve(path).has_value();
  if (recorder_ != nullptr) recorder_->seen(path);
  const auto full = real(path);
  return full && ::access(full->c_str(), F_OK) == 0;
}

bool SysRoot::denied(std::string_view path) const {
  if (tree_) return false;
  const auto full = real(path);
  return full && ::access(full->c_str(), F_OK) == 0 && ::access(full->c_str(), R_OK) != 0 &&
         errno == EACCES;
}

std::optional<std::string> SysRoot::read_text(std::string_view path, std::size_t max_bytes) const {
  auto text = read_head(path, max_bytes + 1);
  if (!text || text->size() > max_bytes) return std::nullopt;
  text->resize(text->find_last_not_of(kBlank) + 1);  // npos + 1 is 0
  if (text->empty()) return std::nullopt;
  return text;
}

std::optional<std::string> SysRoot::read_head(std::string_view path, std::size_t bytes) const {
  if (tree_) {
    const auto full = tree_->resolve(path);
    const SysTree::Node* node = full ? tree_->find(*full) : nullptr;
    if (node == nullptr || node->kind != SysTree::Kind::file) return std::nullopt;
    return node->text.substr(0, bytes);
  }
  auto text = read_file(path, bytes);
  if (recorder_ != nullptr) {
    recorder_->seen(path);
    if (text) recorder_->file(path, *text);
  }
  return text;
}

std::optional<std::string> SysRoot::read_file(std::string_view path, std::size_t bytes) const {
  const auto full = real(path);
  if (!full) return std::nullopt;
  // O_NONBLOCK: a FIFO in a recording must not hang us.
  const int fd = ::open(full->c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  struct stat info {};
  std::string text;
  bool good = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  std::array<char, 4096> buffer;  // one page: what /proc makes at a time
  while (good && text.size() < bytes) {
    const ssize_t n = ::read(fd, buffer.data(), std::min(buffer.size(), bytes - text.size()));
    if (n < 0 && errno == EINTR) continue;
    good = n >= 0;
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  ::close(fd);
  if (!good) return std::nullopt;
  return text;
}

std::optional<std::uint64_t> SysRoot::read_number(std::string_view path) const {
  const auto text = read_text(path, 4096);
  return text ? parse_number(*text) : std::nullopt;
}

std::vector<std::string> SysRoot::read_lines(std::string_view path) const {
  std::vector<std::string> lines;
  const auto text = read_text(path);
  if (!text) return lines;
  for (std::size_t at = 0; at < text->size();) {
    std::size_t end = text->find('\n', at);
    if (end == std::string::npos) end = text->size();
    std::string_view line(text->data() + at, end - at);
    while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    lines.emplace_back(line);
    at = end + 1;
  }
  return lines;
}

std::vector<std::string> SysRoot::list(std::string_view path) const {
  std::vector<std::string> names;
  if (tree_) {
    const auto folder = tree_->resolve(path);
    return folder ? tree_->list(*folder) : names;
  }
  const auto full = real(path);
  if (!full) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(full->c_str()), ::closedir);
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && names.size() < kMaxEntries) names.emplace_back(name);
  }
  std::ranges::sort(names);
  if (recorder_ != nullptr) recorder_->folder(path, names);
  return names;
}

std::string SysRoot::resolve(std::string_view path) const {
  if (tree_) return tree_->resolve(path).value_or("");
  if (recorder_ != nullptr) recorder_->seen(path);
  const std::string full = canonical(root_ + std::string(path));
  if (root_.empty() || full.empty()) return full;
  return full.starts_with(root_ + "/") ? full.substr(root_.size()) : std::string();
}

std::string SysRoot::link_name(std::string_view path) const {
  const std::size_t slash = path.rfind('/');
  if (tree_) {
    const auto above = tree_->resolve(path.substr(0, slash));
    const SysTree::Node* node =
        above ? tree_->find(*above + std::string(path.substr(slash))) : nullptr;
    if (node == nullptr || node->kind != SysTree::Kind::link) return "";
    return node->text.substr(node->text.rfind('/') + 1);  // npos + 1 is 0
  }
  if (recorder_ != nullptr) recorder_->seen(path);
  const auto folder = real(path.substr(0, slash));
  if (!folder || slash == std::string_view::npos) return "";
  // Read as text: in a recording the target need not exist.
  std::error_code error;
  const auto target =
      std::filesystem::read_symlink(*folder + std::string(path.substr(slash)), error);
  return error ? std::string() : target.filename().string();
}

}  // namespace probes
