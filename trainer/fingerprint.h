// trainer/fingerprint.h: what a checkpoint belongs to, as dotted keys and values: the resolved
// settings, the text, the model's config.json, and the weights training began from. A checkpoint
// made under other values is refused by name instead of continued wrongly.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/file.h"
#include "trainer/data/training_data.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {

struct Trainee;

using Fingerprint = std::map<std::string, std::string>;

/// Must be called before the first step: it hashes the weights that training begins from. An
/// expanded model's base is known by its manifest; only the additions are hashed then. Weights that
/// lie in the model's files (none-but-router) are hashed there.
Fingerprint fingerprint(const TrainJob& job, const LanguageRoles& roles, const TrainingData& data,
                        Trainee& trainee);

/// @throws ConfigError listing every key that differs. How often checkpoints are written and kept
/// may change freely.
void require_same(const Fingerprint& recorded, const Fingerprint& now, const fs::path& checkpoint);

}  // namespace polygraft::trainer
