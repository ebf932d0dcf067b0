// model/kernels/tasks.h: work in pieces, on threads that the caller owns, and memory that outlives
// a call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

namespace polygraft::kernels {

/// How the caller's threads are lent. Results depend neither on how many there are nor on who does
/// what.
struct Threads {
  int count = 1;  ///< to cut work by
  /// Calls task(i) for every i below num_tasks, in any order, and returns when all have returned.
  std::function<void(int64_t num_tasks, const std::function<void(int64_t)>& task)> run;
};

/// One thread: the caller's.
Threads calling_thread();

/// What memory of a thread is for: each use has a block of its own.
enum class Scratch {
  kProduct,    // an operation's own
  kRows,       // a piece's rows, gathered
  kUnits,      // a piece's products
  kTranspose,  // a piece's products, transposed
  kHidden,     // all rows' h, or its gradient
  kGateUp,     // all rows' gradients of [g | u]
  kOut,        // all rows' outputs, some columns at a time
};

/// At least `count` floats at a multiple of 64 bytes, which belong to the calling thread and hold
/// whatever they held. Kept for the next call of the same use: fresh pages would have to be cleared
/// at every step.
float* scratch(Scratch use, int64_t count);

}  // namespace polygraft::kernels
