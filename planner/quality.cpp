// SPDX-License-Identifier: MIT
#include "planner/quality.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

namespace planner {
namespace {

constexpr std::size_t kModelsInCommon = 8;
constexpr double kVarianceExplained = 0.5;
constexpr std::string_view kMixedSources = "several makers, protocols differ";
/// Percentages closer than this are a tie; so are ratings whose printed intervals overlap.
constexpr double kTiePercent = 2;

/// A benchmark, or all releases of one ("livebench_" ... "_if"), newest first.
struct BenchmarkPattern {
  std::string_view prefix, suffix;  // suffix "=": the prefix is the whole name
  bool matches(std::string_view name) const {
    if (suffix == "=") return name == prefix;
    // A release is written 2024_06_24: ten characters between prefix and suffix.
    return name.size() == prefix.size() + 10 + suffix.size() && name.starts_with(prefix) &&
           name.ends_with(suffix);
  }
};
constexpr BenchmarkPattern is(std::string_view name) {
  return {name, "="};
}
constexpr BenchmarkPattern livebench(std::string_view category) {
  return {"livebench_", category};
}

/// The benchmarks of a use, in order of preference; the anchor's percentiles are the scale. The
/// order is that of the table of use cases in the description of the published scores; what stands
/// after "general" is the one axis that carries models without a figure of their own kind, and is
/// left out where it would say nothing (faithfulness to documents is an axis of its own).
struct UseBenchmarks {
  std::string_view use, anchor;
  std::vector<BenchmarkPattern> order;
  std::size_t last_resorts;  // so many at the end stand side by side: the best link decides
};

const std::array<UseBenchmarks, 5>& uses() {
  static const std::array<UseBenchmarks, 5> kUses = {{
      {"chat",
       "arena_elo",
       {is("arena_elo"), is("arena_elo_if"), is("arena_elo_multiturn"), is("arena_elo_creative"),
        livebench("_if"), livebench("_language"), is("wildbench"), is("ifeval"), is("mmlu_pro"),
        is("gpqa_diamond"), is("ollb2_ifeval"), is("ollb2_average")},
       5},
      {"code",
       "arena_elo_coding",
       {is("aider_polyglot"), livebench("_coding"), livebench("_agentic_coding"),
        is("arena_elo_coding"), is("livecodebench_v6"), is("swe_bench_verified"), is("aider_edit"),
        is("humaneval_plus"), is("mmlu_pro"), is("gpqa_diamond"), is("ollb2_average")},
       5},
      {"rag",
       "hhem_hallucination_rate",
       {is("hhem_hallucination_rate"), is("confab_rag_weighted"), is("ruler_32k"), is("nolima_32k"),
        is("facts_grounding"), is("longbench_v2"), is("aa_lcr"), is("ifeval")},
       1},
      {"agent",
       "bfcl_v4",
       {is("bfcl_v4"), is("bfcl_v4_multi_turn"), is("tau2_bench"), is("bfcl_v3"),
        is("bfcl_v3_multi_turn"), livebench("_agentic_coding"), is("terminal_bench_2"),
        is("ifeval"), is("mmlu_pro"), is("gpqa_diamond")},
       3},
      // Bulk work has no table of its own: hard prompts first, then the general boards.
      {"batch",
       "arena_elo_hard",
       {is("arena_elo_hard"), livebench(""), is("helm_capabilities_mean"), is("mmlu_pro"),
        is("gpqa_diamond"), is("ollb2_average")},
       3},
  }};
  return kUses;
}

bool lower_is_better(std::string_view benchmark) {
  return benchmark == "hhem_hallucination_rate" || benchmark.starts_with("confab_rag_");
}

/// Log-likelihood scoring without a chain of thought: not for models that reason first.
bool misjudges_reasoning(std::string_view benchmark) {
  return benchmark.starts_with("ollb2_");
}

/// The gap below which two scores are one: for ratings, twice the median half-width of the 95 %
/// intervals printed in the table of 2025-12-17.
double tie_width(std::string_view benchmark, std::string_view unit) {
  if (unit == "percent" || unit == "index") return kTiePercent;
  if (unit != "elo") return 0;
  if (benchmark == "arena_elo") return 13;
  if (benchmark == "arena_elo_if" || benchmark == "arena_elo_hard") return 20;
  if (benchmark == "arena_elo_coding") return 26;
  return 29;
}

/// Scores with reasoning on cost tokens that a workload does not count, so they stand back.
int mode_preference(std::string_view mode) {
  return mode == "on" ? 1 : 0;
}

struct Entry {
  std::string_view model;
  double goodness = 0;  // higher is better
  std::string_view mode;
};

/// One benchmark of one source: the figures were made under one protocol.
struct Group {
  std::string_view benchmark, source, reported_by, unit;
  std::size_t preference = 0;
  bool pooled = false;     // several makers, protocols differ
  bool reasoning = false;  // only figures with reasoning on
  bool last_resort = false;
  std::vector<Entry> entries;  // by model, one each
  std::vector<double> sorted;
  double tie = 0;
  // anchor percentile = intercept + slope * own percentile
  bool direct = false;
  double intercept = 0, slope = 1, correlation = 1;
  std::size_t common = 0;
  double least_common = 0, most_common = 1;  // own percentiles of the models in common

