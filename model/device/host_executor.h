// model/device/host_executor.h: bodies on the host, every access checked. For tests.
#pragma once
#include "model/device/executor.h"
#include "model/device/host_launch.h"

namespace polygraft::device {

class HostExecutor : public Executor {
 public:
  explicit HostExecutor(ThreadOrder order) : order_(order) {}
  /// @throws AccessError.
  void run(const AnyBody& body) override;

 private:
  ThreadOrder order_;
};

}  // namespace polygraft::device
