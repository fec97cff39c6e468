// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hwdb/catalog.h"
#include "hwdb/machine.h"
#include "hwdb/rows.h"
#include "hwdb/units.h"
#include "planner/class_factors.h"

namespace planner {

/// What stands in for facts that neither the machine nor the model carries: class factors, driver
/// contexts, watts by form, power supplies. Made once from the catalogue; plain numbers after that.
/// The members' initial values are the ones of a program without a catalogue (tests, benchmarks)
/// and equal the catalogue's defaults.
struct Assumptions {
  /// Class factors; null: the initial values of DeviceFactors for every device.
  std::shared_ptr<const ClassFactors> class_factors;
  /// How far published speeds lay from what those factors predict; null: `band_unknown` for all.
  const std::vector<hwdb::SpeedAccuracyRow>* speed_accuracy = nullptr;
  /// Measured over predicted, 5 % and 95 %, where no row speaks. Judgements.
  double band_unknown_low = 0.5, band_unknown_high = 1.6;

  /// Device memory that a process holds before its first buffer: driver context and kernels' code.
  /// Judgements, not measurements; llama.cpp shows it as "unaccounted".
  hwdb::Bytes context_cuda{480 * hwdb::kMiB}, context_rocm{400 * hwdb::kMiB},
      context_vulkan{150 * hwdb::kMiB}, context_metal{0}, context_sycl{300 * hwdb::kMiB};
  /// Kept free per GPU before "fits" is said: llama.cpp's own --fit-target.
  hwdb::Bytes margin_gpu{1024 * hwdb::kMiB};
  /// Kept free of system memory for the operating system and other programs, when it is not known
  /// what is free now: the smaller of the two.
  hwdb::Bytes host_reserve{4096 * hwdb::kMiB};
  double host_reserve_fraction = 0.15;

  /// Share of its rated bandwidth that a memory gives to plain reads. Class factors are shares of
  /// the rated bandwidth, so a measured one is divided by this. Judgements: cards reach 0.85 to
  /// 0.98, processors and what shares their memory 0.75 to 0.92.
  double read_share_discrete = 0.93, read_share_shared = 0.83;

  /// One hand-over between devices beyond the transfer itself: launch, copy, wait. A judgement.
  double link_latency_s = 3e-5;
  /// Arithmetic peak of a device of which only the bandwidth is known, FLOPs per byte. A judgement
  /// on the low side of what is sold.
  double flops_per_byte = 40;

  /// Share of drafted tokens that the model would have written itself, where nobody says it. A
  /// judgement: 0.6 to 0.8 is told of code and chat, less of free text.
  double draft_acceptance = 0.7;

  /// Share of the power limit that a GPU draws (power.json, defaults).
  double decode_fraction_memory_bound = 0.9, decode_fraction_small_model = 0.55,
         decode_fraction_laptop = 0.85, decode_fraction_apple = 0.75, decode_fraction_server = 0.55;
  double prefill_fraction = 1.0, prefill_fraction_apple = 0.9;
  double gpu_idle_w = 15;          // of a GPU whose idle watts nobody wrote down
  double gpu_loaded_idle_w = 13;   // more than idle once a model sits in its memory
  double cpu_load_fraction = 0.9;  // of the CPU's rated watts while it computes
  /// Rated watts of parts that do not say them. Judgements.
  double gpu_unknown_w = 200, shared_gpu_unknown_w = 28, cpu_unknown_w = 65,
         board_cpu_unknown_w = 8;
  /// Ends of the band of watts, as shares of the likely: about the spread of the readings in
  /// power.json around these fractions.
  double watts_low = 0.85, watts_high = 1.12;
  double adapter_efficiency = 0.88;  // external adapters of laptops, small computers and boards

  /// The power supply of desktops and servers: load shares and efficiencies, rising in load.
  std::vector<double> psu_load{0.2, 0.5, 1.0}, psu_efficiency{0.87, 0.90, 0.87};
  std::string psu_id = "80 Plus Gold";
};

/// The catalogue's class factors, power defaults and power supplies. The catalogue must outlive the
/// result.
Assumptions assumptions_from(const hwdb::Catalog& catalog);

}  // namespace planner
