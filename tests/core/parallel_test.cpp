// tests/core/parallel_test.cpp
#include "core/parallel.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
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

TEST_CASE("where the system has no more threads, those there are do the work", "[core]") {
  const pid_t child = fork();
  if (child == 0) {
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t bytes = static_cast<rlim_t>(pages * getpagesize()) + (64U << 20U);
    const rlimit limit{bytes, bytes};
    std::atomic<int> calls = 0;
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
    parallel_for(1000, 1000, [&](size_t) { ++calls; });  // a stack is 8 MiB
    _exit(calls == 1000 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
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

TEST_CASE("tasks are found one at a time and told their thread", "[core]") {
  constexpr int kThreads = 3, kTasks = 500;
  int found = 0;
  std::vector<int> done(kThreads);
  parallel_tasks(kThreads, [&]() -> Task {
    if (found == kTasks) return {};
    ++found;
    return [&done](size_t thread) { ++done.at(thread); };
  });
  CHECK(done[0] + done[1] + done[2] == kTasks);
}

TEST_CASE("an exception while looking for tasks comes after those of earlier tasks", "[core]") {
  for (const bool task_throws : {false, true}) {
    int found = 0;
    const auto next = [&]() -> Task {
      if (++found == 20) throw std::runtime_error("next");
      return [task_throws, index = found](size_t) {
        if (task_throws && index == 5) throw std::runtime_error("task");
      };
    };
    CHECK_THROWS_WITH(parallel_tasks(2, next), task_throws ? "task" : "next");
  }
}

}  // namespace polygraft
