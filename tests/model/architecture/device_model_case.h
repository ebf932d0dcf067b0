// tests/model/architecture/device_model_case.h: a whole small model through the device's layers, by
// any executor on any device, beside the plain one in bfloat16 on the CPU.
#pragma once
#include <memory>

#include "model/architecture/transformer.h"
#include "model/device/executor.h"

namespace polygraft::testing {

/// Runs the expanded model forward and backward and with each mask.
/// @param most_error of the Frobenius norm: what rounding, and choices that it tips, may change.
/// @return all results, on the CPU, for comparisons bit by bit.
std::vector<at::Tensor> check_device_model(std::shared_ptr<device::Executor> executor,
                                           at::Device device, double most_error);

}  // namespace polygraft::testing
