// core/parallel.cpp: see parallel.h.
#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace polygraft {
namespace {

std::atomic<int> default_num_threads{0};

/// What the threads share. Tasks are handed out in order, so the earliest one that throws was
/// handed out before any later one stopped the others.
struct Shared {
  const std::function<Task()>& next;
  std::mutex mutex;
  size_t num_handed_out = 0;
  bool finished = false;
  size_t failed_index = SIZE_MAX;
  std::exception_ptr error;

  void fail(size_t index) {
    finished = true;
    if (index > failed_index) return;
    failed_index = index;
    error = std::current_exception();
  }

  /// An empty task when there is nothing left to do.
  Task take(size_t& index) {
    const std::lock_guard lock(mutex);
    if (finished) return {};
    index = num_handed_out++;
    try {
      Task task = next();
      finished = task == nullptr;
      return task;
    } catch (...) {
      fail(index);
      return {};
    }
  }

  void run(size_t thread) {
    size_t index = 0;
    while (const Task task = take(index)) {
      try {
        task(thread);
      } catch (...) {
        const std::lock_guard lock(mutex);
        fail(index);
      }
    }
  }
};

}  // namespace

size_t resolve_num_threads(int num_threads) {
  if (num_threads > 0) return static_cast<size_t>(num_threads);
  if (default_num_threads > 0) return static_cast<size_t>(default_num_threads);
  return std::max(1U, std::thread::hardware_concurrency());
}

void set_default_num_threads(int num_threads) { default_num_threads = num_threads; }

void parallel_tasks(int num_threads, const std::function<Task()>& next) {
  Shared shared{next};
  std::vector<std::thread> others;
  const size_t wanted = resolve_num_threads(num_threads);
  others.reserve(wanted - 1);
  for (size_t thread = 1; thread < wanted; ++thread) {
    try {
      others.emplace_back([&shared, thread] { shared.run(thread); });
    } catch (const std::system_error&) {
      break;  // the system has no more: results do not depend on how many there are
    }
  }
  shared.run(0);
  for (std::thread& thread : others) thread.join();
  if (shared.error) std::rethrow_exception(shared.error);
}

void parallel_for(size_t count, int num_threads, const std::function<void(size_t)>& work) {
  size_t next_index = 0;
  const auto threads = static_cast<int>(std::min(resolve_num_threads(num_threads), count));
  if (count == 0) return;
  parallel_tasks(threads, [&]() -> Task {
    if (next_index == count) return {};
    return [&work, index = next_index++](size_t) { work(index); };
  });
}

}  // namespace polygraft
