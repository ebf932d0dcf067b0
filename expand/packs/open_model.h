// expand/packs/open_model.h: a model ready to score text, with packs put on or one taken off in
// memory: nothing is written.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "expand/packs/attach.h"
#include "model/architecture/transformer.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

struct PackChoice {
  std::vector<std::filesystem::path> packs;  ///< put onto the model
  std::optional<std::string> without;        ///< name of one that is taken off
  AttachOptions options;
};

struct OpenModel {
  model::Transformer transformer;  ///< float32
  tokenizer::Tokenizer tokenizer;
  std::string hash;  ///< of the weights as they take part
};

/// What a model with packs is, without its weights.
struct ModelSummary {
  model::ModelConfig config;            ///< as attach_packs() or detach_pack() would write it
  std::vector<model::PackEntry> packs;  ///< in canonical order
  int64_t num_tokens = 0;               ///< of the tokenizer
};
/// Reads the base's tensors once for their hash where the choice puts packs on. @throws as
/// open_model().
ModelSummary summarize_model(const model::ModelFolder& model, const PackChoice& choice);

/// Computes what the folder would that attach_packs() or detach_pack() writes, bit for bit.
/// @throws whatever these throw.
OpenModel open_model(const model::ModelFolder& model, const PackChoice& choice);

}  // namespace polygraft::expand
