// SPDX-License-Identifier: MIT
#include "planner/roofline.h"

#include <algorithm>

namespace planner {
namespace {

struct Band {
  double slow = 1, fast = 1;  // speeds, as shares of the likely one
};

Band band_of(const hwdb::SpeedFactorRow& factor, Phase phase) {
  const bool decode = phase == Phase::decode;
  const double likely = decode ? factor.decode_mbu_likely : factor.prefill_mfu_likely;
  const double low = decode ? factor.decode_mbu_low : factor.prefill_mfu_low;
  const double high = decode ? factor.decode_mbu_high : factor.prefill_mfu_high;
  if (likely <= 0) return {};
  return {std::clamp(low / likely, 0.01, 1.0), std::max(1.0, high / likely)};
}

struct Piece {
  double bytes = 0, flops = 0;
  double mfu = 1;
  TimeTerm::Kind memory_kind = TimeTerm::Kind::weights, compute_kind = TimeTerm::Kind::matmul;
};

void add_piece(const Piece& piece, const DeviceRates& device, Band band, TimeSum* sum) {
  if (piece.bytes <= 0 && piece.flops <= 0) return;
  const double bandwidth = device.bandwidth * device.factor->decode_mbu_likely;
  const double flop_rate = device.peak * piece.mfu;
  const double moving = bandwidth > 0 ? piece.bytes / bandwidth : 0;
  const double computing = flop_rate > 0 ? piece.flops / flop_rate : 0;
  TimeTerm term;
  term.device = device.gpu;
  if (moving >= computing) {
    term.kind = piece.memory_kind;
    term.amount = piece.bytes;
    term.rate = bandwidth;
    term.factor = device.factor->decode_mbu_likely;
    term.seconds = moving;
    sum->add(term, Bound::memory, band.slow, band.fast);
  } else {
    term.kind = piece.compute_kind;
    term.amount = piece.flops;
    term.rate = flop_rate;
    term.factor = piece.mfu;
    term.seconds = computing;
    sum->add(term, Bound::compute, band.slow, band.fast);
  }
}

}  // namespace

void TimeSum::add(const TimeTerm& term, Bound bound, double slow, double fast) {
  if (term.seconds <= 0) return;
  likely_ += term.seconds;
  slow_ += term.seconds / slow;
  fast_ += term.seconds / fast;
  by_bound_[static_cast<std::size_t>(bound)] += term.seconds;
  if (terms_) terms_->push_back(term);
}

void TimeSum::add(const TimeSum& other, double times) {
  if (times <= 0) return;
  likely_ += other.likely_ * times;
  slow_ += other.slow_ * times;
  fast_ += other.fast_ * times;
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

Estimate TimeSum::rate(double tokens, hwdb::Basis basis) const {
  if (likely_ <= 0) return {0, 0, 0, basis};
  return {tokens / slow_, tokens / likely_, tokens / fast_, basis};
}

Work Work::share(double part) const {
  Work w = *this;
  w.weight_bytes *= part, w.weight_flops *= part;
  w.expert_bytes *= part, w.expert_flops *= part;
  w.cache_bytes *= part, w.attention_flops *= part;
  return w;
}

void add_work(const Work& work, const DeviceRates& device, Phase phase, double expert_mfu_share,
              TimeSum* sum) {
  using Kind = TimeTerm::Kind;
  const hwdb::SpeedFactorRow& factor = *device.factor;
  const Band band = band_of(factor, phase);
  const bool on_host = device.gpu < 0;
  const Kind weights = on_host ? Kind::host_weights : Kind::weights;
  const Kind matmul = on_host ? Kind::host_matmul : Kind::matmul;
  const double mfu = factor.prefill_mfu_likely;
  add_piece({work.weight_bytes, work.weight_flops, mfu, weights, matmul}, device, band, sum);
  add_piece({work.expert_bytes, work.expert_flops, mfu * expert_mfu_share, weights, matmul}, device,
            band, sum);
  add_piece({work.cache_bytes, work.attention_flops, mfu, Kind::cache, Kind::attention}, device,
            band, sum);
  if (work.dispatches > 0 && factor.overhead_s_per_layer > 0) {
    TimeTerm term;
    term.kind = Kind::dispatch;
    term.device = device.gpu;
    term.amount = work.dispatches;
    term.rate = 1 / factor.overhead_s_per_layer;
    term.seconds = work.dispatches * factor.overhead_s_per_layer;
    sum->add(term, Bound::overhead, band.slow, band.fast);
  }
}

}  // namespace planner
