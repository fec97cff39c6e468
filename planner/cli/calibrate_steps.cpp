// SPDX-License-Identifier: MIT
#include "planner/cli/calibrate_steps.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "engine/run/statistics.h"
#include "engine/run/token_model.h"
#include "engine/synth/synthesize.h"
#include "planner/cli/utc_time.h"
#include "planner/cli/version.h"

namespace cli {
namespace {

using hwdb::Error;
using hwdb::Result;
using hwdb::SpeedReading;
using hwdb::Status;
using Slice = CalibrationPlan::Slice;

constexpr std::string_view kInterrupted = "run.interrupted";
// Copies of a product's weights: so many times the last-level cache, within these limits.
constexpr double kCacheTimes = 4;
constexpr std::uint64_t kLeastKernelMemory = 64u << 20, kQuickKernelMemory = 512u << 20,
                        kFullKernelMemory = 1u << 30;
constexpr std::uint64_t kSpareDisk = 256u << 20;  // left free beside a slice

/// A folder for slices that is gone afterwards, with all that is in it.
class SliceFolder {
 public:
  static Result<std::unique_ptr<SliceFolder>> make(const Environment& environment) {
    std::string base = hwdb::state_folders(environment.lookup, environment.home).cache;
    std::error_code failed;
    if (!base.empty()) std::filesystem::create_directories(base, failed);
    std::string path = base + "/slices-XXXXXX";
    // Without a cache folder of the user's: the system's for files that do not last.
    if (base.empty() || failed || ::mkdtemp(path.data()) == nullptr) {
      base = std::filesystem::temp_directory_path(failed).string();
      path = base + "/tokwatt-slices-XXXXXX";
      if (failed || ::mkdtemp(path.data()) == nullptr)
        return Error{"state.folder", "no folder to make model slices in", base,
                     "set XDG_CACHE_HOME to one with room"};
    }
    return std::unique_ptr<SliceFolder>(new SliceFolder(std::move(path)));
  }
  ~SliceFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  SliceFolder(const SliceFolder&) = delete;
  SliceFolder& operator=(const SliceFolder&) = delete;

  const std::string& path() const { return path_; }
  Status check_room(std::uint64_t bytes) const {
    struct statvfs disk {};
    if (::statvfs(path_.c_str(), &disk) != 0) return hwdb::Ok{};
    const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    if (free >= bytes + kSpareDisk) return hwdb::Ok{};
    return Error{"output.write",
                 fmt::format("{} free, a slice needs {}", hwdb::format_bytes(hwdb::Bytes(free)),
                             hwdb::format_bytes(hwdb::Bytes(bytes + kSpareDisk))),
                 path_, "set XDG_CACHE_HOME to a folder with room"};
  }

 private:
  explicit SliceFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

class CalibrationRun {
 public:
  using Show = std::function<void(const std::string&, double)>;
  CalibrationRun(Session& session, EngineSession& engine, const hwdb::Machine& machine,
                 const CalibrationPlan& plan, const Show& show)
      : session_(session), engine_(engine), machine_(machine), plan_(plan), show_(show) {
    all_ = static_cast<double>(plan.kernels.size()) * kKernelWeight;
    for (const Slice& slice : plan.slices) all_ += weight_of(slice);
  }

  CalibrationMeasured run() {
    if (!plan_.kernels.empty()) kernels();
    if (plan_.slices.empty() || engine_.interrupted()) return std::move(out_);
    auto folder = SliceFolder::make(session_.environment());
    if (!folder) {
      warn("slices", folder.error());
      return std::move(out_);
    }
    for (const Slice& slice : plan_.slices) {
      if (engine_.interrupted()) break;
      if (auto status = run_slice(**folder, slice); !status)
        warn(fmt::format("{} {}", slice.model, slice.quant), status.error());
      done_ += weight_of(slice);
      made_is_done(slice);
    }
    return std::move(out_);
  }

