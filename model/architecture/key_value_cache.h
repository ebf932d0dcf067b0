// model/architecture/key_value_cache.h: keys and values of the tokens that one sequence has seen,
// so that continuing it computes the new tokens alone. For generation; nothing here is
// differentiated. Legend: P tokens seen so far, J key/value heads, C channels of a head.
#pragma once
#include <ATen/ATen.h>

#include <vector>

namespace polygraft::model {

/// Rows in memory that doubles when it is full, so that to add one costs the same however many
/// there are.
class GrowingRows {
 public:
  GrowingRows() = default;
  GrowingRows(GrowingRows&&) noexcept = default;  // a copy would go on in the same memory
  GrowingRows& operator=(GrowingRows&&) noexcept = default;

  /// A view [P, J, C]; undefined before the first.
  const at::Tensor& rows() const { return rows_PJC_; }
  void append(const at::Tensor& more_TJC) {
    const int64_t before = rows_PJC_.defined() ? rows_PJC_.size(0) : 0;
    const int64_t count = before + more_TJC.size(0);
    if (before == 0 || memory_.size(0) < count) {
      memory_ = at::empty({2 * count, more_TJC.size(1), more_TJC.size(2)}, more_TJC.options());
      if (before > 0) memory_.narrow(0, 0, before).copy_(rows_PJC_);
    }
    memory_.narrow(0, before, more_TJC.size(0)).copy_(more_TJC);
    rows_PJC_ = memory_.narrow(0, 0, count);
  }

 private:
  at::Tensor memory_, rows_PJC_;
};

/// One layer's part. Keys have their rotary positions applied.
struct LayerCache {
  GrowingRows key, value;
};

struct KeyValueCache {
  std::vector<LayerCache> layers;  ///< empty before the first token
  int64_t num_tokens = 0;
};

}  // namespace polygraft::model
