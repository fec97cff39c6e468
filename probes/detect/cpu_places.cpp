// SPDX-License-Identifier: MIT
#include "probes/detect/cpu_places.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>

#include "probes/detect/hwloc_topology.h"

namespace probes {
namespace {

struct BitmapFree {
  void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, BitmapFree>;

/// hwloc for the life of the program: threads bind themselves many times.
const Hwloc& shared_topology() {
  static const Hwloc topology = load_hwloc();
  return topology;
}

}  // namespace

std::vector<CpuPlace> read_cpu_places() {
  const Hwloc& t = shared_topology();
  std::vector<CpuPlace> places;
  if (t == nullptr) return places;
  const Bitmap allowed(hwloc_bitmap_alloc());
  if (allowed == nullptr || hwloc_get_cpubind(t.get(), allowed.get(), HWLOC_CPUBIND_PROCESS) != 0)
    return places;
  const int n = std::max(0, hwloc_get_nbobjs_by_type(t.get(), HWLOC_OBJ_PU));
  for (int i = 0; i < n; ++i) {
    const hwloc_obj_t pu = hwloc_get_obj_by_type(t.get(), HWLOC_OBJ_PU, static_cast<unsigned>(i));
    if (hwloc_bitmap_isset(allowed.get(), pu->os_index) == 0) continue;
    CpuPlace place{pu->os_index, static_cast<std::uint32_t>(i), 0};
    const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(t.get(), HWLOC_OBJ_CORE, pu);
    if (core != nullptr) place.core = core->logical_index;
    if (const int node = hwloc_bitmap_first(pu->nodeset); node > 0)
      place.node = static_cast<std::uint32_t>(node);
    places.push_back(place);
  }
  order_places(&places);
  return places;
}

void order_places(std::vector<CpuPlace>* places) {
  std::ranges::sort(*places, {}, [](const CpuPlace& p) { return std::tuple(p.core, p.cpu); });
  // Of each place: which thread of its core it is, and which of those of its node.
  std::map<std::uint32_t, std::uint32_t> of_core;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> of_node;
  std::vector<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, CpuPlace>> ranked;
  for (const CpuPlace& p : *places) {
    const std::uint32_t sibling = of_core[p.core]++;
    ranked.emplace_back(sibling, of_node[{p.node, sibling}]++, p.node, p);
  }
  std::ranges::stable_sort(ranked, {}, [](const auto& r) {
    return std::tuple(std::get<0>(r), std::get<1>(r), std::get<2>(r));
  });
  for (std::size_t i = 0; i < ranked.size(); ++i) (*places)[i] = std::get<3>(ranked[i]);
}

}  // namespace probes
