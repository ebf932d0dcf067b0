// model/architecture/expert_deal.h: which rank of a group computes which expert in one call of a
// layer. Experts that train stay where their gradients are summed: each rank has a slice of them,
// as it has of all on GPUs, whose memory has no others. Frozen ones can be computed by any rank, as
// all of a host read the same mapped weights, so they are dealt anew in every call, by the rows
// that this call has for each: the one with most rows goes to the rank with least to do (LPT;
// Graham 1969). No result depends on it.
#pragma once
#include <cstdint>
#include <vector>

#include "model/parallel/slice.h"

namespace polygraft::model {

/// What is dealt. Ids: base first, then added.
struct DealtExperts {
  int64_t num_base = 0, num_added = 0;
  bool base_trains = false, added_train = false;

  int64_t size() const { return num_base + num_added; }
};

class ExpertDeal {
 public:
  /// @param rows_of_expert of all ranks together; every rank must give the same.
  ExpertDeal(const DealtExperts& experts, const std::vector<int64_t>& rows_of_expert,
             int num_ranks);

  /// Ids of a rank's experts, ascending.
  const std::vector<int64_t>& experts_of(int rank) const {
    return experts_of_[static_cast<size_t>(rank)];
  }
  int num_ranks() const { return static_cast<int>(experts_of_.size()); }

 private:
  std::vector<std::vector<int64_t>> experts_of_;
};

}  // namespace polygraft::model
