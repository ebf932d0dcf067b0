// model/kernels/for_rows.h: work on rows that have nothing to do with one another, handed out in
// stretches that are worth it.
#pragma once
#include <algorithm>
#include <cstdint>

#include "model/kernels/moe.h"

namespace polygraft::kernels {

/// Calls each(row) for all rows of some width, many at a time.
template <class Each>
void for_rows(const Runner& runner, int64_t num_rows, int64_t width, const Each& each) {
  constexpr int64_t kTaskElements = 16384;  // what is worth handing to another thread
  const int64_t step = std::max<int64_t>(kTaskElements / std::max<int64_t>(width, 1), 1);
  runner.threads.run((num_rows + step - 1) / step, [&](int64_t task) {
    const int64_t end = std::min(num_rows, (task + 1) * step);
    for (int64_t row = task * step; row < end; ++row) each(row);
  });
}

}  // namespace polygraft::kernels
