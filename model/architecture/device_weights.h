// model/architecture/device_weights.h: a model's weights on a GPU, as device_layer.h wants them.
#pragma once
#include "model/architecture/weights.h"

namespace polygraft::model {

/// Frozen tensors in bfloat16 and additions in float32, all on `device`; each layer's experts lie
/// in a bank (SplitRows), which has the additions once more, in bfloat16.
Weights weights_on(at::Device device, const Weights& weights);

/// A layer's gate-up or down matrices with a bank on `device`: what weights_on() makes of them.
SplitRows banked(at::Device device, const SplitRows& rows);

/// How many bytes of the device weights_on() takes.
int64_t bytes_on_device(const Weights& weights);

}  // namespace polygraft::model
