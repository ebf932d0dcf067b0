// model/architecture/stored_tensors.h: which stored tensor lies where in `Weights`: one table for
// reading and for writing.
#pragma once
#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "model/architecture/weights.h"

namespace polygraft::model {

/// Shapes that `Weights` has and a config alone does not tell.
struct SplitCounts {
  int64_t base_experts = 0;
  RowLayout vocab;
};

/// Weights of the right shapes, not initialised. config.num_experts counts base + added.
/// at::kMeta gives tensors a shape and no memory. Added rows but for experts are always in memory.
struct WeightDevices {
  at::DeviceType base = at::kCPU;
  at::DeviceType added_experts = at::kCPU;
};
Weights allocate_weights(const ModelConfig& config, SplitCounts counts, at::ScalarType dtype,
                         WeightDevices devices = {});

/// Calls visit(name, parts) for every tensor of a checkpoint of this layout. The parts are views
/// into `weights`, padding rows copies; put one after the other along dimension 0 they are the
/// stored tensor. Base rows that added ones displace are no part of it. A visitor may put another
/// tensor of the same shape in a part's place; what it puts in the place of one expert's matrix
/// becomes one of its bank's `pieces`.
using StoredTensorVisitor =
    std::function<void(const std::string& name, std::vector<at::Tensor>& parts)>;
void for_each_stored_tensor(Weights& weights, const ModelConfig& config, const FolderLayout& layout,
                            const StoredTensorVisitor& visit);

}  // namespace polygraft::model
