// tests/core/freed_memory_test.cpp: freed memory is there for the next one who asks.
#include "core/freed_memory.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>

#ifndef __SANITIZE_ADDRESS__  // it brings a malloc of its own

namespace polygraft {
namespace {

constexpr size_t kBytes = size_t{96} << 20;  // far above what malloc keeps by itself

/// Pages that the kernel had to hand over, and clear, while a block was taken, written and freed.
long faults_of_a_block() {
  const auto faults = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
  };
  const long before = faults();
  const auto block = std::make_unique_for_overwrite<char[]>(kBytes);
  std::memset(block.get(), 1, kBytes);
  asm volatile("" : : "r"(block.get()) : "memory");  // or else nothing of it need happen
  return faults() - before;
}

}  // namespace

TEST_CASE("a block that was freed is not cleared again for the next of its size", "[core]") {
  faults_of_a_block();
  CHECK(faults_of_a_block() > 24'000);  // of 24,576 pages
  keep_freed_memory();
  faults_of_a_block();
  CHECK(faults_of_a_block() < 100);
}

}  // namespace polygraft

#endif
