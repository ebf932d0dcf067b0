// expand/graft.h: computes the additions of a plan and writes base + additions as one Hugging Face
// folder. Vocabulary rows, experts and router rows get their start values in closed form and by
// L-BFGS, before any training (README.md names the parts).
// Legend: D model width, E base experts, n new experts, F expert width, G = 2F, v new vocabulary
// rows.
#pragma once
#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "expand/expert_clones.h"
#include "expand/plan.h"
#include "model/architecture/transformer.h"
#include "model/checkpoint/model_folder.h"
#include "model/parallel/team.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

/// Added tensors by logical name, as Weights::for_each_added names them
/// ("layers.3.moe.router.added"), float32.
using Additions = std::map<std::string, at::Tensor>;

struct Calibration {
  std::vector<tokenizer::Document> new_documents;  ///< training text of the new language
  std::vector<tokenizer::Document>
      old_documents;  ///< training text of the old languages, mixed evenly
};
/// Takes as much training text as the plan's calibration token counts need; its mark is fitted to
/// the same. Deterministic.
Calibration read_calibration(const tokenizer::Corpus& corpus, const ExpansionPlan& plan);

/// Makes the j-th added expert of a layer.
using ExpertMaker = std::function<Expert(int64_t layer, int64_t j)>;

/// Experts have shapes alone (tensors on at::kMeta) and are made one by one when they are written:
/// all together they may take more memory than there is.
struct ComputedAdditions {
  Additions additions;
  model::RowLayout vocab;   ///< where the vocabulary's rows go
  ExpertMaker make_expert;  ///< float32; keeps base and plan alive
};

/// @param base the base model in float32. @param extended its extended tokenizer. Deterministic in
/// the plan's seed. @param team shares out the calibration's text and the layers whose router rows
/// are fitted; the additions are the same on all.
/// @throws NumericError when a fit does not give finite rows.
ComputedAdditions compute_additions(const model::Transformer& base,
                                    const tokenizer::Tokenizer& old_tokenizer,
                                    const tokenizer::Tokenizer& extended, const ExpansionPlan& plan,
                                    const Calibration& calibration,
                                    const parallel::Team& team = {});

struct ExpandedFolder {
  model::Manifest manifest;         ///< written as polygraft.json
  std::filesystem::path tokenizer;  ///< folder whose tokenizer files go into the result
  bool untie_head = false;
  /// Expanded model whose polygraft.base the result carries on; empty: that of the source, or the
  /// source itself where it is the base.
  std::filesystem::path base_snapshot_of;
  ExpertMaker make_expert;  ///< for additions whose experts have shapes alone
};
/// Streams base rows from `source` (a base, or an expanded model whose additions are replaced) and
/// `additions` where the manifest places them into `out`: an AtomicFolder's path. Displaced rows go
/// to polygraft.base, and their hash into the manifest. Old bytes are copied as they are; additions
/// are rounded to the folder's dtype; the layout read is the layout written; config.json is edited
/// only where the expansion changes it. @return hash_tensors() of the base, whose bytes are hashed
/// while they are copied.
std::string write_expanded(const model::ModelFolder& source, const Additions& additions,
                           const ExpandedFolder& expanded, const std::filesystem::path& out);
/// The same with the additions of several packs, one after the other.
std::string write_expanded(const model::ModelFolder& source, const std::vector<Additions>& packs,
                           const ExpandedFolder& expanded, const std::filesystem::path& out);

/// The whole of `expand graft`: load, compute, write. @throws NotComparable when the model is not
/// the plan's; known only once its bytes have been copied.
/// @param team computes together; its first rank alone writes.
void graft(const model::ModelFolder& base, const ExpansionPlan& plan,
           const std::filesystem::path& out, const parallel::Team& team = {});

/// The additions of an expanded model / sets them (shapes checked).
Additions get_additions(const model::Weights& weights);
void set_additions(model::Weights& weights, const Additions& additions);

}  // namespace polygraft::expand
