// core/parallel.h: independent pieces of work on several threads, without Torch.
#pragma once
#include <cstddef>
#include <functional>

namespace polygraft {

/// Calls `work(i)` for every i below `count`, on up to `num_threads` threads (0: the default), the
/// caller's being one of them. Threads take the next i when they are free, so results must not
/// depend on which thread does what. When calls throw, the exception of the smallest i is
/// rethrown after all threads have ended; no call begins after the first throw.
void parallel_for(size_t count, int num_threads, const std::function<void(size_t)>& work);

/// A piece of work; told which of the threads, from 0, it runs on.
using Task = std::function<void(size_t thread)>;

/// The same for work that is found piece by piece: calls `next` until it gives an empty task, one
/// thread at a time, and runs the tasks. Of several exceptions the one of the earliest task (or the
/// earliest call of `next`) is rethrown.
void parallel_tasks(int num_threads, const std::function<Task()>& next);

/// How many threads `num_threads` stands for: itself, or for 0 the default.
size_t resolve_num_threads(int num_threads);

/// What 0 stands for from now on (`--threads`); 0: the number of cores, as at the start.
void set_default_num_threads(int num_threads);

}  // namespace polygraft
