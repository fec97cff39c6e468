// SPDX-License-Identifier: MIT
#include "planner/cli/making.h"

#include <algorithm>
#include <thread>

#include "hwdb/quant_name.h"
#include "planner/report/figures.h"

namespace cli {

std::unique_ptr<engine::ThreadPool> making_pool(Session& session) {
  unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  if (const auto machine = session.machine("this"); machine && (*machine)->cpu.usable_threads > 0) {
    threads = std::min(threads, static_cast<unsigned>((*machine)->cpu.usable_threads));
  }
  return std::make_unique<engine::ThreadPool>(
      session.options().settings.n_threads.value_or(threads));
}

report::Table types_table(const std::vector<hwdb::PlannedTensor>& tensors) {
  std::vector<hwdb::TensorInfo> infos;
  for (const hwdb::PlannedTensor& tensor : tensors) infos.push_back(tensor.info);
  report::Table table;
  table.key = "types";
  table.columns = {{.key = "type", .title = "type", .align = report::Align::left},
                   {.key = "tensors", .title = "tensors"},
                   {.key = "elements", .title = "weights", .unit = "million"},
                   {.key = "bytes", .title = "size"}};
  for (const hwdb::ModelFile::Dtype& type : hwdb::dtypes_of(infos)) {
    table.rows.push_back(
        {type.name, report::count_cell(type.tensors),
         report::Cell(report::short_number(static_cast<double>(type.elements) / 1e6),
                      type.elements),
         report::bytes_cell(hwdb::Bytes(type.bytes))});
  }
  return table;
}

}  // namespace cli
