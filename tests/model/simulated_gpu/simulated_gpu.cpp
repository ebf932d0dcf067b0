// tests/model/simulated_gpu/simulated_gpu.cpp: see simulated_gpu.h.
#include "tests/model/simulated_gpu/simulated_gpu.h"

#include "model/device/host_executor.h"
#include "tests/model/simulated_gpu/memory.h"

namespace polygraft::testing {

at::Device simulated_gpu(int index) {
  return {at::kPrivateUse1, static_cast<c10::DeviceIndex>(index)};
}

model::Gpu open_simulated_gpu(int index, device::ThreadOrder order, bool has_grouped_products) {
  constexpr int64_t kPlenty = int64_t{1} << 40;
  return {simulated_gpu(index),
          std::make_shared<device::HostExecutor>(order, GpuMemory::instance().bounds(),
                                                 has_grouped_products),
          "simulated", kPlenty};
}

}  // namespace polygraft::testing
