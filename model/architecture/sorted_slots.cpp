// model/architecture/sorted_slots.cpp: see sorted_slots.h.
#include "model/architecture/sorted_slots.h"

namespace polygraft::model {

SortedSlots sort_slots(const at::Tensor& expert_TK, int64_t num_experts) {
  const int64_t num_rows = expert_TK.numel();
  const int64_t top_k = expert_TK.size(1);
  const int64_t* expert = expert_TK.const_data_ptr<int64_t>();
  SortedSlots slots;
  slots.first_row.assign(num_experts + 1, 0);
  for (int64_t slot = 0; slot < num_rows; ++slot) ++slots.first_row[expert[slot] + 1];
  for (int64_t e = 0; e < num_experts; ++e) slots.first_row[e + 1] += slots.first_row[e];
  slots.token_of_row = at::empty({num_rows}, at::kLong);
  slots.slot_of_row = at::empty({num_rows}, at::kLong);
  slots.row_of_slot = at::empty({num_rows}, at::kLong);
  int64_t* token_of_row = slots.token_of_row.mutable_data_ptr<int64_t>();
  int64_t* slot_of_row = slots.slot_of_row.mutable_data_ptr<int64_t>();
  int64_t* row_of_slot = slots.row_of_slot.mutable_data_ptr<int64_t>();
  std::vector<int64_t> next = slots.first_row;
  for (int64_t slot = 0; slot < num_rows; ++slot) {
    const int64_t row = next[expert[slot]]++;
    token_of_row[row] = slot / top_k;
    slot_of_row[row] = slot;
    row_of_slot[slot] = row;
  }
  return slots;
}

}  // namespace polygraft::model
