// tests/model/parallel/standstill_test.cpp: a process that stands still is noticed, and no other.
#include "model/parallel/standstill.h"

#include <atomic>
#include <catch2/catch.hpp>

namespace polygraft::parallel {
namespace {

using namespace std::chrono_literals;

/// Until it has happened, or for a time in which it should have.
bool happens(const std::atomic<int>& count) {
  for (int i = 0; i < 1000 && count == 0; ++i) std::this_thread::sleep_for(10ms);
  return count > 0;
}

}  // namespace

TEST_CASE("a process that does not go on is noticed once", "[parallel]") {
  std::atomic<int> count = 0;
  Standstill standstill([&] { ++count; });
  standstill.expect_more_within(10s);
  standstill.expect_more_within(1ms);
  CHECK(happens(count));
  std::this_thread::sleep_for(100ms);
  CHECK(count == 1);
}

TEST_CASE("a process that goes on, is done or ends does not stand still", "[parallel]") {
  std::atomic<int> count = 0;
  {
    Standstill standstill([&] { ++count; });
    standstill.expect_more_within(0ms);
    standstill.expect_more_within(100s);
    std::this_thread::sleep_for(100ms);
    standstill.expect_more_within(200ms);
    standstill.done();
    std::this_thread::sleep_for(300ms);
    standstill.expect_more_within(100s);
  }
  CHECK(count == 0);
}

}  // namespace polygraft::parallel
