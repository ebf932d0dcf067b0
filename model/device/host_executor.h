// model/device/host_executor.h: bodies on the host, every access checked. For tests.
#pragma once
#include "model/device/executor.h"
#include "model/device/host_launch.h"

namespace polygraft::device {

class HostExecutor : public Executor {
 public:
  /// @param memory where all views lie. @param has_grouped_products of the GPU that it stands for.
  explicit HostExecutor(ThreadOrder order, DeviceMemory memory = {},
                        bool has_grouped_products = true)
      : order_(order), memory_(memory), has_grouped_products_(has_grouped_products) {}
  /// @throws AccessError.
  void run(const AnyBody& body) override;
  bool has_grouped_products() const override { return has_grouped_products_; }

 private:
  ThreadOrder order_;
  DeviceMemory memory_;
  bool has_grouped_products_;
};

}  // namespace polygraft::device
