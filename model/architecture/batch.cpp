// model/architecture/batch.cpp: see batch.h.
#include "model/architecture/batch.h"

#include <algorithm>
#include <numeric>

namespace polygraft::model {

const std::vector<int64_t>& Batch::branches_of(size_t sequence) const {
  static const std::vector<int64_t> none;
  return branches.empty() ? none : branches.at(sequence);
}

int64_t Batch::num_positions(size_t sequence) const {
  const std::vector<int64_t>& own = branches_of(sequence);
  if (own.empty()) return lengths.at(sequence);
  const int64_t trunk = lengths.at(sequence) - std::accumulate(own.begin(), own.end(), int64_t{0});
  return trunk + *std::max_element(own.begin(), own.end());
}

at::Tensor token_positions(const Batch& batch) {
  std::vector<int64_t> positions;
  positions.reserve(static_cast<size_t>(batch.ids_T.numel()));
  const auto count = [&positions](int64_t first, int64_t length) {
    for (int64_t i = 0; i < length; ++i) positions.push_back(first + i);
  };
  for (size_t s = 0; s < batch.lengths.size(); ++s) {
    const std::vector<int64_t>& branches = batch.branches_of(s);
    const int64_t trunk =
        std::accumulate(branches.begin(), branches.end(), batch.lengths[s], std::minus<>());
    count(0, trunk);
    for (const int64_t length : branches) count(trunk, length);
  }
  return at::tensor(positions, at::kLong);
}

}  // namespace polygraft::model
