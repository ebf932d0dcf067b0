// trainer/parallel/gradient_sum.h: a step's gradients from all ranks, summed in the order of the
// pieces that they come from: the bits of one process that computes the pieces one after another.
// A step is computed in rounds: in each, every rank has one piece at most, and the pieces of a
// round are in the order of the ranks. After a round every rank adds up the gradients of its share
// (shares.h), and of nothing else. A rank sends as many numbers a round as the others' shares have,
// some at a time, so that what is under way takes little memory. All of it stays where the
// gradients are, on a GPU too, and travels as it is: in float32, but in bfloat16 where a GPU has
// made it so (its experts'). Sums are float32.
#pragma once
#include <vector>

#include "model/architecture/expert_parallel.h"
#include "model/parallel/rank_grid.h"
#include "trainer/parallel/shares.h"

namespace polygraft::trainer {

class GradientSum {
 public:
  /// What a rank sends at once, to all ranks together; elements. More on a GPU, which is faster
  /// than the CPU that tells it what to send.
  static constexpr int64_t elements_at_once(bool on_gpu) {
    return int64_t{1} << (on_gpu ? 24 : 20);
  }

  /// @param grid, shares (this rank's) and experts are referred to.
  GradientSum(const parallel::RankGrid& grid, const Shares& shares, model::ExpertParallel& experts);

  /// Takes the gradients that a round's backward left, and clears them. @param counts whether this
  /// rank had a piece of the step; otherwise its gradients are dropped.
  void add_round(bool counts);
  /// Sets the gradient of what this rank has of every leaf; undefined where no piece had one.
  void finish();

 private:
  /// Elements of one leaf's gradient by one source's piece.
  struct Part {
    int source;  ///< rank
    size_t leaf;
    parallel::Slice elements;  ///< of the vector of all leaves
  };
  /// Shares travel some elements at a time, turn after turn, two of them at once.
  int64_t elements_of_turn() const { return elements_at_once_ / grid_.size() + 1; }
  int64_t num_turns() const;
  parallel::Slice wanted(int to, int64_t turn) const;
  /// What rank `from` has for the slice of rank `to`, in the order in which it is sent.
  std::vector<Part> parts(int from, int to, int64_t turn) const;
  parallel::Slice held_by(size_t leaf, int from, int source) const;
  bool is_present(int source, size_t leaf) const;
  at::Tensor gradient_of(size_t leaf, int source) const;
  void append(const Part& part, std::vector<at::Tensor>& pieces) const;
  at::ScalarType type_of(size_t leaf) const;
  int64_t num_bytes(const Part& part) const;
  at::Tensor bytes_of_parts(const std::vector<Part>& parts) const;
  void share_presence(bool counts);
  /// A turn's exchange under way.
  struct Turn {
    std::vector<at::Tensor> sent, received;
    std::vector<std::vector<Part>> coming;  ///< by sender
    parallel::PendingPtr pending;
  };
  Turn start_turn(int64_t turn) const;
  void finish_turn(const Turn& turn);
  void add(const std::vector<Part>& parts, const at::Tensor& received);
  int first_source(size_t leaf) const;

  const parallel::RankGrid& grid_;
  const Shares& shares_;
  model::ExpertParallel& experts_;
  at::Device device_;  // of gradients
  int64_t elements_at_once_;
  std::vector<bool> is_shared_;     // by leaf: each rank of a row has its own experts' gradients
  std::vector<at::Tensor> sums_;    // by leaf: this rank's elements, summed so far
  std::vector<char> has_begun_;     // by leaf: some piece of the step had a gradient
  std::vector<std::byte> present_;  // [ranks, leaves], of this round
};

}  // namespace polygraft::trainer
