// model/architecture/device_weights.h: a model's weights on a GPU, as device_layer.h wants them.
#pragma once
#include "model/architecture/weights.h"
#include "model/parallel/slice.h"

namespace polygraft::model {

/// Whether a weight's logical name is that of experts' matrices, the base's or added ones.
bool is_expert_matrix(const std::string& name);

/// Which part of every layer's experts a device has: all of them, or one of several ranks' slices,
/// of the base's and of the added ones alike.
struct ExpertShare {
  int rank = 0, num_ranks = 1;

  parallel::Slice of(int64_t count) const { return parallel::slice_of(count, rank, num_ranks); }
};

/// Frozen tensors in bfloat16 and additions in float32, all on `device`; each layer's experts lie
/// in a bank (SplitRows), which has the additions once more, in bfloat16.
Weights weights_on(at::Device device, const Weights& weights, ExpertShare share = {});

/// A layer's gate-up or down matrices with a bank on `device`: what weights_on() makes of them.
SplitRows banked(at::Device device, const SplitRows& rows, ExpertShare share = {});

/// How many bytes of the device weights_on() takes.
int64_t bytes_on_device(const Weights& weights, ExpertShare share = {});

}  // namespace polygraft::model
