// expand/packs/composition.h: what a base and a set of packs make together, before it is written or
// loaded.
#pragma once
#include <string>
#include <vector>

#include "expand/packs/pack.h"
#include "expand/packs/pack_vocabulary.h"
#include "model/architecture/weights.h"
#include "model/checkpoint/model_folder.h"

namespace polygraft::expand {

struct Composition {
  std::vector<OpenPack> packs;       ///< in canonical order
  VocabularyLayout vocabulary;       ///< of the same order
  std::vector<Additions> additions;  ///< what the model stores of each pack
  model::Manifest manifest;
  bool untie_head = false;
};

/// @param base the base, or an expanded model that stands for its own base (base_view.h).
/// @param num_base_tokens of the base's tokenizer: the first new token's id.
/// @throws NotComparable when two packs have one name, or a tensor does not fit the base.
Composition compose(const model::ModelFolder& base, std::vector<OpenPack> packs,
                    int64_t num_base_tokens);

/// The base's config with the composition's experts and rows.
model::ModelConfig config_with(const Composition& composition, model::ModelConfig base);

/// Where added vocabulary rows stand from now on; of a base without any: {}.
void place_vocabulary(model::Weights& weights, const model::RowPlacement& placement);

/// Puts the composition's rows on a base's weights, in memory.
void put_on(const Composition& composition, model::Weights& weights);

}  // namespace polygraft::expand
