// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"
#include "planner/plan.h"

namespace cli {

/// One demand of --check.
struct CheckTerm {
  enum class Figure { decode, prefill, ttft, request, cost, watts, ctx, size, fits };
  enum class Compare { less_equal, greater_equal, less, greater, equal };
  Figure figure = Figure::decode;
  Compare compare = Compare::greater_equal;
  double value = 0;                         // in the figure's unit
  planner::Fits fits = planner::Fits::gpu;  // of Figure::fits
  std::string text;                         // as written
};

/// Reads 'decode>=20,fits=gpu,cost<=30'. Error: usage.check, naming the term.
hwdb::Result<std::vector<CheckTerm>> parse_check(std::string_view text);

/// Ok when all terms hold; check.not_met names those that do not and what the plan has instead.
hwdb::Status check_plan(const std::vector<CheckTerm>& terms, const planner::Plan& plan);

}  // namespace cli
