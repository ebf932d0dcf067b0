// model/device/view.h: the memory that a body sees: global memory through View, a block's shared
// memory through SharedArray. On a GPU an access is a plain load or store; on the host each one is
// checked (access_check.h).
#pragma once
#include <cstdint>
#include <type_traits>

#include "model/device/body.h"
#ifndef __CUDA_ARCH__
#include "model/device/access_check.h"
#endif

namespace polygraft::device {

/// `size` elements of global memory. One launch sees a piece of memory as elements of one type.
template <class T>
struct View {
  using Value = std::remove_const_t<T>;

  T* data = nullptr;
  int64_t size = 0;

  POLYGRAFT_BODY Value read(int64_t index) const {
#ifdef __CUDA_ARCH__
    return data[index];
#else
    return checked_element(data, {index, size, Access::kRead});
#endif
  }
  POLYGRAFT_BODY void write(int64_t index, Value value) const {
#ifdef __CUDA_ARCH__
    data[index] = value;
#else
    checked_element(data, {index, size, Access::kWrite}) = value;
#endif
  }
  POLYGRAFT_BODY bool is_empty() const { return size == 0; }
};

/// Member of a body's Shared. Holds nothing that the block has not written.
template <class T, int N>
struct SharedArray {
  T values[N];

  POLYGRAFT_BODY T read(int index) const {
#ifdef __CUDA_ARCH__
    return values[index];
#else
    return checked_element(values, {index, N, Access::kRead});
#endif
  }
  POLYGRAFT_BODY void write(int index, T value) {
#ifdef __CUDA_ARCH__
    values[index] = value;
#else
    checked_element(values, {index, N, Access::kWrite}) = value;
#endif
  }
};

/// One step of a sum over values[0 .. count) that leaves it in values[0]: thread t < count / 2^Step
/// adds its partner. Step 1 .. halvings(count), each a phase of its own; a fixed order.
template <int Step, class T, int N>
POLYGRAFT_BODY void halve(SharedArray<T, N>& values, int thread) {
  constexpr int kLeft = N >> Step;
  static_assert((N & (N - 1)) == 0 && kLeft > 0, "halving wants a power of two");
  if (thread < kLeft) values.write(thread, values.read(thread) + values.read(thread + kLeft));
}

}  // namespace polygraft::device
