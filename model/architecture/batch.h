// model/architecture/batch.h: the tokens of one forward pass.
// Legend: T tokens of the batch.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace polygraft::model {

/// Token sequences laid end to end. Positions restart at 0 with each sequence.
struct Batch {
  at::Tensor ids_T;              ///< int64
  std::vector<int64_t> lengths;  ///< of the sequences; their sum is T
  /// Empty, or for each sequence the lengths of its branches: alternatives that end it. Each
  /// continues the trunk (what lies before the first branch) and sees no other branch: the choices
  /// of a question, whose text is then computed once.
  std::vector<std::vector<int64_t>> branches = {};

  const std::vector<int64_t>& branches_of(size_t sequence) const;
  /// Tokens from the start of `sequence` to the end of its longest branch.
  int64_t num_positions(size_t sequence) const;
};

/// int64 [T]: how far each token is from the start of its sequence, other branches left out.
at::Tensor token_positions(const Batch& batch);

}  // namespace polygraft::model
