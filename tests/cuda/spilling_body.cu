// tests/cuda/spilling_body.cu: a kernel whose array cannot stay in registers; the register check
// must refuse it.
#include "model/device/cuda_launch.cuh"
#include "model/device/view.h"

namespace polygraft::device {
namespace {

struct IndexedArray {
  static constexpr int kThreads = 128, kPhases = 1;
  struct Shared {};
  View<int32_t> values;

  POLYGRAFT_BODY int64_t num_blocks() const { return 1; }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared&) const {
    int32_t own[32];
    for (int i = 0; i < 32; ++i) own[i] = values.read(at.thread * 32 + i);
    for (int i = 0; i < 32; ++i) own[own[i] & 31] += i;
    for (int i = 0; i < 32; ++i) values.write(at.thread * 32 + i, own[i]);
  }
};

}  // namespace

void launch_indexed_array(View<int32_t> values) { launch_on_cuda(IndexedArray{values}, nullptr); }

}  // namespace polygraft::device
