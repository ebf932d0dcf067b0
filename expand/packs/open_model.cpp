// expand/packs/open_model.cpp: see open_model.h.
#include "expand/packs/open_model.h"

#include <cstring>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "expand/additions.h"
#include "expand/packs/base_check.h"
#include "expand/packs/base_view.h"
#include "expand/packs/composition.h"
#include "expand/packs/stored_pack.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::expand {

namespace {

using model::ModelFolder;

/// A pack of the model, its tensors copied into memory.
OpenPack copy_pack(const ModelFolder& expanded, const std::string& name) {
  const StoredPack stored = find_pack(expanded, name);
  OpenPack open{stored.pack, expanded.path, {}};
  for (const StoredTensor& tensor : stored.tensors) {
    at::Tensor rows =
        at::empty(tensor.spec.shape, at::TensorOptions(model::to_scalar_type(tensor.spec.dtype)));
    auto* to = static_cast<char*>(rows.mutable_data_ptr());
    for (const std::string_view piece : tensor.pieces) {
      std::memcpy(to, piece.data(), piece.size());
      to += piece.size();
    }
    open.additions[tensor.spec.name] = std::move(rows);
  }
  return open;
}

/// The model's own packs and those of the choice, but for one.
std::vector<OpenPack> choose_packs(const ModelFolder& model, const ModelFolder& view,
                                   const PackChoice& choice, const BaseHashes& hashes) {
  std::vector<OpenPack> packs;
  std::vector<std::string> names;
  const auto is_wanted = [&](const std::string& name) {
    names.push_back(name);
    return name != choice.without;
  };
  for (const auto& folder : choice.packs) {
    OpenPack open = open_pack(folder);
    check_base(open, view, hashes, choice.options);
    if (is_wanted(open.pack.name)) packs.push_back(std::move(open));
  }
  const std::vector<model::PackEntry> own =
      model.manifest ? model.manifest->packs : std::vector<model::PackEntry>();
  for (const model::PackEntry& entry : own) {
    if (is_wanted(entry.name)) packs.push_back(copy_pack(model, entry.name));
  }
  if (choice.without && packs.size() == names.size()) {
    throw ConfigError(model.path.string(), concat("there is no pack '", *choice.without, "'"))
        .expected(names.empty() ? "a model with packs" : "one of: " + join(names, ", "));
  }
  return packs;
}

/// The base of a model, and what it becomes with the packs of a choice.
struct Chosen {
  ModelFolder view;
  tokenizer::Tokenizer tokenizer;          ///< the base's
  std::optional<Composition> composition;  ///< none: no pack is left
};

Chosen choose(const ModelFolder& model, const PackChoice& choice, const std::string& hash) {
  ModelFolder view = model.manifest ? base_view(model) : model;
  auto tokenizer = tokenizer::Tokenizer::load(view.path);
  Chosen chosen{std::move(view), std::move(tokenizer), {}};
  const std::string base_hash = model.manifest ? model.manifest->base_tensors_hash : hash;
  std::vector<OpenPack> packs =
      choose_packs(model, chosen.view, choice, {base_hash, chosen.tokenizer.hash()});
  if (!packs.empty()) {
    chosen.composition = compose(chosen.view, std::move(packs), chosen.tokenizer.size());
  }
  return chosen;
}

bool changes_nothing(const PackChoice& choice) { return choice.packs.empty() && !choice.without; }

}  // namespace

ModelSummary summarize_model(const ModelFolder& model, const PackChoice& choice) {
  if (changes_nothing(choice)) {
    return {model.config, model.manifest ? model.manifest->packs : std::vector<model::PackEntry>(),
            tokenizer::Tokenizer::load(model.path).size()};
  }
  // A base's hash takes one reading of its tensors; of an expanded model it is in the manifest.
  const Chosen chosen =
      choose(model, choice, model.manifest ? "" : model::hash_tensors(model.tensors));
  ModelSummary summary{chosen.view.config, {}, chosen.tokenizer.size()};
  summary.config.num_experts = chosen.view.num_base_experts();
  summary.config.vocab_rows = chosen.view.num_base_vocab_rows();
  if (!chosen.composition) return summary;
  summary.config = config_with(*chosen.composition, summary.config);
  summary.packs = chosen.composition->manifest.packs;
  for (const model::PackEntry& pack : summary.packs) summary.num_tokens += pack.num_vocab_rows;
  return summary;
}

OpenModel open_model(const ModelFolder& model, const PackChoice& choice) {
  const std::string hash = model::hash_tensors(model.tensors);
  if (changes_nothing(choice)) {
    return {model::Transformer::load(model), tokenizer::Tokenizer::load(model.path), hash};
  }
  Chosen chosen = choose(model, choice, hash);
  model::Transformer transformer = model::Transformer::load(model);
  std::string described = hash;
  if (!chosen.composition) {
    place_vocabulary(transformer.weights(), {});
    set_additions(transformer.weights(), {});
  } else {
    const Composition& composition = *chosen.composition;
    for (const OpenPack& open : composition.packs) {
      described += concat(" ", open.pack.name, " ", open.pack.additions_hash);
    }
    put_on(composition, transformer.weights());
    if (!composition.vocabulary.additions.tokens.empty()) {
      chosen.tokenizer =
          pack_tokenizer(chosen.view.path, composition.vocabulary.additions).load(chosen.view.path);
    }
  }
  return {std::move(transformer), std::move(chosen.tokenizer), sha256(described)};
}

}  // namespace polygraft::expand
