// core/parallel.cpp: see parallel.h.
#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace polygraft {
namespace {

/// What the threads of one parallel_for share. Indices are handed out in order, so the smallest one
/// that throws has begun before any later one stops the others.
struct Shared {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  size_t failed_index = SIZE_MAX;
  std::exception_ptr error;

  void run(size_t count, const std::function<void(size_t)>& work) {
    while (!failed.load(std::memory_order_relaxed)) {
      const size_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= count) return;
      try {
        work(index);
      } catch (...) {
        const std::lock_guard lock(mutex);
        failed = true;
        if (index < failed_index) {
          failed_index = index;
          error = std::current_exception();
        }
      }
    }
  }
};

}  // namespace

int default_num_threads() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void parallel_for(size_t count, int num_threads, const std::function<void(size_t)>& work) {
  const auto wanted = static_cast<size_t>(num_threads > 0 ? num_threads : default_num_threads());
  Shared shared;
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(wanted, count); ++i) {
    others.emplace_back([&] { shared.run(count, work); });
  }
  shared.run(count, work);
  for (std::thread& thread : others) thread.join();
  if (shared.error) std::rethrow_exception(shared.error);
}

}  // namespace polygraft
