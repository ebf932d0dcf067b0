// model/device/body.h: what a kernel body is. A body is a plain struct of views and numbers with
//   static constexpr int kThreads, kPhases;   threads of a block; stretches between barriers
//   struct Shared;                            the block's shared memory; {} when there is none
//   int64_t num_blocks() const;
//   template <int Phase> void run(Place at, Shared& shared) const;
// All threads of a block finish phase p before any starts p + 1, and nothing else is ordered. What
// a thread wants to keep from phase to phase lies in Shared. Launched on a GPU by cuda_launch.cuh,
// and on the host, with every access checked, by host_launch.h. No Torch, no atomics.
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#define POLYGRAFT_BODY __host__ __device__
#else
#define POLYGRAFT_BODY
#endif

namespace polygraft::device {

/// Which thread of which block.
struct Place {
  int64_t block = 0;
  int thread = 0;
};

/// Blocks of `size` that hold `count` items.
POLYGRAFT_BODY constexpr int64_t blocks_of(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

/// Of 2^n values, how often the upper half is added to the lower until one is left.
constexpr int halvings(int count) { return count <= 1 ? 0 : 1 + halvings(count / 2); }

}  // namespace polygraft::device