  /// On the anchor's scale. Below every model in common the line runs to zero at the table's foot,
  /// above them it stops: the line was not seen to hold there, and neither guess flatters.
  double mapped(double own) const {
    const auto line = [&](double x) { return std::clamp(intercept + slope * x, 0.0, 1.0); };
    if (direct) return own;
    if (own < least_common) return line(least_common) * own / least_common;
    return line(std::min(own, most_common));
  }

  const Entry* find(std::string_view model) const {
    const auto at =
        std::lower_bound(entries.begin(), entries.end(), model,
                         [](const Entry& entry, std::string_view id) { return entry.model < id; });
    return at != entries.end() && at->model == model ? &*at : nullptr;
  }
  /// The share of the table clearly below, and half of those that tie.
  double percentile(double goodness) const {
    const auto below = std::lower_bound(sorted.begin(), sorted.end(), goodness - tie);
    const auto not_above = std::upper_bound(sorted.begin(), sorted.end(), goodness + tie);
    return 0.5 * static_cast<double>((below - sorted.begin()) + (not_above - sorted.begin())) /
           static_cast<double>(sorted.size());
  }
};

/// One entry a model: without reasoning where there is a choice, then the best, since the bad one
/// of two is mostly a failure of format.
void settle(Group* group) {
  auto& entries = group->entries;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    if (a.model != b.model) return a.model < b.model;
    if (mode_preference(a.mode) != mode_preference(b.mode))
      return mode_preference(a.mode) < mode_preference(b.mode);
    return a.goodness > b.goodness;
  });
  entries.erase(std::unique(entries.begin(), entries.end(),
                            [](const Entry& a, const Entry& b) { return a.model == b.model; }),
                entries.end());
  group->sorted.clear();
  for (const Entry& entry : entries) group->sorted.push_back(entry.goodness);
  std::sort(group->sorted.begin(), group->sorted.end());
  group->tie = tie_width(group->benchmark, group->unit);
}

/// Least squares of the anchor's percentiles on this table's. False: not usable.
bool link_to(const Group& anchor, Group* group) {
  double n = 0, sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
  for (const Entry& entry : group->entries) {
    const Entry* other = anchor.find(entry.model);
    if (!other) continue;
    const double x = group->percentile(entry.goodness), y = anchor.percentile(other->goodness);
    group->least_common = n > 0 ? std::min(group->least_common, x) : x;
    group->most_common = n > 0 ? std::max(group->most_common, x) : x;
    n += 1;
    sx += x;
    sy += y;
    sxx += x * x;
    syy += y * y;
    sxy += x * y;
  }
  group->common = static_cast<std::size_t>(n);
  if (group->common < kModelsInCommon) return false;
  const double vx = sxx - sx * sx / n, vy = syy - sy * sy / n, cov = sxy - sx * sy / n;
  if (vx <= 1e-12 || vy <= 1e-12) return false;
  group->slope = cov / vx;
  group->intercept = (sy - group->slope * sx) / n;
  group->correlation = cov / std::sqrt(vx * vy);
  return group->slope > 0 && group->correlation * group->correlation >= kVarianceExplained;
}

}  // namespace

