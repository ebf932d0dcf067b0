// model/device/host_executor.cpp: see host_executor.h.
#include "model/device/host_executor.h"

namespace polygraft::device {

void HostExecutor::run(const AnyBody& body) {
  std::visit([this](const auto& one) { launch_on_host(one, order_, memory_); }, body);
}

}  // namespace polygraft::device
