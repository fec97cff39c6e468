// SPDX-License-Identifier: MIT
#include "planner/roofline.h"

#include <algorithm>
#include <cmath>

namespace planner {
namespace {

using Kind = TimeTerm::Kind;

double together(double moving, double computing) {
  if (computing <= 0) return moving;
  if (moving <= 0) return computing;
  const double a = moving * moving, b = computing * computing;
  return std::sqrt(std::sqrt(a * a + b * b));
}

struct Piece {
  Kind kind = Kind::weights;
  double bytes = 0, flops = 0;
  double byte_rate = 0, flop_rate = 0;  // 0: takes no time
};

void add_piece(const Piece& piece, const DeviceRates& device, TimeSum* sum) {
  const double moving = piece.byte_rate > 0 ? piece.bytes / piece.byte_rate : 0;
  const double computing = piece.flop_rate > 0 ? piece.flops / piece.flop_rate : 0;
  TimeTerm term;
  term.kind = piece.kind;
  term.device = device.gpu;
  term.seconds = together(moving, computing);
  if (term.seconds <= 0) return;
  const bool by_memory = moving >= computing;
  term.bound = by_memory ? Bound::memory : Bound::compute;
  term.amount = by_memory ? piece.bytes : piece.flops;
  term.rate = term.amount / term.seconds;
  const double ceiling = by_memory ? device.bandwidth : device.peak;
  term.factor = ceiling > 0 ? term.rate / ceiling : 1;
  sum->add(term);
}

// Tokens up to which runtimes have kernels of their own for GPUs, which multiply by single vectors.
// Processors multiply many tokens with the same ones where they have nothing better.
constexpr double kVectorTokens = 8;

// Products with few tokens run at one rate, those with many at another that grows with the tokens.
double flop_rate(const DeviceRates& device, const DeviceRates::Role& role, double tokens,
                 double half) {
  const double many = role.matmul * tokens / (tokens + half);
  return device.gpu < 0 || tokens <= kVectorTokens ? std::max(role.vector, many) : many;
}

}  // namespace

void TimeSum::add(const TimeTerm& term) {
  if (term.seconds <= 0) return;
  seconds_ += term.seconds;
  by_bound_[static_cast<std::size_t>(term.bound)] += term.seconds;
  if (terms_) terms_->push_back(term);
}

void TimeSum::add(const TimeSum& other, double times) {
  if (times <= 0) return;
  seconds_ += other.seconds_ * times;
  for (std::size_t i = 0; i < by_bound_.size(); ++i) by_bound_[i] += other.by_bound_[i] * times;
  if (!terms_ || !other.terms_) return;
  for (TimeTerm term : *other.terms_) {
    term.seconds *= times;
    term.amount *= times;
    // The same work again is one line of the explanation, not two.
    const auto same = std::ranges::find_if(*terms_, [&](const TimeTerm& t) {
      return t.kind == term.kind && t.device == term.device && t.rate == term.rate;
    });
    if (same == terms_->end()) {
      terms_->push_back(term);
    } else {
      same->seconds += term.seconds;
      same->amount += term.amount;
    }
  }
}

Bound TimeSum::bound() const {
  const auto largest = std::ranges::max_element(by_bound_);
  return static_cast<Bound>(largest - by_bound_.begin());
}

Work Work::share(double part) const {
  Work w = *this;
  w.weight_bytes *= part, w.weight_flops *= part;
  w.expert_bytes *= part, w.expert_flops *= part;
  w.output_bytes *= part, w.output_flops *= part;
  w.cache_bytes *= part, w.attention_flops *= part;
  w.scores *= part;
  w.activation_bytes *= part;
  return w;
}

void add_work(const Work& work, const DeviceRates& device, TimeSum* sum) {
  add_piece({Kind::weights, work.weight_bytes, work.weight_flops, device.dense.read,
             flop_rate(device, device.dense, work.tokens, device.factors->half_tokens)},
            device, sum);
  if (work.expert_flops > 0) {
    add_piece(
        {Kind::experts, work.expert_bytes, work.expert_flops, device.experts.read,
         flop_rate(device, device.experts, work.expert_tokens, device.factors->expert_half_tokens)},
        device, sum);
  }
  if (work.output_flops > 0) {
    add_piece({Kind::output, work.output_bytes, work.output_flops, device.output.read,
               flop_rate(device, device.output, work.output_tokens, device.factors->half_tokens)},
              device, sum);
  }
  const double attention_flops = work.attention_flops + work.scores * device.factors->score_flops;
  add_piece({Kind::cache, work.cache_bytes, attention_flops, device.cache_read, device.attention},
            device, sum);
  add_piece({Kind::activations, work.activation_bytes, 0, device.activation, 0}, device, sum);
  const double each = device.dispatch;
  if (work.products > 0 && each > 0) {
    TimeTerm term;
    term.kind = Kind::dispatch;
    term.bound = Bound::overhead;
    term.device = device.gpu;
    term.amount = work.products;
    term.rate = 1 / each;
    term.seconds = work.products * each;
    sum->add(term);
  }
}

void add_pass(const DeviceRates& device, TimeSum* sum) {
  if (device.factors->pass_s <= 0) return;
  TimeTerm term;
  term.kind = Kind::pass;
  term.bound = Bound::overhead;
  term.device = device.gpu;
  term.amount = 1;
  term.rate = 1 / device.factors->pass_s;
  term.seconds = device.factors->pass_s;
  sum->add(term);
}

}  // namespace planner
