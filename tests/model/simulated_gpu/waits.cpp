// tests/model/simulated_gpu/waits.cpp: see waits.h.
#include "tests/model/simulated_gpu/waits.h"

#include <algorithm>
#include <array>
#include <mutex>

#include "core/text.h"
#include "tests/model/simulated_gpu/simulated_gpu.h"

namespace polygraft::testing {
namespace {

/// Of one GPU's exchanges: the last one's number.
struct Exchanges {
  uint64_t begun = 0, followed = 0, waited_for = 0;
};

struct Waits {
  std::mutex mutex;
  std::vector<std::string> seen;  ///< in that order
  std::array<Exchanges, kNumGpus> exchanges;

  Exchanges& of(int gpu) { return exchanges.at(static_cast<size_t>(gpu)); }
};

Waits waits;

}  // namespace

void note_wait(int gpu, const std::string& what) {
  const std::lock_guard lock(waits.mutex);
  waits.seen.push_back(what);
  if (waits.of(gpu).followed <= waits.of(gpu).waited_for) return;
  throw GpuError(concat(what, ": the CPU waits for GPU ", gpu,
                        ", which follows an exchange that may never end"));
}

uint64_t begin_exchange(int gpu) {
  const std::lock_guard lock(waits.mutex);
  return ++waits.of(gpu).begun;
}

void follow_exchange(int gpu, uint64_t number) {
  const std::lock_guard lock(waits.mutex);
  waits.of(gpu).followed = std::max(waits.of(gpu).followed, number);
}

void wait_for_exchange(int gpu, uint64_t number, const std::optional<std::string>& what) {
  const std::lock_guard lock(waits.mutex);
  if (what.has_value()) waits.seen.push_back(*what);
  waits.of(gpu).waited_for = std::max(waits.of(gpu).waited_for, number);
}

void forget_exchanges(int gpu) {
  const std::lock_guard lock(waits.mutex);
  waits.of(gpu) = {};
}

std::vector<std::string> waits_from(size_t first) {
  const std::lock_guard lock(waits.mutex);
  const size_t begin = std::min(first, waits.seen.size());
  return {waits.seen.begin() + static_cast<ptrdiff_t>(begin), waits.seen.end()};
}

}  // namespace polygraft::testing