struct QualityIndex::State {
  std::vector<Group> groups;  // usable ones, in the order in which they decide
  std::string anchor;
  std::unordered_set<std::string_view> reasoning_models;
};

QualityIndex::QualityIndex(const hwdb::Catalog& catalog, std::string_view use)
    : QualityIndex(std::span(catalog.score_tables()), use) {}

QualityIndex::QualityIndex(std::span<const hwdb::ScoreTableRow> tables, std::string_view use)
    : state_(std::make_unique<State>()) {
  const UseBenchmarks* wanted = &uses().front();
  for (const UseBenchmarks& row : uses())
    if (row.use == use) wanted = &row;

  std::vector<Group> groups;
  const auto add = [&](const hwdb::ScoreTableRow& table, std::string_view source, bool pooled,
                       std::size_t preference) {
    // A board tests every model one way, so its modes compare. Makers turn reasoning on where it
    // helps: their figures with it are a table of their own.
    const bool apart = pooled || table.reported_by != "independent";
    const bool reasoning = apart && table.reasoning_mode == "on";
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
      return g.benchmark == table.benchmark && g.source == source && g.reasoning == reasoning &&
             g.pooled == pooled && (pooled || g.reported_by == table.reported_by);
    });
    if (group == groups.end()) {
      Group fresh;
      fresh.benchmark = table.benchmark;
      fresh.source = source;
      fresh.reported_by = pooled ? std::string_view("vendor") : std::string_view(table.reported_by);
      fresh.unit = table.unit;
      fresh.preference = preference;
      fresh.pooled = pooled;
      fresh.reasoning = reasoning;
      groups.push_back(std::move(fresh));
      group = groups.end() - 1;
    }
    const double sign = lower_is_better(table.benchmark) ? -1 : 1;
    for (const hwdb::ScoreEntry& entry : table.scores)
      group->entries.push_back({entry.model_id, sign * entry.score, table.reasoning_mode});
  };
  for (const hwdb::ScoreTableRow& table : tables) {
    if (table.reasoning_mode == "on")
      for (const hwdb::ScoreEntry& entry : table.scores)
        state_->reasoning_models.insert(entry.model_id);
    const auto pattern =
        std::find_if(wanted->order.begin(), wanted->order.end(),
                     [&](const BenchmarkPattern& p) { return p.matches(table.benchmark); });
    if (pattern == wanted->order.end()) continue;
    const auto preference = std::min(static_cast<std::size_t>(pattern - wanted->order.begin()),
                                     wanted->order.size() - wanted->last_resorts);
    add(table, table.source, false, preference);
    if (table.reported_by != "independent") add(table, kMixedSources, true, preference);
  }
  for (Group& group : groups) {
    settle(&group);
    group.last_resort = group.preference == wanted->order.size() - wanted->last_resorts;
  }

  // The scale: the largest independent table of the anchor's benchmark.
  const Group* anchor = nullptr;
  for (const Group& group : groups)
    if (group.benchmark == wanted->anchor && group.reported_by == "independent" &&
        (!anchor || group.entries.size() > anchor->entries.size()))
      anchor = &group;
  if (!anchor) return;
  state_->anchor = fmt::format("{} ({})", anchor->benchmark, anchor->source);
  const std::size_t anchor_index = static_cast<std::size_t>(anchor - groups.data());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i == anchor_index) {
      groups[i].direct = true;
      groups[i].common = groups[i].entries.size();
    } else if (!link_to(groups[anchor_index], &groups[i])) {
      groups[i].entries.clear();
    }
  }
  std::erase_if(groups, [](const Group& group) { return group.entries.empty(); });
  // Independent figures before makers' own, then the order of preference, then the newest release,
  // then the larger table; mixed protocols last.
  std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    if (a.pooled != b.pooled) return b.pooled;
    const bool ia = a.reported_by == "independent", ib = b.reported_by == "independent";
    if (ia != ib) return ia;
    if (a.preference != b.preference) return a.preference < b.preference;
    if (a.last_resort && a.correlation != b.correlation) return a.correlation > b.correlation;
    if (a.benchmark != b.benchmark) return a.benchmark > b.benchmark;
    if (a.entries.size() != b.entries.size()) return a.entries.size() > b.entries.size();
    if (a.source != b.source) return a.source < b.source;
    return a.reasoning < b.reasoning;
  });
  state_->groups = std::move(groups);
}

