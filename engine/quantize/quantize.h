// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/runtime/thread_pool.h"
#include "hwdb/gguf.h"
#include "hwdb/model.h"
#include "hwdb/result.h"
#include "hwdb/weight_plan.h"

namespace engine {

/// A file that is to be written anew in other types.
class Quantization {
 public:
  /// Reads the header of a GGUF file (any shard of a split) and chooses each tensor's new type by
  /// the preset's rules, as llama-quantize does. Matrices published in MXFP4 stay so unless the
  /// preset is F32. Errors: those of open_gguf; quant.unknown, quant.not_divisible;
  /// quant.unsupported (a type that the engine cannot read, or cannot make: those need an
  /// importance matrix).
  static hwdb::Result<Quantization> plan(const std::string& path,
                                         const hwdb::QuantOptions& options);

  const hwdb::ModelFile& source() const { return source_; }
  /// In the order of the source, with their new types and bytes.
  const std::vector<hwdb::PlannedTensor>& tensors() const { return tensors_; }
  /// Bytes of tensor data before and after, without padding.
  std::uint64_t bytes_before() const;
  std::uint64_t bytes_after() const;

  struct Writing {
    bool overwrite = false;
    /// Called with the bytes of the source that are read; from the calling thread.
    std::function<void(const std::string& tensor, std::uint64_t done, std::uint64_t total)>
        on_progress;
    /// Set: writing ends with the error run.interrupted, and no file.
    const std::atomic<bool>* cancel = nullptr;
  };
  /// Writes the new file; its size. Keys are copied as they are, but for the file type, and for
  /// those about shards. Errors: usage.value (the file is one of the source's), file.*,
  /// quantize.not_finite (a weight that is no number; names tensor and index), output.*,
  /// run.interrupted.
  hwdb::Result<std::uint64_t> write(const std::string& path, ThreadPool& pool,
                                    const Writing& writing) const;

 private:
  Quantization() = default;
  hwdb::Status choose_types(const hwdb::QuantOptions& options);
  hwdb::ModelFile source_;
  std::vector<hwdb::GgufFile> shards_;
  std::vector<hwdb::PlannedTensor> tensors_;
  std::optional<std::uint32_t> file_type_;
};

}  // namespace engine
