// trainer/parallel/shares.h: which of several ranks moves which of the numbers that train, and so
// keeps their optimizer state (ZeRO-1: Rajbhandari et al. 2020, arXiv 1910.02054). The tensors that
// backward gives gradients to, the leaves, are seen as one vector; each rank has a run of
// neighbours in it, cut as evenly as blocks of a gradient's norm (optim/adamw.h) allow. A matrix
// that adapters make is not cut, as their gradients are products with the whole of its own; who has
// it has both factors.
#pragma once
#include <string>
#include <vector>

#include "model/parallel/slice.h"
#include "trainer/optim/parameters.h"

namespace polygraft::trainer {

class Shares {
 public:
  struct Leaf {
    std::string name;  ///< of the first parameter that it gives gradients to
    at::Tensor value;
    parallel::Slice elements;  ///< of the vector
    bool is_cut = true;        ///< between blocks, where a share ends in it
    at::Tensor own = {};       ///< this rank's elements, in the leaf's memory; may be undefined
  };

  /// @param parameters the same, in the same order, on every rank.
  Shares(const Parameters& parameters, int rank, int num_ranks);

  const std::vector<Leaf>& leaves() const { return leaves_; }
  int64_t num_elements() const { return first_.back(); }
  /// A rank's run of the vector.
  parallel::Slice of(int rank) const;
  /// What `rank` has of a leaf, in the vector.
  parallel::Slice of_leaf(int rank, size_t leaf) const;
  /// What `rank` has of a parameter, from the parameter's first element on.
  parallel::Slice of_parameter(int rank, size_t parameter) const;

  /// What this rank has of the parameters: tensors in their memory, empty ones left out. Of a
  /// parameter that is a leaf, the leaf's `own`.
  Parameters own_parameters() const;

 private:
  void add_leaf(const Parameter& parameter);
  void cut(int num_ranks);

  Parameters parameters_;
  int rank_;
  std::vector<Leaf> leaves_;
  std::vector<size_t> leaf_of_;  // by parameter
  std::vector<int64_t> first_;   // by rank, and the total
};

/// What two runs of one vector have in common.
parallel::Slice common(parallel::Slice a, parallel::Slice b);

}  // namespace polygraft::trainer
