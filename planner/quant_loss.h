// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hwdb/catalog.h"

namespace planner {

/// What a quantization costs, from published measurements.
///
/// `divergence` is in nats per token: the mean Kullback-Leibler divergence against 16 bit where
/// somebody published it, else the logarithm of the perplexity ratio. `loss` is 1 -
/// exp(-divergence): the part of the probability that the quantized model takes from what the
/// 16-bit model would have said (a geometric mean over tokens). A score's percentile is multiplied
/// by what is left; that last step is this program's own rule, not a measurement.
struct QuantLoss {
  double divergence = 0;
  double loss = 0;
  std::string kind;                 // "KLD" or "perplexity"
  std::string evidence;             // one phrase: where it was published, or how it was inferred
  std::string source;               // the publication, "" when inferred from many
  bool of_this_model = false;       // published for this model and preset
  bool quantization_aware = false;  // of a checkpoint trained for this format
};

/// The published measurements, arranged as a table of series (one model in one publication) by
/// presets. Which presets were measured differs from series to series, so their medians cannot be
/// compared directly; the table is therefore fitted by logarithm = series level + preset level, and
/// a missing cell is inferred from the two. The rows must outlive the table.
class QuantLossTable {
 public:
  explicit QuantLossTable(std::span<const hwdb::QuantQualityRow> rows);
  /// The loss of a preset for a model: its own published figure; else its level in its other
  /// figures; else that of the nearest model of its family (size within a factor of two); else the
  /// median level of its size class. Absent for a preset nobody measured.
  std::optional<QuantLoss> find(const hwdb::ModelRow& model, std::string_view preset) const;
  /// The figure of a quantization-aware checkpoint of this model's family in that format.
  std::optional<QuantLoss> find_quantization_aware(const hwdb::ModelRow& model,
                                                   std::string_view preset) const;

  QuantLossTable(QuantLossTable&&) noexcept;
  ~QuantLossTable();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Lossless formats: 16 and 32 bit, and the publisher's own format.
bool is_full_precision(const hwdb::ModelRow& model, std::string_view preset);

}  // namespace planner
