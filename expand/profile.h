// expand/profile.h: which experts a language uses, and how near languages are to each other.
// Signature of a language at a layer: share of its (token, slot) pairs per expert (Marco-MoE, arXiv
// 2604.25578, section on routing). Similarity: Pearson correlation of signatures, per layer,
// averaged over layers.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "model/architecture/transformer.h"
#include "model/parallel/team.h"
#include "tokenizer/corpus.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

struct LayerProfile {
  int64_t layer = 0;
  std::map<std::string, std::vector<double>>
      signature;  ///< language -> share per expert; sums to 1
  /// Language -> mean weight of each expert in the router's softmax over all of them; sums to 1.
  std::map<std::string, std::vector<double>> softmax{};
  /// Old language -> softmax_floor.h: nats that its old weights lose at least to 1, 2, 4, ... new
  /// rows. Empty where weights are renormalised.
  std::map<std::string, std::vector<double>> softmax_floor{};
};

struct Profile {
  std::vector<LayerProfile> layers;
  std::map<std::string, std::map<std::string, double>>
      similarity;                               ///< symmetric, 1 on the diagonal
  std::map<std::string, double> bits_per_byte;  ///< on held-out text; {} where it is not scored
  std::map<std::string, std::string> roles;     ///< language -> old | new
  std::string model_hash;                       ///< hash_tensors() of the folder

  Json to_json() const;
  static Profile from_json(const Json& json, const std::filesystem::path& file);
};

struct ProfileOptions {
  int64_t tokens_per_language = 20'000;  ///< of training text, for signatures
  std::string corpus_name = "corpus";    ///< how errors call it: its file, where it has one
  parallel::Team team = {};              ///< shares the text out; the profile is the same on all
  int64_t pass_tokens = 0;     ///< at once on each rank; 0: Transformer::tokens_per_pass()
  bool scores_heldout = true;  ///< bits per byte besides, of a corpus that then needs such text
};

struct OpenModel;  // expand/packs/open_model.h
/// The whole of `expand profile` for a model that is open, packs and all. @throws ConfigError when
/// a language has no training or no held-out text, or ranks were not called alike; NotComparable
/// for a dense model.
Profile profile_opened(const OpenModel& model, const tokenizer::Corpus& corpus,
                       const ProfileOptions& options);
/// The same for a folder as it lies.
Profile profile_folder(const model::ModelFolder& folder, const tokenizer::Corpus& corpus,
                       const ProfileOptions& options);

}  // namespace polygraft::expand
