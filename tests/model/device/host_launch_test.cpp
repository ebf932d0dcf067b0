// tests/model/device/host_launch_test.cpp: the host launcher notices what a GPU would not: accesses
// outside a view, missing barriers, blocks that depend on each other.
#include "tests/model/device/problem.h"

namespace polygraft::testing {
namespace {

using device::AccessError;
using device::launch_on_host;
using device::Place;
using device::SharedArray;
using device::ThreadOrder;

constexpr ThreadOrder kOrders[] = {ThreadOrder::kForward, ThreadOrder::kReverse,
                                   ThreadOrder::kShuffled};

struct OneBlock {
  static constexpr int kThreads = 4, kPhases = 1;
  struct Shared {
    SharedArray<int, 4> values;
  };
  View<int> out;
  int64_t num_blocks() const { return 1; }
};

struct OutsideView : OneBlock {
  template <int Phase>
  void run(Place at, Shared&) const {
    out.write(at.thread + 1, 0);
  }
};

struct TwoWriters : OneBlock {
  template <int Phase>
  void run(Place at, Shared&) const {
    out.write(at.thread / 2, at.thread);
  }
};

/// Every thread reads its neighbour's value, with a barrier before or without.
template <bool HasBarrier>
struct Neighbours : OneBlock {
  static constexpr int kPhases = HasBarrier ? 2 : 1;
  template <int Phase>
  void run(Place at, Shared& shared) const {
    if (Phase == 0) shared.values.write(at.thread, at.thread * at.thread);
    if (Phase == kPhases - 1) out.write(at.thread, shared.values.read((at.thread + 1) % kThreads));
  }
};

/// Two blocks of one thread; `Writes` and `Reads` say which element.
template <bool SecondReads>
struct TwoBlocks {
  static constexpr int kThreads = 1, kPhases = 1;
  struct Shared {};
  View<int> out;
  int64_t num_blocks() const { return 2; }
  template <int Phase>
  void run(Place at, Shared&) const {
    if (SecondReads && at.block == 1) {
      out.write(1, out.read(0));
    } else {
      out.write(0, 1);
    }
  }
};

/// What lies in shared memory that nobody has written.
struct UnwrittenShared : OneBlock {
  template <int Phase>
  void run(Place at, Shared& shared) const {
    out.write(at.thread, shared.values.read(at.thread));
  }
};

}  // namespace

TEST_CASE("the host launcher refuses accesses that a barrier or a bound should have stopped",
          "[device]") {
  std::vector<int> out(4);
  for (const ThreadOrder order : kOrders) {
    REQUIRE_THROWS_AS(launch_on_host(OutsideView{{writable(out)}}, order), AccessError);
    REQUIRE_THROWS_AS(launch_on_host(TwoWriters{{writable(out)}}, order), AccessError);
    REQUIRE_THROWS_AS(launch_on_host(Neighbours<false>{{writable(out)}}, order), AccessError);
    REQUIRE_THROWS_AS(launch_on_host(TwoBlocks<false>{writable(out)}, order), AccessError);
    REQUIRE_THROWS_AS(launch_on_host(TwoBlocks<true>{writable(out)}, order), AccessError);
  }
}

TEST_CASE("the host launcher orders what a barrier orders", "[device]") {
  for (const ThreadOrder order : kOrders) {
    std::vector<int> out(4);
    launch_on_host(Neighbours<true>{{writable(out)}}, order);
    REQUIRE(out == std::vector<int>{1, 4, 9, 0});
  }
}

TEST_CASE("a block's shared memory is not zero when it starts", "[device]") {
  std::vector<int> out(4);
  launch_on_host(UnwrittenShared{{writable(out)}}, ThreadOrder::kForward);
  REQUIRE(out == std::vector<int>{-1, -1, -1, -1});
}

TEST_CASE("bfloat16 rounds to the nearest, ties to even, and keeps infinities and NaN",
          "[device]") {
  const auto rounded = [](float value) { return device::to_float(device::to_bfloat16(value)); };
  const float step = 1.0f / 128;
  REQUIRE(rounded(1.0f + 0.5f * step) == 1.0f);
  REQUIRE(rounded(1.0f + 1.5f * step) == 1.0f + 2 * step);
  REQUIRE(rounded(-1.0f - 0.75f * step) == -1.0f - step);
  REQUIRE(std::isinf(rounded(std::numeric_limits<float>::max())));
  REQUIRE(std::isinf(rounded(std::numeric_limits<float>::infinity())));
  REQUIRE(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("eight values lie in one access as they lie in memory", "[device]") {
  BFloat16 values[device::kLanes];
  for (int i = 0; i < device::kLanes; ++i) values[i] = device::to_bfloat16(static_cast<float>(i));
  Lanes lanes;
  std::memcpy(&lanes, values, sizeof lanes);
  const device::Floats floats = device::to_floats(lanes);
  for (int i = 0; i < device::kLanes; ++i) REQUIRE(floats.values[i] == static_cast<float>(i));
  const Lanes back = device::to_lanes(floats);
  REQUIRE(std::memcmp(&back, values, sizeof back) == 0);
}

}  // namespace polygraft::testing
