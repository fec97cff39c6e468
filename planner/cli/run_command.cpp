// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>

#include "planner/cli/commands.h"

namespace cli {
namespace {

struct Entry {
  std::string_view name;
  hwdb::Result<Outcome> (*run)(Session&);
};
constexpr std::array kEntries = {
    Entry{"", cmd_fit},
    Entry{"fit", cmd_fit},
    Entry{"plan", cmd_plan},
    Entry{"quants", cmd_quants},
    Entry{"bill", cmd_bill},
    Entry{"inspect", cmd_inspect},
    Entry{"verify", cmd_verify},
    Entry{"list", cmd_list},
    Entry{"batch", cmd_batch},
    Entry{"probe", cmd_probe},
    Entry{"doctor", cmd_doctor},
    Entry{"run", cmd_run},
    Entry{"synth", cmd_synth},
    Entry{"quantize", cmd_quantize},
    Entry{"bench", cmd_bench},
    Entry{"perplexity", cmd_perplexity},
    Entry{"calibrate", cmd_calibrate},
};

}  // namespace

hwdb::Result<Outcome> run_command(Session& session) {
  const auto entry =
      std::ranges::find(kEntries, std::string_view(session.options().command), &Entry::name);
  if (const std::string& name = session.options().save_machine; !name.empty()) {
    auto machine = session.machine(session.options().on);
    if (!machine) return machine.error();
    hwdb::StateStore* store = session.store();
    if (store == nullptr) {
      return hwdb::Error{"state.folder", "no folder to save in", name,
                         "name one with --state-dir DIR"};
    }
    if (auto status = store->save_machine(name, **machine); !status) return status.error();
  }
  return entry->run(session);
}

}  // namespace cli
