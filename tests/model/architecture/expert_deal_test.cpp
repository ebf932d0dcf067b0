// tests/model/architecture/expert_deal_test.cpp: every expert has one rank; those that train lie in
// slices; frozen ones even the ranks' work out.
#include "model/architecture/expert_deal.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "core/random.h"

namespace polygraft::testing {
namespace {

using model::DealtExperts;
using model::ExpertDeal;

std::vector<int64_t> random_rows(int64_t num_experts, uint64_t seed) {
  RandomStream random(seed, "expert_deal_test");
  std::vector<int64_t> rows;
  for (int64_t e = 0; e < num_experts; ++e) {
    const auto most = random.below(4) == 0 ? 400 : 40;  // few experts have most rows
    rows.push_back(static_cast<int64_t>(random.below(most)));
  }
  return rows;
}

/// Products with rows: frozen experts have two for each, trained ones three.
std::vector<int64_t> loads(const ExpertDeal& deal, const DealtExperts& experts,
                           const std::vector<int64_t>& rows) {
  std::vector<int64_t> loads;
  for (int r = 0; r < deal.num_ranks(); ++r) {
    int64_t& load = loads.emplace_back(0);
    for (const int64_t e : deal.experts_of(r)) {
      const bool trains = e < experts.num_base ? experts.base_trains : experts.added_train;
      load += (trains ? 3 : 2) * rows[static_cast<size_t>(e)];
    }
  }
  return loads;
}

}  // namespace

TEST_CASE("every expert is dealt to one rank", "[model][moe][parallel]") {
  const int num_ranks = GENERATE(1, 2, 3, 8);
  const auto experts = GENERATE(DealtExperts{16, 8, false, true}, DealtExperts{5, 0, false, false},
                                DealtExperts{3, 4, true, true}, DealtExperts{1, 1, false, false});
  const auto rows = random_rows(experts.size(), static_cast<uint64_t>(num_ranks));
  const ExpertDeal deal(experts, rows, num_ranks);
  std::vector<int64_t> all;
  for (int r = 0; r < num_ranks; ++r) {
    const auto& ids = deal.experts_of(r);
    CHECK(std::is_sorted(ids.begin(), ids.end()));
    all.insert(all.end(), ids.begin(), ids.end());
  }
  std::sort(all.begin(), all.end());
  std::vector<int64_t> expected(static_cast<size_t>(experts.size()));
  std::iota(expected.begin(), expected.end(), 0);
  CHECK(all == expected);
}

TEST_CASE("experts that train are dealt in slices, whatever their rows", "[model][moe][parallel]") {
  const DealtExperts experts{6, 5, false, true};
  const ExpertDeal deal(experts, {0, 0, 0, 0, 0, 0, 900, 0, 1, 5, 80}, 2);
  const auto added_of = [&](int rank) {
    std::vector<int64_t> ids = deal.experts_of(rank);
    ids.erase(ids.begin(), std::lower_bound(ids.begin(), ids.end(), experts.num_base));
    return ids;
  };
  CHECK(added_of(0) == std::vector<int64_t>{6, 7});
  CHECK(added_of(1) == std::vector<int64_t>{8, 9, 10});
}

TEST_CASE("frozen experts go where least is to do", "[model][moe][parallel]") {
  const DealtExperts experts{24, 8, false, true};
  const int num_ranks = GENERATE(2, 3, 4);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto rows = random_rows(experts.size(), seed);
    const auto by_rank = loads(ExpertDeal(experts, rows, num_ranks), experts, rows);
    const int64_t total = std::accumulate(by_rank.begin(), by_rank.end(), int64_t{0});
    const int64_t largest = 3 * *std::max_element(rows.begin(), rows.end());
    const auto most = *std::max_element(by_rank.begin(), by_rank.end());
    // A rank that ends with most had least before its last frozen expert (Graham's argument), or
    // has a slice of trained ones that alone is as much.
    std::vector<int64_t> trained_alone = rows;
    std::fill(trained_alone.begin(), trained_alone.begin() + experts.num_base, 0);
    const auto slices =
        loads(ExpertDeal(experts, trained_alone, num_ranks), experts, trained_alone);
    const int64_t slice = *std::max_element(slices.begin(), slices.end());
    CHECK(most <= std::max(slice, total / num_ranks + largest));
  }
  // Where nothing trains and one expert has half of the rows, the others are one rank's.
  const ExpertDeal deal({5, 0, false, false}, {10, 40, 10, 10, 10}, 2);
  CHECK(deal.experts_of(0) == std::vector<int64_t>{1});
  CHECK(deal.experts_of(1) == std::vector<int64_t>{0, 2, 3, 4});
}

}  // namespace polygraft::testing
