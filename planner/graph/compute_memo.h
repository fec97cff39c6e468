// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "planner/graph/compute_graph.h"
#include "planner/graph/graph_blocks.h"

namespace planner {

/// The compute buffers of one model, each graph worked out once. Asking again with another context
/// takes tens of nanoseconds. Holds a bounded number of graphs; not for several threads at once.
class ComputeMemo {
 public:
  explicit ComputeMemo(hwdb::ModelShape shape);

  GraphBuffers find(const ComputeRequest& request, const ComputePlacement& placement);

 private:
  /// A question without its number of cells.
  struct Question {
    ComputeRequest request;
    ComputePlacement placement;
    bool operator==(const Question& other) const { return asks(other.request, other.placement); }
    /// Whether this is that question, whatever the cells.
    bool asks(const ComputeRequest& request, const ComputePlacement& placement) const;
  };
  struct QuestionHash {
    std::size_t operator()(const Question& question) const;
  };
  /// Answers as lines; a list is searched from the end, where the newest are.
  struct Answer {
    std::size_t plan = 0;  // index into plans_
    std::vector<BufferLines> prompt, generation;
  };

  using Known = std::pair<const Question, Answer>;
  Answer& answer_to(const ComputeRequest& request, const ComputePlacement& placement);
  std::size_t plan_of(const Question& question);

  hwdb::ModelShape shape_;
  BlockKinds kinds_;
  std::vector<ComputePlan> plans_;
  std::unordered_map<std::string, std::size_t> plan_by_graph_;
  std::unordered_map<Question, Answer, QuestionHash> answers_;
  std::array<Known*, 4> recent_{};  // a plan asks the same few again and again
  std::size_t oldest_ = 0;
};

}  // namespace planner
