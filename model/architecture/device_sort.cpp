// model/architecture/device_sort.cpp: see device_sort.h.
#include "model/architecture/device_sort.h"

#include <limits>

#include "core/error.h"
#include "core/text.h"
#include "model/architecture/device_views.h"

namespace polygraft::model {
namespace {

void require_countable(int64_t num_rows, int64_t top_k) {
  if (num_rows <= std::numeric_limits<int32_t>::max()) return;
  throw ConfigError("batch", "has more rows than an int32 counts")
      .found(concat(num_rows / top_k, " tokens, top-k ", top_k))
      .hint("fewer tokens at once");
}

}  // namespace

DeviceSums sums_before(device::Executor& executor, const at::Tensor& in_GC) {
  auto total = at::empty({in_GC.size(0)}, in_GC.options());
  executor.run(device::ExclusiveScan{device_view<const int32_t>(in_GC), device_view<int32_t>(in_GC),
                                     device_view<int32_t>(total), in_GC.size(1)});
  return {in_GC, total};
}

at::Tensor firsts_of(device::Executor& executor, const at::Tensor& size_n) {
  const int64_t count = size_n.size(0);
  auto first = at::empty({count + 1}, size_n.options());
  executor.run(device::ExclusiveScan{device_view<const int32_t>(size_n),
                                     device_view<int32_t>(first.narrow(0, 0, count)),
                                     device_view<int32_t>(first.narrow(0, count, 1)), count});
  return first;
}

DeviceSortedSlots sort_slots_on_device(device::Executor& executor, const at::Tensor& expert_R,
                                       device::Groups groups, int64_t top_k) {
  const int64_t num_rows = expert_R.numel();
  require_countable(num_rows, top_k);
  const auto options = expert_R.options();
  const int64_t num_chunks = device::blocks_of(num_rows, device::kSlotsPerChunk);
  const auto count_NC = at::empty({groups.count(), num_chunks}, options);
  const auto view = device_view<const int32_t>(expert_R);
  executor.run(device::CountSlots{view, device_view<int32_t>(count_NC), groups});
  const DeviceSums sums = sums_before(executor, count_NC);
  DeviceSortedSlots sorted{firsts_of(executor, sums.total), at::empty({num_rows}, options),
                           at::empty({num_rows}, options), at::empty({num_rows}, options)};
  executor.run(device::PlaceSlots{
      view, device_view<const int32_t>(sums.before), device_view<const int32_t>(sorted.first_row),
      device_view<int32_t>(sorted.row_of_slot), device_view<int32_t>(sorted.slot_of_row),
      device_view<int32_t>(sorted.token_of_row), groups, static_cast<int32_t>(top_k)});
  return sorted;
}

}  // namespace polygraft::model
