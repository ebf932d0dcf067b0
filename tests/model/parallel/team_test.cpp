// tests/model/parallel/team_test.cpp: items shared out over ranks, and pieces of a result
// delivered.
#include "model/parallel/team.h"

#include <catch2/catch.hpp>
#include <mutex>

#include "core/error.h"
#include "tests/model/parallel/in_process.h"
#include "tests/model/parallel/random_exchange.h"

namespace polygraft::testing {
namespace {

using parallel::Communicator;
using parallel::Deliveries;
using parallel::run_in_threads;
using parallel::Team;
using parallel::Timeout;

constexpr Timeout kTimeout(60000);
constexpr size_t kNumPieces = 9;

/// Piece by piece, on the rank that makes it; zeros elsewhere.
std::vector<std::vector<std::byte>> made_pieces(const Team& team) {
  std::vector<std::vector<std::byte>> pieces;
  for (size_t i = 0; i < kNumPieces; ++i) {
    pieces.push_back(random_part(i, 0, 0));
    if (!team.owns(i)) std::fill(pieces[i].begin(), pieces[i].end(), std::byte{0});
  }
  return pieces;
}

}  // namespace

TEST_CASE("every item is one rank's, in turn", "[parallel]") {
  const int num_ranks = GENERATE(1, 2, 3);
  std::mutex mutex;
  std::vector<int> owners(7, -1);
  run_in_threads(num_ranks, kTimeout, [&](Communicator& world) {
    const Team team(&world);
    const std::lock_guard lock(mutex);
    for (size_t i = 0; i < owners.size(); ++i) {
      if (team.owns(i)) owners[i] = owners[i] == -1 ? team.rank() : -2;
    }
  });
  for (size_t i = 0; i < owners.size(); ++i) CHECK(owners[i] == static_cast<int>(i) % num_ranks);
}

TEST_CASE("pieces come to all, or to the one that needs them", "[parallel]") {
  const int num_ranks = GENERATE(1, 2, 4);
  int num_wrong = 0;
  std::mutex mutex;
  run_in_threads(num_ranks, kTimeout, [&](Communicator& world) {
    const Team team(&world);
    const int last = team.size() - 1;
    auto shared = made_pieces(team), collected = made_pieces(team);
    Deliveries deliveries(team);
    for (size_t i = 0; i < kNumPieces; ++i) {
      deliveries.to_all(team.owner_of(i), shared[i]);
      deliveries.to_one(team.owner_of(i), last, collected[i]);
    }
    deliveries.wait();
    const std::lock_guard lock(mutex);
    for (size_t i = 0; i < kNumPieces; ++i) {
      const auto whole = random_part(i, 0, 0);
      num_wrong += shared[i] != whole;
      num_wrong += collected[i] != (team.rank() == last ? whole : made_pieces(team)[i]);
    }
  });
  CHECK(num_wrong == 0);
}

TEST_CASE("a process alone owns everything and waits for nobody", "[parallel]") {
  const Team alone;
  CHECK((alone.is_alone() && alone.is_first() && alone.size() == 1 && alone.owns(5)));
  alone.wait_for_all();
  alone.throw_if_stopped();
  alone.require_same("anything");
  std::vector<std::byte> piece(3, std::byte{7});
  Deliveries deliveries(alone);
  deliveries.to_all(0, piece);
  deliveries.to_one(0, 0, piece);
  deliveries.wait();
  CHECK(piece == std::vector<std::byte>(3, std::byte{7}));
}

TEST_CASE("the first rank that is about to do something else is named", "[parallel][fault]") {
  const auto work = [](Communicator& world) {
    const Team team(&world);
    team.require_same("the same");
    team.require_same(world.rank() < 2 ? "the same" : "another");
  };
  CHECK_THROWS_AS(run_in_threads(4, kTimeout, work), ConfigError);
  CHECK_THROWS_WITH(run_in_threads(4, kTimeout, work), Catch::Contains("rank 2"));
}

}  // namespace polygraft::testing
