// trainer/output.h: the trained model as a Hugging Face folder, or the trained pack; whole or not
// at all.
#pragma once
#include "trainer/trainee.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {

/// Frozen bases are streamed from the source folder, byte for byte; a model whose old weights
/// trained is written as a plain model, since it is no longer base + additions. Nothing in it
/// depends on when or where it was trained.
void write_trained(const TrainJob& job, const Trainee& trainee, const TrainResult& result);

}  // namespace polygraft::trainer