QualityIndex::QualityIndex(QualityIndex&&) noexcept = default;
QualityIndex::~QualityIndex() = default;

Quality QualityIndex::find(const hwdb::ModelRow& model) const {
  Quality quality;
  if (!state_) return quality;
  std::vector<std::string_view> seen;
  bool reasons = false;
  for (const std::string& id : model.quality_ids)
    reasons = reasons || state_->reasoning_models.contains(id);
  // An un-tuned model's figure only where the tuned one has none anywhere.
  for (const bool base : {false, true}) {
    for (const Group& group : state_->groups) {
      if (reasons && misjudges_reasoning(group.benchmark)) continue;
      for (const std::string& id : model.quality_ids) {
        if (id.ends_with("-base") != base) continue;
        const Entry* entry = group.find(id);
        if (!entry) continue;
        // The same figure in a maker's table and among all makers' is one figure.
        if (std::find(seen.begin(), seen.end(), group.benchmark) == seen.end()) {
          seen.push_back(group.benchmark);
          ++quality.tables;
        }
        if (!quality.percentile) {
          quality.table_percentile = group.percentile(entry->goodness);
          quality.intercept = group.intercept;
          quality.slope = group.slope;
          quality.percentile = group.mapped(quality.table_percentile);
          quality.beyond_common = !group.direct && (quality.table_percentile < group.least_common ||
                                                    quality.table_percentile > group.most_common);
          quality.direct = group.direct;
          quality.correlation = group.correlation;
          quality.models_in_common = group.common;
          quality.benchmark = group.benchmark;
          quality.source = group.source;
          quality.reported_by = group.reported_by;
          quality.score = lower_is_better(group.benchmark) ? -entry->goodness : entry->goodness;
          quality.scored_as = id;
          quality.reasoning_mode = entry->mode;
          quality.of_base_model = base;
          quality.anchor = state_->anchor;
        }
        break;
      }
    }
    if (quality.percentile) break;
  }
  return quality;
}

std::string describe(const Quality& quality) {
  if (!quality.percentile) return "no published score for this use";
  std::string words = fmt::format(
      "{} {:g} as {} ({}, {}{}): above {:.0f} % of that table", quality.benchmark, quality.score,
      quality.scored_as, quality.source, quality.reported_by,
      quality.reasoning_mode == "on" ? ", reasoning on" : "", 100 * quality.table_percentile);
  if (!quality.direct) {
    words += fmt::format("; {:.2f} on the scale of {}", *quality.percentile, quality.anchor);
    if (quality.beyond_common)
      words += fmt::format(" (outside the {} models in both, so placed with caution)",
                           quality.models_in_common);
    else
      words += fmt::format(" = {:.2f} + {:.2f} x {:.2f} ({} models in both, correlation {:.2f})",
                           quality.intercept, quality.slope, quality.table_percentile,
                           quality.models_in_common, quality.correlation);
  }
  if (quality.of_base_model) words += "; the score is of the un-tuned model";
  if (quality.tables < 2) words += "; one published figure only";
  return words;
}

}  // namespace planner