 private:
  // Shares of the time, in tokens of a prompt of the usual slice.
  static constexpr double kKernelWeight = 250, kMakingWeight = 2500;
  static double weight_of(const Slice& slice) {
    double weight = kMakingWeight;
    for (const std::uint32_t depth : slice.how.depths) {
      weight = std::max(weight, kMakingWeight + depth);
      weight += slice.how.prompt_repetitions * slice.how.n_prompt +
                8.0 * slice.how.gen_repetitions * slice.how.n_gen;
    }
    return weight * slice.layers / 2;
  }

  void warn(const std::string& what, const Error& error) {
    if (error.code == kInterrupted) return;
    out_.warnings.push_back(fmt::format("{}: not measured: {}{}", what, error.what,
                                        error.hint.empty() ? "" : " (" + error.hint + ")"));
  }
  void show(const std::string& step, double more) const {
    if (show_) show_(step, std::min(1.0, (done_ + more) / std::max(all_, 1.0)));
  }

  std::uint64_t kernel_memory() const {
    std::uint64_t bytes = static_cast<std::uint64_t>(
        kCacheTimes * static_cast<double>(machine_.cpu.last_level_cache_total_bytes));
    bytes =
        std::clamp(bytes, kLeastKernelMemory, plan_.full ? kFullKernelMemory : kQuickKernelMemory);
    if (machine_.memory.available)
      bytes = std::min(bytes, machine_.memory.available->value.value / 8);
    return bytes;
  }

  void kernels() {
    show("memory for products", 0);
    auto bench = engine::KernelBench::make(engine_.pool(), kernel_memory());
    if (!bench) return warn("products", bench.error());
    engine::KernelBench::Options how;
    how.cancel = engine_.cancel();
    if (plan_.full) how.windows = 15, how.budget_seconds = 1.5;
    for (const engine::KernelBench::Question& question : plan_.kernels) {
      if (engine_.interrupted()) return;
      const std::string step = fmt::format("products of {}", hwdb::format_of(question.type).name);
      show(step, 0);
      if (bench->can_time(question)) {
        auto reading = bench->time(question, how);
        if (reading) {
          reading->measured_at = utc_now();
          out_.kernels.push_back(*std::move(reading));
        } else {
          warn(step, reading.error());
        }
      }
      done_ += kKernelWeight;
    }
  }

  /// The slice's file, made when the one before was another.
  Result<std::string> make_file(const SliceFolder& folder, const Slice& slice,
                                const std::string& step) {
    const std::string name = fmt::format("{}@{}-{}", slice.model, slice.layers, slice.quant);
    const std::string path = folder.path() + "/slice.gguf";
    if (made_ == name) return path;
    made_.clear();
    ::unlink(path.c_str());
    const auto shape = shape_of_model(session_, slice.model);
    if (!shape) return shape.error();
    engine::SynthRequest request;
    request.preset = slice.quant;
    request.cuts.n_layers = slice.layers;
    request.name = name;
    auto file = engine::plan_synth(*shape, request);
    if (!file) return file.error();
    if (auto room = folder.check_room(file->data_bytes()); !room) return room.error();
    engine::SynthWriting writing;
    writing.overwrite = true;
    writing.cancel = engine_.cancel();
    writing.on_progress = [&](std::uint64_t done, std::uint64_t total) {
      show("making " + step, kMakingWeight * static_cast<double>(done) /
                                 static_cast<double>(std::max<std::uint64_t>(total, 1)) / 2);
    };
    auto written = engine::write_synth(*file, path, engine_.pool(), writing);
    if (!written) return written.error();
    made_ = name;
    return path;
  }

  /// Weights are kept while the next slice is of the same file.
  void made_is_done(const Slice& slice) {
    const std::size_t next = static_cast<std::size_t>(&slice - plan_.slices.data()) + 1;
    const bool again = next < plan_.slices.size() && plan_.slices[next].model == slice.model &&
                       plan_.slices[next].quant == slice.quant &&
                       plan_.slices[next].layers == slice.layers;
    if (!again) opened_.reset();
  }

