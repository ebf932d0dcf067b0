// model/kernels/tasks.cpp: see tasks.h.
#include "model/kernels/tasks.h"

#include <array>
#include <cstdlib>
#include <memory>
#include <new>

namespace polygraft::kernels {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kNumUses = static_cast<size_t>(Scratch::kOut) + 1;

struct Free {
  void operator()(float* memory) const { std::free(memory); }
};

struct Block {
  std::unique_ptr<float, Free> memory;
  int64_t count = 0;
};

}  // namespace

Threads calling_thread() {
  return {1, [](int64_t num_tasks, const std::function<void(int64_t)>& task) {
            for (int64_t i = 0; i < num_tasks; ++i) task(i);
          }};
}

float* scratch(Scratch use, int64_t count) {
  thread_local std::array<Block, kNumUses> blocks;
  Block& block = blocks[static_cast<size_t>(use)];
  if (count <= block.count) return block.memory.get();
  const size_t bytes =
      (static_cast<size_t>(count) * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  block = {};  // the old block goes first: both need not exist at once
  block.memory.reset(static_cast<float*>(std::aligned_alloc(kAlignment, bytes)));
  if (block.memory == nullptr) throw std::bad_alloc();
  block.count = count;
  return block.memory.get();
}

}  // namespace polygraft::kernels
