// model/architecture/head_columns.cpp: see head_columns.h.
#include "model/architecture/head_columns.h"

#include <vector>

namespace polygraft::model {

at::Tensor in_stored_order(const at::Tensor& base_TV, const at::Tensor& added_Tv,
                           const RowLayout& layout) {
  const int64_t num_padding = layout.placement.num_padding;
  if (!added_Tv.defined() && num_padding == 0) return base_TV;
  std::vector<at::Tensor> pieces = {base_TV.narrow(1, 0, layout.first_added())};
  if (added_Tv.defined()) pieces.push_back(added_Tv);
  if (layout.num_behind() > 0) {
    pieces.push_back(base_TV.narrow(1, layout.end_displaced(), layout.num_behind()));
  }
  if (num_padding > 0) {
    const auto copied_T1 = base_TV.narrow(1, layout.placement.padding_row, 1);
    pieces.push_back(copied_T1.expand({base_TV.size(0), num_padding}));
  }
  return at::cat(pieces, 1);
}

at::Tensor kept_columns(const at::Tensor& base_TV, const RowLayout& layout) {
  if (layout.num_displaced() == 0) return base_TV;
  const auto front = base_TV.narrow(1, 0, layout.first_added());
  if (layout.num_behind() == 0) return front;
  return at::cat({front, base_TV.narrow(1, layout.end_displaced(), layout.num_behind())}, 1);
}

at::Tensor kept_columns_of_stored(const at::Tensor& stored_TN, const RowLayout& layout) {
  const auto front = stored_TN.narrow(1, 0, layout.first_added());
  if (layout.num_behind() == 0) return front;
  const int64_t first_behind = layout.first_added() + layout.num_added;
  return at::cat({front, stored_TN.narrow(1, first_behind, layout.num_behind())}, 1);
}

at::Tensor base_gradient(const at::Tensor& d_stored_TN, const RowLayout& layout) {
  const int64_t num_padding = layout.placement.num_padding;
  if (layout.num_displaced() == 0 && num_padding == 0 && layout.num_behind() == 0) {
    return d_stored_TN.narrow(1, 0, layout.num_base);
  }
  auto d_base_TV = at::zeros({d_stored_TN.size(0), layout.num_base}, d_stored_TN.options());
  const int64_t num_front = layout.first_added(), num_behind = layout.num_behind();
  d_base_TV.narrow(1, 0, num_front).copy_(d_stored_TN.narrow(1, 0, num_front));
  if (num_behind > 0) {
    d_base_TV.narrow(1, layout.end_displaced(), num_behind)
        .copy_(d_stored_TN.narrow(1, num_front + layout.num_added, num_behind));
  }
  if (num_padding > 0) {
    d_base_TV.narrow(1, layout.placement.padding_row, 1)
        .add_(d_stored_TN.narrow(1, layout.first_padding(), num_padding).sum(1, true));
  }
  return d_base_TV;
}

at::Tensor added_columns(const at::Tensor& stored_TN, const RowLayout& layout) {
  return stored_TN.narrow(1, layout.first_added(), layout.num_added);
}

}  // namespace polygraft::model
