// model/device/host_executor.h: bodies on the host, every access checked. For tests.
#pragma once
#include "model/device/executor.h"
#include "model/device/host_launch.h"

namespace polygraft::device {

class HostExecutor : public Executor {
 public:
  /// @param memory where all views lie.
  explicit HostExecutor(ThreadOrder order, DeviceMemory memory = {})
      : order_(order), memory_(memory) {}
  /// @throws AccessError.
  void run(const AnyBody& body) override;

 private:
  ThreadOrder order_;
  DeviceMemory memory_;
};

}  // namespace polygraft::device
