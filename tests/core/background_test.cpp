// tests/core/background_test.cpp: order, bounds, and errors of work in the background.
#include "core/background.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <vector>

using namespace polygraft;

TEST_CASE("background work is done in order, never much more than the bound ahead", "[core]") {
  constexpr uint64_t kBound = 10;
  std::vector<int> done;
  std::atomic<int> num_done = 0;
  int most_ahead = 0;
  BackgroundWork background(kBound);
  for (int i = 0; i < 200; ++i) {
    background.add(3, [&, i] {
      done.push_back(i);
      ++num_done;
    });
    most_ahead = std::max(most_ahead, i + 1 - num_done);
  }
  background.finish();
  CHECK(done.size() == 200);
  CHECK(std::is_sorted(done.begin(), done.end()));
  CHECK(most_ahead <= 5);  // 4 x 3 reach the bound; one more is done, not yet taken off
}

TEST_CASE("an error of background work reaches the caller and ends it", "[core]") {
  std::atomic<int> num_done = 0;
  const auto run = [&](int failing) {
    num_done = 0;
    BackgroundWork background(1);
    for (int i = 0; i < 50; ++i) {
      background.add(1, [&, i] {
        if (i == failing) throw std::runtime_error("piece " + std::to_string(i));
        ++num_done;
      });
    }
    background.finish();
  };
  CHECK_THROWS_WITH(run(7), "piece 7");
  CHECK(num_done == 7);
  CHECK_THROWS_WITH(run(49), "piece 49");
  CHECK_NOTHROW(run(-1));
}

TEST_CASE("background work that was not waited for is dropped", "[core]") {
  std::atomic<bool> go = false;
  std::atomic<int> num_done = 0;
  {
    BackgroundWork background(1000);
    for (int i = 0; i < 100; ++i) {
      background.add(1, [&] {
        while (!go) std::this_thread::yield();
        ++num_done;
      });
    }
    go = true;
  }
  CHECK(num_done <= 100);
}
