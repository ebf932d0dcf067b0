// model/device/device_error.h: what a GPU, or its absence, makes impossible.
#pragma once
#include "core/error.h"

namespace polygraft::device {

/// No GPU, or one that refuses. Exit 1.
class DeviceError : public ErrorParts<DeviceError> {
 public:
  DeviceError(const std::string& where, const std::string& problem)
      : ErrorParts("device error", ExitCode::kRuntime, where, problem) {}
};

}  // namespace polygraft::device
