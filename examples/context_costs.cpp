// SPDX-License-Identifier: MIT
// What context costs: the cache at growing context for a model whose layers all see everything, and
// for one with windows.
#include <cstdio>

#include "hwdb/catalog.h"
#include "hwdb/kv_cache.h"

namespace {

hwdb::Bytes cache_bytes(const hwdb::ModelShape& shape, std::uint64_t n_ctx) {
  hwdb::CacheRequest request;
  request.n_ctx = n_ctx;
  hwdb::Bytes sum;
  const auto layers = hwdb::cache_of_layers(shape, request);
  if (!layers) return sum;
  for (const hwdb::LayerCache& layer : *layers) sum += layer.kv + layer.state;
  return sum;
}

}  // namespace

int main() {
  const hwdb::Catalog& catalog = hwdb::Catalog::builtin();
  const auto full = catalog.find_model("llama-3.1-8b");
  const auto windowed = catalog.find_model("gemma-3-12b");
  const auto latent = catalog.find_model("deepseek-v3-671b");
  if (!full || !windowed || !latent) return 1;
  std::printf("%9s %14s %14s %14s\n", "context", "llama-3.1-8b", "gemma-3-12b", "deepseek-v3");
  for (std::uint64_t n_ctx = 4096; n_ctx <= 131072; n_ctx *= 2) {
    std::printf("%9llu %14s %14s %14s\n", static_cast<unsigned long long>(n_ctx),
                hwdb::format_bytes(cache_bytes((*full)->shape, n_ctx)).c_str(),
                hwdb::format_bytes(cache_bytes((*windowed)->shape, n_ctx)).c_str(),
                hwdb::format_bytes(cache_bytes((*latent)->shape, n_ctx)).c_str());
  }
  return 0;
}