  Status run_slice(const SliceFolder& folder, const Slice& slice) {
    const std::string step =
        fmt::format("{} layers of {} {}", slice.layers, slice.model, slice.quant);
    if (!opened_) {
      auto path = make_file(folder, slice, step);
      if (!path) return path.error();
      engine::ModelOptions how;
      how.cancel = engine_.cancel();
      how.on_progress = [&](double share) {
        show("loading " + step, kMakingWeight * (1 + share) / 2);
      };
      auto opened = engine::Model::open(*path, engine_.pool(), how);
      if (!opened) return opened.error();
      opened_ = *std::move(opened);
    }
    engine::ContextOptions how;
    const auto type = cache_type(slice.cache_type);
    if (!type) return type.error();
    how.type_k = how.type_v = *type;
    how.n_ctx = slice.how.n_ctx();
    how.n_ubatch = slice.how.n_batch;
    how.cancel = engine_.cancel();
    auto context = engine::Context::make(*opened_, engine_.pool(), how);
    if (!context) return context.error();
    engine::ContextModel runs(*opened_, **context);
    engine::DepthBenchOptions bench = slice.how;
    bench.cancel = engine_.cancel();
    bench.on_part = [&](double share) {
      show(fmt::format("{}, cache {}", step, slice.cache_type),
           kMakingWeight + share * (weight_of(slice) - kMakingWeight));
    };
    auto samples = engine::run_depths(runs, bench);
    if (!samples) return samples.error();
    for (const engine::DepthSamples& at : *samples) {
      add(slice, SpeedReading::Test::decode, at.depth, at.gen_ns);
      add(slice, SpeedReading::Test::prefill, at.depth, at.prompt_ns);
    }
    return hwdb::Ok{};
  }

  void add(const Slice& slice, SpeedReading::Test test, std::uint32_t depth,
           const std::vector<std::uint64_t>& samples_ns) {
    if (samples_ns.empty()) return;
    SpeedReading r;
    r.source = SpeedReading::Source::engine;
    r.test = test;
    r.runtime = "tokwatt";
    r.build = kVersion;
    r.measured_at = utc_now();
    r.model = slice.model;
    r.quant = slice.quant;
    r.slice_layers = slice.layers;
    r.model_bytes = opened_->costs().tensor_bytes;
    r.backend = "cpu";
    const bool prefill = test == SpeedReading::Test::prefill;
    (prefill ? r.n_prompt : r.n_gen) = prefill ? slice.how.n_prompt : slice.how.n_gen;
    r.depth = depth;
    r.n_ubatch = slice.how.n_batch;
    r.flash_attn = true;
    r.cache_type_k = r.cache_type_v = slice.cache_type;
    const double tokens = prefill ? r.n_prompt : r.n_gen;
    for (const std::uint64_t ns : samples_ns)
      r.samples.push_back(tokens * 1e9 / static_cast<double>(ns));
    r.tok_per_s = engine::median_of(r.samples);
    r.deviation = engine::deviation_of(r.samples);
    out_.readings.push_back(std::move(r));
  }

  Session& session_;
  EngineSession& engine_;
  const hwdb::Machine& machine_;
  const CalibrationPlan& plan_;
  const Show& show_;
  CalibrationMeasured out_;
  std::string made_;  // what the slice's file holds
  std::unique_ptr<engine::Model> opened_;
  double done_ = 0, all_ = 0;
};

}  // namespace

CalibrationMeasured measure_calibration(
    Session& session, EngineSession& engine, const hwdb::Machine& machine,
    const CalibrationPlan& plan,
    const std::function<void(const std::string& step, double share)>& show) {
  return CalibrationRun(session, engine, machine, plan, show).run();
}

}  // namespace cli
