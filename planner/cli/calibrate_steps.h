// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/run/depth_bench.h"
#include "engine/run/kernel_bench.h"
#include "hwdb/model.h"
#include "planner/batch.h"
#include "planner/calibration.h"
#include "planner/cli/engine_session.h"
#include "planner/cli/session.h"

/// Measuring the engine for a calibration: products by themselves, then slices of models.
namespace cli {

/// The shape that slices are made of: a row of the catalogue, or a file's. Errors: name.*, file.*.
hwdb::Result<hwdb::ModelShape> shape_of_model(Session& session, const std::string& name);

/// The model that a reading was taken of, slices included; null where it is not there any more.
std::shared_ptr<const planner::ResolvedModel> model_of_reading(Session& session,
                                                               const hwdb::SpeedReading& reading);

/// What a calibration measures.
struct CalibrationPlan {
  std::string model, quant;
  bool full = false;

  struct Slice {
    std::string model, quant;
    std::uint32_t layers = 2;
    std::string cache_type = "f16";
    engine::DepthBenchOptions how;
  };
  std::vector<Slice> slices;
  std::vector<engine::KernelBench::Question> kernels;
};
/// The usual list for a model ("": one that suits the machine). Errors: as shape_of_model, quant.*.
hwdb::Result<CalibrationPlan> calibration_plan(Session& session, const hwdb::Machine& machine,
                                               const std::string& model, const std::string& quant,
                                               bool full);

struct CalibrationMeasured {
  std::vector<hwdb::SpeedReading> readings;
  std::vector<hwdb::KernelReading> kernels;
  std::vector<std::string> warnings;  // what could not be measured, and why
};
/// Measures until it is done or Ctrl-C comes; what was measured until then is there. `show` is told
/// the step and the share of everything that is done. Errors: none of a single step, which becomes
/// a warning.
CalibrationMeasured measure_calibration(
    Session& session, EngineSession& engine, const hwdb::Machine& machine,
    const CalibrationPlan& plan,
    const std::function<void(const std::string& step, double share)>& show);

}  // namespace cli
