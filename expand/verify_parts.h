// expand/verify_parts.h: the checks that verify_expansion() is made of.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/progress.h"
#include "expand/verify.h"
#include "model/architecture/transformer.h"
#include "model/checkpoint/tensors_hash.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

/// Notes a difference in the report: every one makes it not ok, the first 100 are listed.
void add_difference(VerifyReport& report, Difference difference);
/// The same for what is no tensor row: a missing tensor, a file.
void add_difference(VerifyReport& report, const std::string& tensor, const std::string& reason);

/// Old tensors and old rows byte by byte; what is not old must be an addition. Fills
/// tensors_checked and bytes_compared. Layer by layer, so that the caller can run a layer while its
/// pages are in memory.
class BytesCheck {
 public:
  /// All three are referred to, not copied.
  BytesCheck(const model::ModelFolder& base, const model::ModelFolder& expanded,
             VerifyReport& report);
  /// @param layer -1: all that belongs to no layer.
  void compare(int64_t layer);
  /// @return hash_tensors() of the base, read once for both. To be called once, at the end.
  std::string finish();

 private:
  /// Of base and expanded model.
  void for_each_in(int64_t layer, void (*tell)(std::string_view mapped)) const;
  const model::ModelFolder& base_;
  const model::ModelFolder& expanded_;
  VerifyReport& report_;
  std::set<std::string> growing_;
  std::map<int64_t, std::vector<std::string>> names_by_layer_;  ///< the base's tensors
  Progress progress_;
  model::BackgroundTensorsHash hash_;
};

/// Rows from `first_row` on; the first one that is not finite is noted.
void verify_finite(const model::TensorView& view, int64_t first_row, VerifyReport& report);

/// config.json equal but for what an expansion changes; polygraft.json names this base.
void verify_description(const model::ModelFolder& base, const std::string& base_hash,
                        const model::ModelFolder& expanded, VerifyReport& report);

/// tokenizer.json: old tokens keep their ids, old merges their ranks, the rest is equal.
void verify_tokenizer(const model::ModelFolder& base, const model::ModelFolder& expanded,
                      VerifyReport& report);

/// Held-out text that step0 and the probes use, by old language.
using HeldoutTexts = std::map<std::string, std::vector<tokenizer::Document>>;
HeldoutTexts read_heldout(const tokenizer::Corpus& corpus, int64_t bytes_per_language);

/// Sequences to compare logits on: random ids of the base's vocabulary, the same every time, and
/// `texts` as its tokenizer cuts them.
std::vector<model::Batch> make_probes(const model::ModelFolder& base, const HeldoutTexts& texts);

/// Logits of base and expanded model with additions masked, on the same probes, compared bit by
/// bit. Both go through the layers side by side.
class MaskedComparison {
 public:
  /// Both are referred to, not copied. @throws as Transformer::hidden() does.
  MaskedComparison(const model::Transformer& base, const model::Transformer& expanded,
                   const std::vector<model::Batch>& probes);
  void run_layer(int64_t layer);
  /// After the last layer. The logits of a large vocabulary are not kept.
  bool equal();

 private:
  const model::Transformer& base_;
  const model::Transformer& expanded_;
  model::Transformer::Walk base_walk_, expanded_walk_;
};

}  // namespace polygraft::expand
