// model/architecture/key_value_cache.h: keys and values of the tokens that one sequence has seen,
// so that continuing it computes the new tokens alone. For generation; nothing here is
// differentiated. Legend: P tokens seen so far, J key/value heads, C channels of a head.
#pragma once
#include <ATen/ATen.h>

#include <vector>

namespace polygraft::model {

/// One layer's part. Keys have their rotary positions applied.
struct LayerCache {
  at::Tensor key_PJC, value_PJC;  ///< undefined before the first token
};

struct KeyValueCache {
  std::vector<LayerCache> layers;  ///< empty before the first token
  int64_t num_tokens = 0;
};

}  // namespace polygraft::model
