// SPDX-License-Identifier: MIT
#include "probes/sys_tree.h"

#include <fmt/format.h>

#include <deque>

namespace probes {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{32} << 20;
constexpr std::size_t kMaxNodes = std::size_t{1} << 20;
constexpr std::size_t kMaxPath = 4096;
constexpr int kMaxLinks = 40;  // as Linux

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// "\0", "\r", "\n", "\\" and "\xHH" as the bytes they stand for.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : ' ';
    const int high = next == 'x' && i + 3 < text.size() ? hex_digit(text[i + 2]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 3]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 3;
    } else if (next == '0' || next == 'r' || next == 'n' || next == '\\') {
      out += next == '0' ? '\0' : next == 'r' ? '\r' : next == 'n' ? '\n' : '\\';
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\0') {
      out += "\\0";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\n') {
      out += "\\n";
    } else if ((c < ' ' && c != '\t') || c == '\x7f') {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

bool good_path(std::string_view path) {
  return path.starts_with('/') && path.size() > 1 && path.size() <= kMaxPath &&
         path.find("//") == std::string_view::npos && path.find("/../") == std::string_view::npos &&
         path.find("/./") == std::string_view::npos && !path.ends_with("/..") &&
         !path.ends_with("/.");
}

std::string_view parent_of(std::string_view path) {
  return path.substr(0, path.rfind('/'));
}

}  // namespace

void SysTree::add(std::string_view path, Kind kind, std::string text) {
  while (path.ends_with('/')) path.remove_suffix(1);
  for (std::string_view folder = path; !folder.empty();) {
    folder = parent_of(folder);
    if (!nodes_.try_emplace(std::string(folder)).second) break;
  }
  if (path.empty()) return;
  const auto [it, fresh] = nodes_.try_emplace(std::string(path), Node{kind, text});
  if (fresh || kind == Kind::folder) return;
  Node& node = it->second;
  // A folder that something lies in stays one.
  if (node.kind == Kind::folder && !list(path).empty()) return;
  if (node.kind == Kind::folder || text.size() > node.text.size()) node = {kind, std::move(text)};
}

const SysTree::Node* SysTree::find(std::string_view path) const {
  while (path.ends_with('/')) path.remove_suffix(1);
  const auto it = nodes_.find(path);
  return it != nodes_.end() ? &it->second : nullptr;
}

std::optional<std::string> SysTree::resolve(std::string_view path) const {
  std::deque<std::string> rest;
  const auto push_front = [&](std::string_view parts) {
    while (!parts.empty()) {
      const std::size_t slash = parts.rfind('/');
      const std::string_view last = parts.substr(slash == std::string_view::npos ? 0 : slash + 1);
      if (!last.empty() && last != ".") rest.emplace_front(last);
      parts = slash == std::string_view::npos ? std::string_view() : parts.substr(0, slash);
    }
  };
  push_front(path);
  std::string at;
  int links = 0;
  while (!rest.empty()) {
    const std::string part = std::move(rest.front());
    rest.pop_front();
    if (part == "..") {
      at = parent_of(at);
      continue;
    }
    const std::string next = at + "/" + part;
    const Node* node = find(next);
    if (node == nullptr || next.size() > kMaxPath) return std::nullopt;
    if (node->kind != Kind::link) {
      if (node->kind == Kind::file && !rest.empty()) return std::nullopt;
      at = next;
      continue;
    }
    if (++links > kMaxLinks) return std::nullopt;
    if (node->text.starts_with('/')) at.clear();
    push_front(node->text);
  }
  return at;
}

std::vector<std::string> SysTree::list(std::string_view folder) const {
  std::vector<std::string> names;
  const std::string prefix = std::string(folder) + "/";
  for (auto it = nodes_.lower_bound(prefix); it != nodes_.end() && it->first.starts_with(prefix);) {
    const std::size_t slash = it->first.find('/', prefix.size());
    if (slash == std::string::npos) {
      names.push_back(it->first.substr(prefix.size()));
      ++it;
    } else {
      // All of it lies below one name, which has a node of its own: on to the next.
      it = nodes_.lower_bound(it->first.substr(0, slash) + '0');  // '0' follows '/'
    }
  }
  return names;
}

hwdb::Result<SysTree> SysTree::parse(std::string_view text, std::string_view where) {
  if (text.size() > kMaxTextBytes)
    return hwdb::Error{"file.limit", "longer than any recording", std::string(where), ""};
  SysTree tree;
  std::string block, lines;
  const auto end_block = [&] {
    if (!block.empty()) tree.add(block, Kind::file, std::move(lines));
    block.clear();
    lines.clear();
  };
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    const auto wrong = [&](std::string_view what) {
      return hwdb::Error{"row.syntax", fmt::format("line {}: {}", number, what), std::string(where),
                         "the form is explained in tests/fixtures/machines/README.md"};
    };
    if (line.starts_with("  ")) {
      if (block.empty()) return wrong("a line of a file before its path");
      lines += unescape(line.substr(2));
      lines += '\n';
      continue;
    }
    end_block();
    if (line.empty() || line[0] == '#') continue;
    const std::size_t equals = line.find(" ="), arrow = line.find(" -> ");
    std::string_view path = line;
    Node node;
    if (line.ends_with('/')) {
      path.remove_suffix(1);
    } else if (arrow != std::string_view::npos && arrow < equals) {
      path = line.substr(0, arrow);
      node = {Kind::link, std::string(line.substr(arrow + 4))};
      if (node.text.empty() || node.text.size() > kMaxPath) return wrong("a link to nowhere");
    } else if (equals != std::string_view::npos) {
      path = line.substr(0, equals);
      const std::string_view value = line.substr(equals + 2);
      node = {Kind::file, unescape(value.substr(value.starts_with(' ') ? 1 : 0)) + '\n'};
    } else if (line.ends_with(':')) {
      path.remove_suffix(1);
      block = path;
    } else {
      return wrong("neither folder, file, link nor remark");
    }
    if (!good_path(path)) return wrong("a path must begin with / and hold no ..");
    if (tree.nodes_.size() >= kMaxNodes) return wrong("too many files");
    if (block.empty()) tree.add(path, node.kind, std::move(node.text));
  }
  end_block();
  return tree;
}

std::string SysTree::write() const {
  std::string out;
  for (const auto& [path, node] : nodes_) {
    if (path.empty()) continue;
    if (node.kind == Kind::link) {
      out += fmt::format("{} -> {}\n", path, node.text);
    } else if (node.kind == Kind::folder) {
      if (list(path).empty()) out += path + "/\n";
    } else {
      std::string_view text = node.text;
      if (text.ends_with('\n')) text.remove_suffix(1);
      if (text.find('\n') == std::string_view::npos) {
        out += fmt::format("{} ={}{}\n", path, text.empty() ? "" : " ", escape(text));
        continue;
      }
      out += path + ":\n";
      while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        out += fmt::format("  {}\n", escape(text.substr(0, end)));
        text.remove_prefix(std::min(end + 1, text.size()));
      }
    }
  }
  return out;
}

}  // namespace probes
