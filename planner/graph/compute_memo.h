// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
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
    bool operator==(const Question&) const = default;
  };
  struct QuestionHash {
    std::size_t operator()(const Question& question) const;
  };
  /// Answers as lines; a list is searched from the end, where the newest are.
  struct Answer {
    std::size_t plan = 0;  // index into plans_
    std::vector<BufferLines> prompt, generation;
  };

  Answer& answer_to(const Question& question);
  std::size_t plan_of(const Question& question);

  hwdb::ModelShape shape_;
  BlockKinds kinds_;
  std::vector<ComputePlan> plans_;
  std::unordered_map<std::string, std::size_t> plan_by_graph_;
  std::unordered_map<Question, Answer, QuestionHash> answers_;
  std::pair<const Question, Answer>* last_ = nullptr;
};

}  // namespace planner
