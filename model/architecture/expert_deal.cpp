// model/architecture/expert_deal.cpp: see expert_deal.h.
#include "model/architecture/expert_deal.h"

#include <algorithm>
#include <numeric>

namespace polygraft::model {
namespace {

/// Products with an expert's matrices for each of its rows: forward, gradient of its input, and
/// that of its weights where they train.
constexpr int64_t kPassesFrozen = 2, kPassesTrained = 3;

/// Experts [first, first + count) in equal slices.
void deal_slices(int64_t first, int64_t count, const std::vector<int64_t>& rows_of_expert,
                 std::vector<std::vector<int64_t>>& experts_of, std::vector<int64_t>& load) {
  const auto num_ranks = static_cast<int64_t>(experts_of.size());
  for (int64_t rank = 0; rank < num_ranks; ++rank) {
    const auto r = static_cast<size_t>(rank);
    const parallel::Slice slice = parallel::slice_of(count, rank, num_ranks);
    for (int64_t e = first + slice.first; e < first + slice.end(); ++e) {
      experts_of[r].push_back(e);
      load[r] += kPassesTrained * rows_of_expert[static_cast<size_t>(e)];
    }
  }
}

/// Experts [first, first + count) by their rows, on top of what ranks have to do already.
void deal_by_rows(int64_t first, int64_t count, const std::vector<int64_t>& rows_of_expert,
                  std::vector<std::vector<int64_t>>& experts_of, std::vector<int64_t>& load) {
  const auto rows = [&](int64_t expert) { return rows_of_expert[static_cast<size_t>(expert)]; };
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), first);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return rows(a) > rows(b); });
  for (const int64_t expert : order) {
    const auto least = std::min_element(load.begin(), load.end());
    *least += kPassesFrozen * rows(expert);
    experts_of[static_cast<size_t>(least - load.begin())].push_back(expert);
  }
}

}  // namespace

ExpertDeal::ExpertDeal(const DealtExperts& experts, const std::vector<int64_t>& rows_of_expert,
                       int num_ranks)
    : experts_of_(static_cast<size_t>(num_ranks)) {
  std::vector<int64_t> load(static_cast<size_t>(num_ranks), 0);
  struct Part {
    int64_t first, count;
    bool trains;
  };
  const Part parts[] = {{0, experts.num_base, experts.base_trains},
                        {experts.num_base, experts.num_added, experts.added_train}};
  for (const Part& part : parts) {
    if (part.trains) deal_slices(part.first, part.count, rows_of_expert, experts_of_, load);
  }
  for (const Part& part : parts) {
    if (!part.trains) deal_by_rows(part.first, part.count, rows_of_expert, experts_of_, load);
  }
  for (std::vector<int64_t>& ids : experts_of_) std::sort(ids.begin(), ids.end());
}

}  // namespace polygraft::model
