// expand/plan.h: what would be grafted, from which donors, and why. Planning is pure: no tensor is
// read.
#pragma once
#include <string>
#include <vector>

#include "expand/config.h"
#include "expand/profile.h"
#include "expand/softmax_shift.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/row_layout.h"

namespace polygraft::expand {

struct Donor {
  int64_t expert = 0;
  double score = 0;  ///< share in the new language x specificity to its nearest languages
};

struct LayerPlan {
  int64_t layer = 0;
  std::vector<Donor> donors;  ///< one per new expert, best first
};

struct ExpansionPlan {
  std::string language;  ///< the new language's code; also the pack's name
  std::vector<LayerPlan> layers;
  std::vector<std::pair<std::string, double>>
      nearest;  ///< old languages by similarity, nearest first
  int64_t new_vocab_rows = 0;
  int64_t spare_vocab_rows = 0;    ///< of the base's rows, how many no token uses and new ones take
  int64_t grown_vocab_rows = 0;    ///< by how many the matrix grows for new tokens
  int64_t padding_vocab_rows = 0;  ///< and for padding behind them
  bool untie_head = false;
  int64_t added_parameters = 0;
  int64_t added_bytes = 0;
  /// Of `expand graft`, estimated: the program, the additions in float32, calibration features. The
  /// base is mapped, and not counted.
  int64_t peak_memory_bytes = 0;
  SoftmaxShift softmax_shift;
  std::vector<std::string> warnings;  ///< what serving engines would trip over in the result
  uint64_t seed = 17;
  ExpertConfig experts;
  VocabularyConfig vocabulary;
  std::string model_hash;  ///< of the profile's model; graft refuses another
  // Absolute paths that `expand graft` reads:
  std::string corpus;     ///< corpus.yaml
  std::string tokenizer;  ///< extended tokenizer folder

  Json to_json() const;
  static ExpansionPlan from_json(const Json& json, const std::filesystem::path& file);
};

struct PlanRequest {
  std::string language;
  int64_t num_tokens = 0;  ///< of the base's tokenizer
  int64_t new_vocab_rows = 0;
  uint64_t seed = 17;
  ExpertConfig experts;
  VocabularyConfig vocabulary;
};

/// Of a layer: enough for base and new ones together to be a multiple of what is asked for. @throws
/// ConfigError for more than there are donors.
int64_t count_new_experts(const model::ModelConfig& config, const ExpertConfig& experts);

/// Parameters that are new; `copies` are old rows written out a second time: output rows by
/// untying, padding rows.
struct AddedSizes {
  int64_t parameters = 0;
  int64_t copies = 0;

  int64_t bytes(model::Dtype dtype) const;
};

/// Of `num_new_experts` in each layer that has any, and these rows. @param untie_head of a base
/// whose output rows are its input rows.
AddedSizes count_added(const model::ModelConfig& base, int64_t num_new_experts,
                       const model::RowLayout& vocabulary, bool untie_head);

/// @throws ConfigError: unknown language, fewer vocabulary rows than tokens, more new experts than
/// donors, a model with nothing to graft onto.
ExpansionPlan plan_expansion(const model::ModelConfig& config, const Profile& profile,
                             const PlanRequest& request);

/// Hashes every tensor, which planning itself does not read. @throws NotComparable when the profile
/// was made from another model, which `graft` would refuse.
void check_profiled(const model::ModelFolder& model, const Profile& profile);

/// A table for a person: layers, donors, bytes, memory.
std::string plan_table(const ExpansionPlan& plan);

}  // namespace polygraft::expand
