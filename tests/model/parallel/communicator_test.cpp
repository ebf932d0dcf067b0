// tests/model/parallel/communicator_test.cpp: the collectives between threads, and slices. The same
// checks run between processes in mpi_check.cpp.
#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <thread>

#include "tests/model/parallel/in_process.h"
#include "tests/model/parallel/random_exchange.h"

namespace polygraft::testing {
namespace {

using parallel::Communicator;
using parallel::RankError;
using parallel::run_in_threads;
using parallel::Timeout;

/// What the ranks found wrong.
class Findings {
 public:
  void add(const std::string& text) {
    if (text.empty()) return;
    const std::lock_guard lock(mutex_);
    all_ += text + "; ";
  }
  const std::string& all() const { return all_; }

 private:
  std::mutex mutex_;
  std::string all_;
};

}  // namespace

TEST_CASE("slices are equal but for one, in order", "[parallel]") {
  const auto count = GENERATE(0, 1, 5, 8, 1000003), num_parts = GENERATE(1, 2, 3, 7, 512);
  int64_t end = 0;
  for (int64_t part = 0; part < num_parts; ++part) {
    const auto slice = parallel::slice_of(count, part, num_parts);
    REQUIRE(slice.first == end);
    REQUIRE(std::abs(slice.count * num_parts - count) < num_parts);
    end = slice.end();
  }
  REQUIRE(end == count);
}

TEST_CASE("collectives over random sizes are right, sums in rank order", "[parallel][property]") {
  const int num_ranks = GENERATE(1, 2, 3, 5);
  Findings findings;
  run_in_threads(num_ranks, Timeout(20000), [&](Communicator& world) {
    for (uint64_t seed = 0; seed < 12; ++seed) findings.add(wrong_collective(world, seed));
  });
  CHECK(findings.all().empty());
}

TEST_CASE("a sum in another order would be noticed", "[parallel]") {
  const auto a = random_addends(1, 0, 1000), b = random_addends(1, 1, 1000),
             c = random_addends(1, 2, 1000);
  int num_different = 0;
  for (size_t i = 0; i < a.size(); ++i)
    num_different += (a[i] + b[i]) + c[i] != a[i] + (b[i] + c[i]);
  CHECK(num_different > 10);
}

TEST_CASE("subgroups do not hear one another", "[parallel]") {
  Findings findings;
  run_in_threads(4, Timeout(20000), [&](Communicator& world) {
    const int half = world.rank() / 2;
    const auto rows = world.subgroup({2 * half, 2 * half + 1});
    const auto columns = world.subgroup({world.rank() % 2, world.rank() % 2 + 2});
    RandomExchange in_row(*rows, 5), in_column(*columns, 6), in_world(world, 7);
    if (!in_world.is_right() || !in_column.is_right() || !in_row.is_right())
      findings.add("mixed up");
    findings.add(wrong_collective(*columns, 8));
  });
  CHECK(findings.all().empty());
}

TEST_CASE("a rank that throws ends the others' waits, and its own error arrives",
          "[parallel][fault]") {
  std::atomic<int> told{0};
  const auto start = std::chrono::steady_clock::now();
  const auto work = [&](Communicator& world) {
    if (world.rank() == 1) throw NumericError("loss", "is not finite");
    try {
      world.barrier();
    } catch (const RankError& error) {
      told += std::string(error.what()).find("rank 1") != std::string::npos;
      throw;
    }
  };
  CHECK_THROWS_AS(run_in_threads(3, Timeout(60000), work), NumericError);
  CHECK(told == 2);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));
}

TEST_CASE("a rank that does not answer is named after the timeout", "[parallel][fault]") {
  std::atomic<bool> is_over{false};
  const auto work = [&](Communicator& world) {
    if (world.rank() == 1) {
      while (!is_over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return;
    }
    try {
      world.barrier();
    } catch (const RankError&) {
      is_over = true;
      throw;
    }
  };
  CHECK_THROWS_WITH(run_in_threads(2, Timeout(50), work),
                    Catch::Contains("rank 1") && Catch::Contains("does not answer"));
}

}  // namespace polygraft::testing
