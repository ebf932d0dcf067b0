// model/device/host_launch.h: runs a body on the host, block by block and phase by phase, with
// every access checked (access_check.h). Blocks and the threads of a phase run in the order asked
// for: a body whose result depends on it lacks a barrier. Slow; for tests.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <type_traits>
#include <vector>

#include "model/device/access_check.h"
#include "model/device/body.h"

namespace polygraft::device {

enum class ThreadOrder { kForward, kReverse, kShuffled };

namespace host {

/// 0 .. count - 1 in the order asked for; a new shuffle each time.
class Order {
 public:
  Order(ThreadOrder order, uint64_t seed) : order_(order), random_(seed) {}

  std::vector<int64_t> of(int64_t count) {
    std::vector<int64_t> places(static_cast<size_t>(count));
    std::iota(places.begin(), places.end(), int64_t{0});
    if (order_ == ThreadOrder::kReverse) std::reverse(places.begin(), places.end());
    if (order_ == ThreadOrder::kShuffled) std::shuffle(places.begin(), places.end(), random_);
    return places;
  }

 private:
  ThreadOrder order_;
  std::mt19937_64 random_;
};

template <int Phase, class Body>
void run_phases(const Body& body, int64_t block, typename Body::Shared& shared, Order& order,
                AccessWatch& watch) {
  for (const int64_t thread : order.of(Body::kThreads)) {
    watch.enter(Phase, static_cast<int>(thread));
    body.template run<Phase>(Place{block, static_cast<int>(thread)}, shared);
  }
  if constexpr (Phase + 1 < Body::kPhases) {
    run_phases<Phase + 1>(body, block, shared, order, watch);
  }
}

}  // namespace host

/// @throws AccessError for an access outside a view or the memory, or one that a barrier should
/// have ordered.
template <class Body>
void launch_on_host(const Body& body, ThreadOrder thread_order, DeviceMemory memory = {},
                    uint64_t seed = 1) {
  using Shared = typename Body::Shared;
  static_assert(std::is_trivially_copyable_v<Shared>, "shared memory has no constructors");
  AccessWatch watch(memory);
  host::Order order(thread_order, seed);
  const auto shared = std::make_unique<Shared>();
  for (const int64_t block : order.of(body.num_blocks())) {
    // What a block finds there is not zero: all ones are NaN, and -1.
    std::memset(static_cast<void*>(shared.get()), 0xFF, sizeof(Shared));
    watch.enter_block(block, shared.get(), sizeof(Shared));
    host::run_phases<0>(body, block, *shared, order, watch);
  }
}

}  // namespace polygraft::device
