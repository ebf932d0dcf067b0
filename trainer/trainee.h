// trainer/trainee.h: the model a run trains: read from a folder, or made from scratch.
#pragma once
#include <memory>
#include <optional>

#include "core/json_fwd.h"
#include "model/architecture/expert_parallel.h"
#include "model/architecture/transformer.h"
#include "model/checkpoint/model_folder.h"
#include "tokenizer/tokenizer.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {

struct Trainee {
  /// What it was read from; none from scratch. The manifest of a base that a pack was put on is the
  /// sum's.
  std::optional<model::ModelFolder> folder;
  BoxedJson config_json;  ///< what its output's config.json will say
  tokenizer::Tokenizer tokenizer;
  model::Transformer transformer;  ///< float32, but on a GPU
  /// How the ranks of a row share experts out: in training on CPUs, on GPUs whenever `transformer`
  /// is called. Null: one process.
  std::unique_ptr<model::ExpertParallel> experts = nullptr;
};

/// @throws ConfigError when additions are to be trained and neither `folder`, the job's, nor a pack
/// of the job has any.
void require_additions(const TrainJob& job, const model::ModelFolder& folder);

/// @throws ConfigError when rows are longer than the model's positions.
void require_positions(const model::ModelConfig& model, const TrainConfig& train);

/// Whether each GPU has a part of the experts alone, so that ranks call the model together.
bool shares_experts_on_gpus(const TrainJob& job);

/// @throws ConfigError when `train.trainable` does not fit the model, or rows are longer than its
/// positions.
Trainee load_trainee(const TrainJob& job);

/// config.json of a new model, as transformers' config classes of these families understand it. The
/// vocabulary is the tokenizer's.
OrderedJson scratch_config_json(const ArchitectureConfig& architecture,
                                const tokenizer::Tokenizer& tokenizer);

}  // namespace polygraft::trainer
