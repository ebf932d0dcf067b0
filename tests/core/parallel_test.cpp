// tests/core/parallel_test.cpp
#include "core/parallel.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace polygraft {

TEST_CASE("every index is worked on once, whatever the number of threads", "[core]") {
  for (const int num_threads : {0, 1, 2, 7, 200}) {
    std::vector<std::atomic<int>> calls(100);
    parallel_for(calls.size(), num_threads, [&](size_t i) { ++calls[i]; });
    for (const auto& count : calls) CHECK(count == 1);
  }
  parallel_for(0, 4, [](size_t) { FAIL("there is nothing to do"); });
}

TEST_CASE("the exception of the smallest index arrives", "[core]") {
  for (int round = 0; round < 50; ++round) {
    std::string message;
    try {
      parallel_for(100, 4, [](size_t i) {
        if (i >= 10) throw std::runtime_error(std::to_string(i));
      });
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    CHECK(message == "10");
  }
}

}  // namespace polygraft
