// SPDX-License-Identifier: MIT
#include "planner/speed_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "planner/setting_words.h"

namespace planner {
namespace {

using hwdb::SpeedReading;
using Backend = hwdb::GpuInfo::Backend;
using Kind = TimeTerm::Kind;
using Test = SpeedReading::Test;

template <class T, std::size_t N>
void take_word(std::string_view text, const std::array<Word<T>, N>& words, T* out) {
  const auto it = std::ranges::find(words, text, &Word<T>::text);
  if (it != words.end()) *out = it->value;
}
template <class T, class U>
void take(const std::optional<T>& told, U* out) {
  if (told) *out = *told;
}

void take_settings(const SpeedReading& reading, RunSettings* settings) {
  // A fork that makes the same plans.
  const bool is_fork = reading.runtime == "ik_llama.cpp";
  take_word(is_fork ? std::string_view("llama.cpp") : reading.runtime, kRuntimeWords,
            &settings->runtime);
  if (reading.backend == "cpu") {
    settings->cpu_only = true;
  } else if (!reading.backend.empty()) {
    Backend backend = settings->backend.value_or(Backend::cuda);
    take_word(reading.backend, kBackendWords, &backend);
    settings->backend = backend;
    settings->cpu_only = false;
  }
  take(reading.n_batch, &settings->n_batch);
  take(reading.n_ubatch, &settings->n_ubatch);
  take(reading.n_threads, &settings->n_threads);
  take(reading.n_gpu_layers, &settings->n_gpu_layers);
  take(reading.n_cpu_moe, &settings->n_cpu_moe);
  take(reading.flash_attn, &settings->flash_attn);
  if (!reading.cache_type_k.empty()) settings->cache_type_k = reading.cache_type_k;
  if (!reading.cache_type_v.empty()) settings->cache_type_v = reading.cache_type_v;
  take_word(reading.split_mode, kSplitModeWords, &settings->split_mode);
  if (!reading.tensor_split.empty()) settings->tensor_split = reading.tensor_split;
  if (!reading.override_tensor.empty()) settings->override_tensor = reading.override_tensor;
  settings->n_batch = std::max(settings->n_batch, 1u);
  settings->n_ubatch = std::clamp(settings->n_ubatch, 1u, settings->n_batch);
  settings->n_seq = std::max(reading.batch, 1u);
}

/// Tokens that the terms' sum is the time of.
double tokens_of(const SpeedReading& reading, const Workload& workload) {
  const double batch = std::max(reading.batch, 1u);
  return reading.test == Test::decode ? batch : batch * workload.n_prompt;
}

double seconds_of(const SpeedComparison& one, std::initializer_list<Kind> kinds) {
  double sum = 0;
  for (const TimeTerm& term : one.terms) {
    if (std::ranges::find(kinds, term.kind) != kinds.end()) sum += term.seconds;
  }
  return sum;
}

/// What the reading took where the prediction takes `seconds`.
double measured_seconds(const SpeedComparison& one) {
  return one.seconds * (1 + one.error());
}

/// Standard deviation of what the repetitions took.
double noise_seconds(const SpeedComparison& one) {
  return measured_seconds(one) * one.reading.deviation / one.reading.tok_per_s;
}

std::string percent(double share) {
  return fmt::format("{:+.0f} %", share * 100);
}

double median_error(const std::vector<const SpeedComparison*>& list) {
  std::vector<double> errors;
  for (const SpeedComparison* one : list) errors.push_back(one->error());
  std::ranges::sort(errors);
  const std::size_t half = errors.size() / 2;
  return errors.size() % 2 == 1 ? errors[half] : (errors[half - 1] + errors[half]) / 2;
}

struct TermName {
  Kind kind;
  std::string_view words;
};
constexpr std::array kTermNames = {
    TermName{Kind::weights, "the weights"},
    TermName{Kind::experts, "the experts"},
    TermName{Kind::output, "the output matrix"},
    TermName{Kind::cache, "attention"},
    TermName{Kind::activations, "the activations"},
    TermName{Kind::link, "the links"},
    TermName{Kind::dispatch, "the start of each product"},
    TermName{Kind::draft, "the drafting"},
    TermName{Kind::pass, "the fixed cost of a pass"},
};

/// The largest term by kind, its share of all, and how many times as long it would have to take
/// for the sum to be what was measured.
std::string largest_term(const SpeedComparison& one) {
  const TermName* largest = nullptr;
  double most = 0;
  for (const TermName& name : kTermNames) {
    const double seconds = seconds_of(one, {name.kind});
    if (seconds > most) most = seconds, largest = &name;
  }
  if (largest == nullptr || one.seconds <= 0) return "nothing in it tells more";
  const double factor = (most + measured_seconds(one) - one.seconds) / most;
  std::string text =
      fmt::format("{} make {:.0f} % of it", largest->words, most / one.seconds * 100);
  if (largest->kind == Kind::dispatch || largest->kind == Kind::pass ||
      largest->kind == Kind::cache || largest->kind == Kind::draft) {
    text = fmt::format("{} makes {:.0f} % of it", largest->words, most / one.seconds * 100);
  }
  if (factor > 0) text += fmt::format(" and would have to take {:.2f} times as long", factor);
  return text;
}

using Group = std::vector<const SpeedComparison*>;

/// Those with the same settings but for what `differs` looks at are close enough to be compared.
Group of_test(const std::vector<SpeedComparison>& all, Test test) {
  Group group;
  for (const SpeedComparison& one : all) {
    if (one.reading.test == test && one.reading.flaw.empty() && one.seconds > 0) {
      group.push_back(&one);
    }
  }
  return group;
}

Group where(const Group& group, auto&& holds) {
  Group out;
  std::ranges::copy_if(group, std::back_inserter(out), holds);
  return out;
}

/// Errors that grow with what is in the cache: how much longer attention takes than predicted.
std::optional<std::string> depth_sentence(const Group& group, std::string_view what,
                                          double tolerance) {
  if (group.empty()) return std::nullopt;
  const auto depth = [](const SpeedComparison* one) { return one->reading.depth; };
  const SpeedComparison* shallow = *std::ranges::min_element(group, {}, depth);
  const auto alike = [&](const SpeedComparison* one) {
    const SpeedReading &a = one->reading, &b = shallow->reading;
    return a.batch == b.batch && a.quant == b.quant && a.model == b.model &&
           (a.test == Test::decode || a.n_prompt == b.n_prompt);
  };
  const Group same = where(group, alike);
  const SpeedComparison* deep = *std::ranges::max_element(same, {}, depth);
  if (deep->reading.depth == shallow->reading.depth) return std::nullopt;
  const double predicted = deep->seconds - shallow->seconds;
  const double measured = measured_seconds(*deep) - measured_seconds(*shallow);
  // Repetitions that differ by as much tell nothing.
  const double noise = 2 * (noise_seconds(*deep) + noise_seconds(*shallow));
  if (std::fabs(measured - predicted) <= std::max(tolerance * measured_seconds(*deep), noise)) {
    return std::nullopt;
  }
  std::string text = fmt::format(
      "{}: the error changes with depth ({} at {}, {} at {}), which speaks of attention and the "
      "cache",
      what, percent(shallow->error()), shallow->reading.depth, percent(deep->error()),
      deep->reading.depth);
  if (predicted > 0 && measured > 0) {
    text += fmt::format(": what depth adds takes {:.2f} times as long as predicted",
                        measured / predicted);
  }
  return text + ".";
}

/// Presets that are off while others of the same comparison are not.
std::vector<std::string> type_sentences(const Group& group, std::string_view what, double tolerance,
                                        std::vector<std::string>* named) {
  std::vector<std::string> quants;
  for (const SpeedComparison* one : group) {
    const std::string& quant = one->reading.quant;
    if (!quant.empty() && std::ranges::find(quants, quant) == quants.end()) quants.push_back(quant);
  }
  std::vector<std::pair<std::string, double>> off;
  std::size_t inside = 0;
  for (const std::string& quant : quants) {
    const double error = median_error(
        where(group, [&](const SpeedComparison* one) { return one->reading.quant == quant; }));
    if (std::fabs(error) > tolerance) {
      off.emplace_back(quant, error);
    } else {
      ++inside;
    }
  }
  std::vector<std::string> sentences;
  if (inside == 0) return sentences;
  for (const auto& [quant, error] : off) {
    named->push_back(quant);
    sentences.push_back(fmt::format(
        "{}: {} is off by {} where other quantizations agree, which speaks of the rate of its "
        "types.",
        what, quant, percent(error)));
  }
  return sentences;
}

/// Few tokens in a pass are off, many are not.
std::optional<std::string> overhead_sentence(const Group& group, std::string_view what,
                                             double tolerance) {
  const auto tokens = [](const SpeedComparison* one) {
    return one->reading.test == Test::decode ? one->reading.batch : one->reading.n_prompt;
  };
  const SpeedComparison* few = *std::ranges::min_element(group, {}, tokens);
  const SpeedComparison* many = *std::ranges::max_element(group, {}, tokens);
  if (tokens(few) == tokens(many) || std::fabs(few->error()) <= tolerance ||
      std::fabs(many->error()) > tolerance) {
    return std::nullopt;
  }
  return fmt::format(
      "{}: off by {} with {} {} in a pass and by {} with {}, which speaks of what each pass and "
      "product costs whatever its size.",
      what, percent(few->error()), tokens(few), tokens(few) == 1 ? "token" : "tokens",
      percent(many->error()), tokens(many));
}

void add_sentences(const Group& group, std::string_view what, double tolerance,
                   std::vector<std::string>* out) {
  if (group.empty()) return;
  std::uint32_t least = group.front()->reading.depth;
  for (const SpeedComparison* one : group) least = std::min(least, one->reading.depth);
  // What the cache does is told apart; the rest is looked at where it is smallest.
  std::vector<std::string> named;
  Group base =
      where(group, [&](const SpeedComparison* one) { return one->reading.depth == least; });
  for (std::string& text : type_sentences(base, what, tolerance, &named)) {
    out->push_back(std::move(text));
  }
  base = where(base, [&](const SpeedComparison* one) {
    return std::ranges::find(named, one->reading.quant) == named.end();
  });
  if (!base.empty()) {
    if (auto overhead = overhead_sentence(base, what, tolerance)) {
      out->push_back(std::move(*overhead));
    } else if (const double error = median_error(base); std::fabs(error) > tolerance) {
      const auto distance = [&](const SpeedComparison* one) {
        return std::fabs(one->error() - error);
      };
      const SpeedComparison* middle = *std::ranges::min_element(base, {}, distance);
      out->push_back(
          fmt::format("{}: off by {}; {}.", what, percent(error), largest_term(*middle)));
    }
  }
  if (auto depth = depth_sentence(group, what, tolerance)) out->push_back(std::move(*depth));
}

}  // namespace

Scenario scenario_of_reading(const SpeedReading& reading, const Scenario& asked) {
  Scenario scenario = asked;
  if (!reading.model.empty()) scenario.model = reading.model;
  if (!reading.quant.empty()) scenario.quant = reading.quant;
  take_settings(reading, &scenario.settings);
  Workload& work = scenario.workload;
  work.cached_fraction = 0;
  work.depth = reading.depth;
  work.batch = std::max(reading.batch, 1u);
  if (reading.test == Test::decode) {
    // The answer's own tokens come behind `depth`; no prompt is between them.
    work.n_prompt = 0;
    if (reading.n_gen > 0) work.n_gen = reading.n_gen;
  } else {
    if (reading.n_prompt > 0) work.n_prompt = reading.n_prompt;
    work.n_gen = 0;
  }
  scenario.settings.n_ctx =
      std::max<std::uint64_t>(256, context_needed(work)) * scenario.settings.n_seq;
  scenario.depths.clear();
  return scenario;
}

hwdb::Result<SpeedComparison> compare_speed(const SpeedReading& reading, const Scenario& asked,
                                            const ResolvedModel& model,
                                            const hwdb::Machine& machine,
                                            const Assumptions* assumptions,
                                            std::span<const Calibration> calibrations) {
  const Scenario scenario = scenario_of_reading(reading, asked);
  auto plan =
      plan_scenario(scenario, model, machine, nullptr, assumptions, nullptr, nullptr, nullptr,
                    scenario.calibrated ? calibrations : std::span<const Calibration>());
  if (!plan) return plan.error();
  const bool is_decode = reading.test == Test::decode;
  SpeedComparison out;
  out.reading = reading;
  out.predicted = is_decode ? plan->speed.decode_tok_per_s : plan->speed.prefill_tok_per_s;
  if (!plan->speed_known || !(out.predicted.likely > 0) || !(reading.tok_per_s > 0)) {
    return hwdb::Error{"speed.unknown",
                       plan->sizes_only ? "the architecture is not known"
                                        : "the machine's memory bandwidth is not known",
                       model.name, "measure it with tokwatt probe --measure"};
  }
  out.terms = std::move(is_decode ? plan->speed.decode_terms : plan->speed.prefill_terms);
  out.seconds = tokens_of(reading, scenario.workload) / out.predicted.likely;
  return out;
}

std::vector<std::string> off_terms(const std::vector<SpeedComparison>& comparisons,
                                   double tolerance) {
  std::vector<std::string> sentences;
  add_sentences(of_test(comparisons, Test::decode), "decode", tolerance, &sentences);
  add_sentences(of_test(comparisons, Test::prefill), "prefill", tolerance, &sentences);
  return sentences;
}

}  // namespace planner
