// trainer/fingerprint.h: what a checkpoint belongs to, as dotted keys and values: the resolved
// settings, the text, and the weights training began from. A checkpoint made under other values is
// refused by name instead of continued wrongly.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/file.h"
#include "model/architecture/transformer.h"
#include "trainer/data/training_data.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {

using Fingerprint = std::map<std::string, std::string>;

/// Must be called before the first step: it hashes the weights that training begins from. An
/// expanded model's base is known by its manifest; only the additions are hashed then.
Fingerprint fingerprint(const TrainJob& job, const LanguageRoles& roles, const TrainingData& data,
                        model::Weights& weights, const std::optional<model::Manifest>& manifest);

/// @throws ConfigError listing every key that differs. How often checkpoints are written and kept
/// may change freely.
void require_same(const Fingerprint& recorded, const Fingerprint& now, const fs::path& checkpoint);

}  // namespace polygraft::trainer
