// SPDX-License-Identifier: MIT
#include "planner/cli/bench_flags.h"

#include <fmt/format.h>

#include <charconv>

#include "planner/cli/flag_values.h"

namespace cli {
namespace {

using hwdb::Ok;
using hwdb::Status;

constexpr std::size_t kMaxValues = 1000, kMaxCases = 10'000;
constexpr std::uint32_t kMaxTokens = 1u << 24;

/// Takes a number off the front; false when there is none.
bool take_number(std::string_view* text, std::uint64_t* out) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *out);
  if (error != std::errc{}) return false;
  text->remove_prefix(static_cast<std::size_t>(end - text->data()));
  return true;
}

/// first[-last[+step|*factor]]
bool take_range(std::string_view text, std::uint64_t least, std::uint64_t most,
                std::vector<std::uint32_t>* out) {
  std::uint64_t first = 0, last = 0, step = 1;
  if (!take_number(&text, &first)) return false;
  last = first;
  bool factor = false;
  if (text.starts_with('-')) {
    text.remove_prefix(1);
    if (!take_number(&text, &last)) return false;
    if (text.starts_with('+') || text.starts_with('*')) {
      factor = text.front() == '*';
      text.remove_prefix(1);
      if (!take_number(&text, &step)) return false;
    }
  }
  if (!text.empty() || first < least || last > most || last < first) return false;
  // A step that stands still would never end.
  if (factor ? step < 2 || first == 0 : step < 1) return false;
  for (std::uint64_t value = first; value <= last; value = factor ? value * step : value + step) {
    if (out->size() == kMaxValues) return false;
    out->push_back(static_cast<std::uint32_t>(value));
    if (step > most) break;  // or the product could wrap
  }
  return true;
}

template <class T>
std::vector<T> or_default(const std::vector<T>& given, T usual) {
  return given.empty() ? std::vector<T>{usual} : given;
}

}  // namespace

Status read_numbers(std::string_view text, std::uint32_t least, std::uint32_t most,
                    std::vector<std::uint32_t>* out) {
  out->clear();
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (!take_range(text.substr(begin, end - begin), least, most, out))
      return wrong_value(
          text, fmt::format("numbers from {} to {} such as 1,2,4 or 16-128*2", least, most));
    begin = end + 1;
  }
  return Ok{};
}

Status read_pairs(std::string_view text,
                  std::vector<std::pair<std::uint32_t, std::uint32_t>>* out) {
  std::vector<std::uint32_t> numbers;
  const bool plain = text.find('-') == std::string_view::npos;
  if (!plain || !read_numbers(text, 1, kMaxTokens, &numbers) || numbers.size() % 2 != 0)
    return wrong_value(text, "prompt and answer such as 512,128");
  out->clear();
  for (std::size_t i = 0; i < numbers.size(); i += 2) out->emplace_back(numbers[i], numbers[i + 1]);
  return Ok{};
}

hwdb::Result<std::vector<BenchCase>> bench_cases(const BenchFlags& flags,
                                                 std::uint32_t default_threads) {
  std::vector<BenchCase> cases;
  const auto prompts = or_default<std::uint32_t>(flags.n_prompt, 512);
  const auto answers = or_default<std::uint32_t>(flags.n_gen, 128);
  const auto depths = or_default<std::uint32_t>(flags.n_depth, 0);
  const auto sequences = or_default<std::uint32_t>(flags.n_seq, 1);
  bool too_many = false;
  const auto tests_of = [&](BenchCase one, std::uint32_t depth) {
    const auto add = [&](std::uint32_t n_prompt, std::uint32_t n_gen, std::uint32_t n_seq) {
      if (n_prompt == 0 && n_gen == 0) return;
      one.test = {n_prompt, n_gen, depth, n_seq, one.test.n_batch};
      too_many = too_many || cases.size() == kMaxCases;
      if (!too_many) cases.push_back(one);
    };
    for (const std::uint32_t n : prompts) add(n, 0, 1);
    for (const std::uint32_t n : answers)
      for (const std::uint32_t n_seq : sequences) add(0, n, n_seq);
    for (const auto& [n_prompt, n_gen] : flags.n_pg)
      for (const std::uint32_t n_seq : sequences) add(n_prompt, n_gen, n_seq);
  };
  for (const std::uint32_t n_batch : or_default<std::uint32_t>(flags.n_batch, 2048))
    for (const std::uint32_t n_ubatch : or_default<std::uint32_t>(flags.n_ubatch, 512))
      for (const std::string& k : or_default<std::string>(flags.type_k, "f16"))
        for (const std::string& v : or_default<std::string>(flags.type_v, "f16"))
          for (const std::uint32_t threads :
               or_default<std::uint32_t>(flags.n_threads, default_threads))
            for (const std::uint32_t depth : depths) {
              BenchCase one{{}, n_ubatch, threads, k, v};
              one.test.n_batch = n_batch;
              if (!too_many) tests_of(one, depth);
            }
  if (too_many)
    return hwdb::Error{"usage.value", fmt::format("more than {} tests", kMaxCases), "", ""};
  if (cases.empty())
    return hwdb::Error{"usage.value", "nothing to test: -p, -n and -pg are all 0", "", ""};
  return cases;
}

std::string test_name(const engine::BenchTest& test) {
  std::string name;
  if (test.n_prompt > 0) name = fmt::format("pp{}", test.n_prompt);
  if (test.n_gen > 0) name += fmt::format("{}tg{}", name.empty() ? "" : "+", test.n_gen);
  if (test.n_seq > 1) name += fmt::format(" x{}", test.n_seq);
  if (test.n_depth > 0) name += fmt::format(" @ d{}", test.n_depth);
  return name;
}

}  // namespace cli
