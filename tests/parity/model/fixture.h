// tests/parity/model/fixture.h: one case of make_fixtures.py: a config, token ids, and what
// transformers computes from them.
#pragma once
#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/architecture/transformer.h"

namespace polygraft::parity {

/// Results of one compute dtype.
struct Expected {
  double loss = 0;                              ///< mean cross-entropy, nats
  at::Tensor logits_TV;                         ///< float32, all sequences end to end
  std::map<std::string, at::Tensor> gradients;  ///< by stored name, flat float32
};

struct Fixture {
  std::string name;
  uint64_t seed = 0;
  model::FolderLayout layout = model::ExpertLayout::kNone;
  Json config_json;
  model::ModelConfig config;
  model::Batch batch;
  at::Tensor targets_T;  ///< the next id within a sequence, -1 at its end
  int64_t num_targets = 0;
  Expected float32, bfloat16;
  /// Before each of ten steps, and after the last.
  std::vector<double> adamw_losses, bfloat16_adamw_losses;
  double learning_rate = 0, weight_decay = 0;
  std::filesystem::path
      folder;  ///< the same model as a Hugging Face folder, where the live run made one

  const Expected& expected(at::ScalarType dtype) const {
    return dtype == at::kFloat ? float32 : bfloat16;
  }
};

/// All cases of a folder, by name. @throws when there is none: a comparison with nothing must not
/// pass.
std::vector<Fixture> read_fixtures(const std::filesystem::path& folder);

/// The weights that the generator's formula gives, in `dtype`.
model::Weights formula_weights(const Fixture& fixture, at::ScalarType dtype);

}  // namespace polygraft::parity
