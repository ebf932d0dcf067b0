// trainer/shape_estimate.h: what training additions takes, from shapes alone: no weights, no text.
#pragma once
#include <cstdint>

#include "model/checkpoint/model_config.h"
#include "trainer/config.h"

namespace polygraft::trainer {

struct ShapeEstimate {
  int64_t steps = 0, trainable_parameters = 0, peak_memory_bytes = 0;
  double flops = 0;  ///< of the whole run: multiplications and additions
};

/// @param expanded the model with its additions, which alone train; the base stays in its files.
ShapeEstimate estimate_additions(const model::ModelConfig& expanded, int64_t num_added_experts,
                                 int64_t num_added_vocab_rows, const TrainConfig& train);

}  // namespace polygraft::trainer
