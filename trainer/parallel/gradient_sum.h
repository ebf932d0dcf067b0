// trainer/parallel/gradient_sum.h: a step's gradients from all ranks, summed in the order of the
// pieces that they come from: the bits of one process that computes the pieces one after another.
// A step is computed in rounds: in each, every rank has one piece at most, and the pieces of a
// round are in the order of the ranks. After a round every rank adds up a slice of all gradients,
// seen as one vector; after the last one the slices go to everyone. A rank sends as many bytes a
// round as the gradients have, and as many again once a step.
#pragma once
#include <vector>

#include "model/architecture/expert_parallel.h"
#include "model/parallel/rank_grid.h"
#include "trainer/optim/parameters.h"

namespace polygraft::trainer {

class GradientSum {
 public:
  /// @param grid and experts are referred to. @param trained float32 leaves of the graph.
  GradientSum(const parallel::RankGrid& grid, const Parameters& trained,
              model::ExpertParallel& experts);

  /// Takes the gradients that a round's backward left, and clears them. @param counts whether this
  /// rank had a piece of the step; otherwise its gradients are dropped.
  void add_round(bool counts);
  /// Sets every tensor's gradient, on every rank; undefined where no piece had one.
  void finish();

 private:
  struct Entry {
    at::Tensor value;
    int64_t first = 0, count = 0;  ///< elements, of the vector of all gradients
    bool is_shared = false;        ///< each rank of a row has the gradients of its own experts
  };
  /// Elements of one entry's gradient by one source's piece.
  struct Part {
    int source;  ///< rank
    size_t entry;
    parallel::Slice elements;  ///< of the vector
  };
  /// What rank `from` has for the slice of rank `to`, in the order in which it is sent.
  std::vector<Part> parts(int from, int to) const;
  parallel::Slice held_by(const Entry& entry, int from, int source) const;
  bool is_present(int source, size_t entry) const;
  at::Tensor gradient_of(const Entry& entry, int source) const;
  void append(const Part& part, std::vector<float>& out) const;
  void share_presence(bool counts);
  void add(const std::vector<Part>& received, const float* values);
  int first_source(size_t entry) const;

  const parallel::RankGrid& grid_;
  model::ExpertParallel& experts_;
  std::vector<Entry> entries_;
  int64_t num_elements_ = 0;
  std::vector<float> slice_;        // this rank's, summed so far
  std::vector<char> has_begun_;     // by entry: some piece of the step had a gradient
  std::vector<std::byte> present_;  // [ranks, entries], of this round
};

}  // namespace polygraft::trainer
