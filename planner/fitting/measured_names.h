// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "hwdb/catalog.h"
#include "hwdb/result.h"
#include "planner/fitting/measured_rows.h"

/// From the words of published tables to rows of the catalogue.
namespace fitting {

/// The preset that a source's words for a weight format mean: "Q4_K - Medium", "mostly Q4_0",
/// "fp16", "MXFP4 MoE". "" when they mean none, a publisher's own mix included.
std::string preset_of(std::string_view words);
/// The preset that a publisher's mix ("UD-Q4_K_XL", "Q4_K_P") goes by, "" when the words are no
/// such mix.
std::string preset_behind_mix(std::string_view words);

/// Looks up devices and models, each once. The error's code is the rule that leaves a row out
/// ("device", "backend", "model", "model_size", "quant"), its text says which name.
class MeasuredNames {
 public:
  explicit MeasuredNames(const hwdb::Catalog& catalog) : catalog_(catalog) {}

  struct Device {
    std::shared_ptr<const hwdb::Machine> machine;
    std::string key;  // catalogue id of the processor or card that ran the model
  };
  /// `with_host`: the host's words are part of the machine, as a split model needs them.
  hwdb::Result<Device> device(const MeasuredRow& row, bool with_host);

  struct Model {
    std::string id, preset;
    std::shared_ptr<const planner::ResolvedModel> model;
  };
  /// The model with its weights as the source's words say; parameter count and file size, where
  /// told, must agree.
  hwdb::Result<Model> model(const MeasuredRow& row);

 private:
  hwdb::Result<Device> find_device(const MeasuredRow& row, bool with_host) const;
  hwdb::Result<Model> find_model(const MeasuredRow& row);
  hwdb::Result<const hwdb::ModelRow*> model_row(const MeasuredRow& row, const std::string& preset);
  std::shared_ptr<const planner::ResolvedModel> costs(const hwdb::ModelRow& row,
                                                      const std::string& preset,
                                                      const std::string& embedding_type);

  const hwdb::Catalog& catalog_;
  std::map<std::string, hwdb::Result<Device>> devices_;
  std::map<std::string, hwdb::Result<Model>> models_;
  std::map<std::string, std::shared_ptr<const planner::ResolvedModel>> costs_;
};

}  // namespace fitting
