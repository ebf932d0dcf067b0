// trainer/parallel/shares.cpp: see shares.h.
#include "trainer/parallel/shares.h"

#include <algorithm>

#include "trainer/optim/adamw.h"

namespace polygraft::trainer {
namespace {

using parallel::Slice;

/// Places between two elements of the vector, ascending, where a share may end.
std::vector<int64_t> places_to_cut(const std::vector<Shares::Leaf>& leaves) {
  std::vector<int64_t> places;
  for (const Shares::Leaf& leaf : leaves) {
    const int64_t step = leaf.is_cut ? kBlockElements : leaf.elements.count;
    for (int64_t place = leaf.elements.first; place < leaf.elements.end(); place += step) {
      places.push_back(place);
    }
  }
  places.push_back(leaves.empty() ? 0 : leaves.back().elements.end());
  return places;
}

/// @param places ascending, some.
int64_t nearest(const std::vector<int64_t>& places, int64_t wanted) {
  const auto after = std::lower_bound(places.begin(), places.end() - 1, wanted);
  if (after == places.begin()) return *after;
  return wanted - *(after - 1) < *after - wanted ? *(after - 1) : *after;
}

at::Tensor part_of(const Shares::Leaf& leaf, Slice elements) {
  if (elements.count == 0) return {};
  if (elements.count == leaf.elements.count) return leaf.value;
  return leaf.value.detach().view({-1}).narrow(0, elements.first - leaf.elements.first,
                                               elements.count);
}

}  // namespace

Slice common(Slice a, Slice b) {
  const int64_t first = std::max(a.first, b.first);
  return {first, std::max<int64_t>(std::min(a.end(), b.end()) - first, 0)};
}

Shares::Shares(const Parameters& parameters, int rank, int num_ranks)
    : parameters_(parameters), rank_(rank) {
  for (const Parameter& parameter : parameters_) add_leaf(parameter);
  cut(num_ranks);
  for (size_t i = 0; i < leaves_.size(); ++i) {
    leaves_[i].own = part_of(leaves_[i], of_leaf(rank_, i));
  }
}

void Shares::add_leaf(const Parameter& parameter) {
  const at::Tensor& value = parameter.made.defined() ? parameter.made : parameter.value;
  if (leaves_.empty() || !leaves_.back().value.is_same(value)) {
    const int64_t first = leaves_.empty() ? 0 : leaves_.back().elements.end();
    leaves_.push_back(
        {parameter.name, value, {first, value.numel()}, /*is_cut=*/!parameter.made.defined()});
  }
  leaf_of_.push_back(leaves_.size() - 1);
}

void Shares::cut(int num_ranks) {
  const std::vector<int64_t> places = places_to_cut(leaves_);
  for (int r = 0; r <= num_ranks; ++r) {
    first_.push_back(nearest(places, places.back() * r / num_ranks));
  }
}

Slice Shares::of(int rank) const {
  const auto r = static_cast<size_t>(rank);
  return {first_[r], first_[r + 1] - first_[r]};
}

Slice Shares::of_leaf(int rank, size_t leaf) const {
  return common(of(rank), leaves_[leaf].elements);
}

Slice Shares::of_parameter(int rank, size_t parameter) const {
  const size_t leaf = leaf_of_[parameter];
  const Slice elements = of_leaf(rank, leaf);
  if (elements.count == 0) return {};
  if (parameters_[parameter].made.defined()) return {0, parameters_[parameter].value.numel()};
  return {elements.first - leaves_[leaf].elements.first, elements.count};
}

Parameters Shares::own_parameters() const {
  Parameters own;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (of_parameter(rank_, i).count == 0) continue;
    own.push_back(parameters_[i]);
    if (!own.back().made.defined()) own.back().value = leaves_[leaf_of_[i]].own;
  }
  return own;
}

}  // namespace polygraft::trainer
