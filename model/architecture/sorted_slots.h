// model/architecture/sorted_slots.h: the slots (token, k) of a layer sorted by expert, so that each
// expert's rows are one slice. Legend: T tokens, K experts of a token, R = T K rows.
#pragma once
#include <ATen/ATen.h>

#include <vector>

namespace polygraft::model {

struct SortedSlots {
  std::vector<int64_t> first_row;  ///< per expert, and the number of rows at the end
  at::Tensor token_of_row;         ///< int64 [R], ascending within an expert
  at::Tensor slot_of_row;          ///< int64 [R]
  at::Tensor row_of_slot;          ///< int64 [R]
};

/// Counting sort, stable in token order. @param expert_TK int64, contiguous.
SortedSlots sort_slots(const at::Tensor& expert_TK, int64_t num_experts);

}  // namespace polygraft::model
