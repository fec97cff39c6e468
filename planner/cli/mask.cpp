// SPDX-License-Identifier: MIT
#include "planner/cli/mask.h"

#include <fmt/format.h>

#include <map>
#include <regex>

namespace cli {
namespace {

constexpr const char* kUuid =
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
constexpr const char* kMac = "\\b([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\\b";
constexpr const char* kContainer = "\\b[0-9a-f]{32,64}\\b";

/// Replaces each different match by what `name` makes of its number.
template <class F>
std::string numbered(const std::string& text, const std::regex& pattern, F name) {
  std::map<std::string, std::size_t> seen;
  std::string out;
  auto at = text.cbegin();
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
    out.append(at, (*it)[0].first);
    const auto [entry, fresh] = seen.try_emplace(it->str(), seen.size() + 1);
    out += name(entry->second);
    at = (*it)[0].second;
  }
  out.append(at, text.cend());
  return out;
}

}  // namespace

Mask::Mask(const Environment& environment) {
  add(environment.home, "~");
  add(environment.host, "<host>");
  add(environment.user, "<user>");
}

void Mask::add(const std::string& from, std::string to) {
  // Short names ("a", "me") would hit half of all words.
  if (from.size() >= 3 && from != "root") words_.emplace_back(from, std::move(to));
}

std::string Mask::without_words(std::string text) const {
  for (const auto& [from, to] : words_) {
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
      text.replace(at, from.size(), to);
    }
  }
  return text;
}

std::string Mask::operator()(std::string text) const {
  static const std::regex uuid(kUuid), mac(kMac);
  static const std::regex serial("((?:[Ss]erial|[Ss]/[Nn])[^:=]*[:=] *)[^ ,;]+");
  text = std::regex_replace(without_words(std::move(text)), uuid, "<uuid>");
  text = std::regex_replace(text, mac, "<mac>");
  return std::regex_replace(text, serial, "$1<serial>");
}

std::string Mask::recording(const std::string& text) const {
  static const std::regex uuid(kUuid), mac(kMac), container(kContainer);
  std::string out = numbered(without_words(text), uuid, [](std::size_t n) {
    return fmt::format("00000000-0000-0000-0000-{:012}", n);
  });
  out = numbered(out, container, [](std::size_t n) { return fmt::format("{:032}", n); });
  return numbered(out, mac,
                  [](std::size_t n) { return fmt::format("00:00:00:00:00:{:02x}", n % 256); });
}

}  // namespace cli
