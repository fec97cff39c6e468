// SPDX-License-Identifier: MIT
#include "planner/cli/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "planner/report/figures.h"

namespace cli {
namespace {

using hwdb::Error;
using planner::Fits;
using Figure = CheckTerm::Figure;
using Compare = CheckTerm::Compare;

template <class T>
struct Word {
  std::string_view text;
  T value;
};
constexpr std::array kFigures = {
    Word<Figure>{"decode", Figure::decode},   Word<Figure>{"prefill", Figure::prefill},
    Word<Figure>{"ttft", Figure::ttft},       Word<Figure>{"cost", Figure::cost},
    Word<Figure>{"watts", Figure::watts},     Word<Figure>{"ctx", Figure::ctx},
    Word<Figure>{"size", Figure::size},       Word<Figure>{"fits", Figure::fits},
    Word<Figure>{"request", Figure::request},
};
// Longer signs first: "<" would match the start of "<=".
constexpr std::array kCompares = {
    Word<Compare>{"<=", Compare::less_equal}, Word<Compare>{">=", Compare::greater_equal},
    Word<Compare>{"==", Compare::equal},      Word<Compare>{"=", Compare::equal},
    Word<Compare>{"<", Compare::less},        Word<Compare>{">", Compare::greater},
};
// Best first; "fits>=offload" means offload or better.
constexpr std::array kFits = {
    Word<Fits>{"no", Fits::no},           Word<Fits>{"cpu", Fits::cpu},
    Word<Fits>{"offload", Fits::offload}, Word<Fits>{"gpu_tight", Fits::gpu_tight},
    Word<Fits>{"gpu", Fits::gpu},
};

double rank_of(Fits fits) {
  return static_cast<double>(std::ranges::find(kFits, fits, &Word<Fits>::value) - kFits.begin());
}

bool holds(double have, Compare compare, double want) {
  switch (compare) {
    case Compare::less_equal:
      return have <= want;
    case Compare::greater_equal:
      return have >= want;
    case Compare::less:
      return have < want;
    case Compare::greater:
      return have > want;
    case Compare::equal:
      return have == want;
  }
  return false;
}

/// The plan's figure; absent when the plan does not know it.
std::optional<double> figure_of(const planner::Plan& plan, Figure figure) {
  const bool speed = plan.speed_known && plan.memory.fits != Fits::no;
  const auto if_known = [](bool known, double value) {
    return known ? std::optional<double>(value) : std::nullopt;
  };
  switch (figure) {
    case Figure::decode:
      return if_known(speed, plan.speed.decode_tok_per_s.likely);
    case Figure::prefill:
      return if_known(speed, plan.speed.prefill_tok_per_s.likely);
    case Figure::ttft:
      return if_known(speed, plan.speed.ttft_s.likely);
    case Figure::request:
      return if_known(speed, plan.speed.request_s.likely);
    case Figure::cost:
      return if_known(speed && !plan.cost.tariff_id.empty(), plan.cost.cost_per_month.likely);
    case Figure::watts:
      return if_known(speed, plan.energy.decode_w.likely);
    case Figure::ctx:
      return static_cast<double>(plan.max_ctx);
    case Figure::size:
      return plan.file_size.as_double();
    case Figure::fits:
      return rank_of(plan.memory.fits);
  }
  return std::nullopt;
}

hwdb::Result<CheckTerm> parse_term(std::string_view text) {
  CheckTerm term;
  term.text = text;
  const auto bad = [&](std::string what) {
    return Error{
        "usage.check",
        fmt::format("--check: \"{}\": {} (write it as decode>=20,fits=gpu,cost<=30)", text, what),
        {},
        {}};
  };
  const std::size_t sign = text.find_first_of("<>=");
  const auto figure = std::ranges::find(kFigures, text.substr(0, sign), &Word<Figure>::text);
  if (sign == std::string_view::npos || figure == kFigures.end()) {
    return bad(
        "expected decode, prefill, ttft, request, cost, watts, ctx, size or fits and a limit");
  }
  term.figure = figure->value;
  std::string_view rest = text.substr(sign);
  const auto compare = std::ranges::find_if(
      kCompares, [&](const auto& word) { return rest.starts_with(word.text); });
  term.compare = compare->value;
  rest.remove_prefix(compare->text.size());
  if (term.figure == Figure::fits) {
    const auto fits = std::ranges::find(kFits, rest, &Word<Fits>::text);
    if (fits == kFits.end()) return bad("expected gpu, gpu_tight, offload, cpu or no");
    term.fits = fits->value;
    term.value = rank_of(term.fits);
    return term;
  }
  if (term.figure == Figure::size) {
    const auto bytes = hwdb::parse_quantity(rest, "B");
    if (!bytes) return bad("expected a size such as 20GiB");
    term.value = *bytes;
    return term;
  }
  if (term.figure == Figure::ctx && (rest.ends_with('k') || rest.ends_with('K'))) {
    rest.remove_suffix(1);
    term.value = 1024;
  } else {
    term.value = 1;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc{} || end != rest.data() + rest.size() || !std::isfinite(value)) {
    return bad("expected a number");
  }
  term.value *= value;
  return term;
}

std::string have_text(const planner::Plan& plan, Figure figure, double value) {
  switch (figure) {
    case Figure::fits:
      return std::string(to_string(plan.memory.fits));
    case Figure::ctx:
      return report::context_text(plan.max_ctx);
    case Figure::size:
      return hwdb::format_bytes(plan.file_size);
    case Figure::decode:
    case Figure::prefill:
      return report::short_number(value) + " tok/s";
    case Figure::ttft:
    case Figure::request:
      return report::seconds_text(value);
    case Figure::cost:
      return fmt::format("{} {}", report::money_text(value), plan.cost.currency);
    case Figure::watts:
      return report::short_number(value) + " W";
  }
  return {};
}

}  // namespace

hwdb::Result<std::vector<CheckTerm>> parse_check(std::string_view text) {
  std::vector<CheckTerm> terms;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    auto term = parse_term(part);
    if (!term) return term.error();
    terms.push_back(std::move(*term));
    begin = end + 1;
  }
  return terms;
}

hwdb::Status check_plan(const std::vector<CheckTerm>& terms, const planner::Plan& plan) {
  std::string failed;
  for (const CheckTerm& term : terms) {
    const std::optional<double> have = figure_of(plan, term.figure);
    if (have && holds(*have, term.compare, term.value)) continue;
    failed += fmt::format("{}{} ({})", failed.empty() ? "" : ", ", term.text,
                          have ? "is " + have_text(plan, term.figure, *have) : "not known");
  }
  if (failed.empty()) return hwdb::Ok{};
  return Error{"check.not_met", failed, plan.model_name, {}};
}

}  // namespace cli
