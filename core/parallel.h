// core/parallel.h: independent pieces of work on several threads, without Torch.
#pragma once
#include <cstddef>
#include <functional>

namespace polygraft {

/// Calls `work(i)` for every i below `count`, on up to `num_threads` threads (0: one a core), the
/// caller's being one of them. Threads take the next i when they are free, so results must not
/// depend on which thread does what. When calls throw, the exception of the smallest i is
/// rethrown after all threads have ended; no call begins after the first throw.
void parallel_for(size_t count, int num_threads, const std::function<void(size_t)>& work);

/// What 0 stands for: the number of cores, at least 1.
int default_num_threads();

}  // namespace polygraft
