// expand/verify.h: proves that expanded = base + additions: bytes of every old tensor and row, bits
// of masked logits.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "eval/causes.h"
#include "expand/packs/open_model.h"
#include "model/checkpoint/model_folder.h"
#include "tokenizer/corpus.h"

namespace polygraft::expand {

struct Difference {
  std::string tensor;
  /// Index of dimension 0; -1 when the tensor is missing or has another shape or dtype.
  int64_t row = 0;
  int64_t first_byte = 0;  ///< within the row
  std::string reason;
};

struct VerifyReport {
  bool ok = false;
  int64_t tensors_checked = 0;
  uint64_t bytes_compared = 0;
  int64_t num_differences = 0;
  std::vector<Difference> differences;  ///< the first 100
  bool masked_logits_equal = false;
  std::map<std::string, eval::Causes> step0;  ///< by old language; only with a corpus
  Json to_json() const;
};

struct VerifyOptions {
  int64_t bytes_per_language = 32'768;  ///< of held-out text; 0: none
  bool causes = true;                   ///< fill `step0`
  PackChoice packs = {};                ///< put onto the expanded model in memory
};

/// @param expanded an expanded model, or the base itself with packs to put on: no old byte is then
/// stored a second time, and the packs' own hashes and the masked logits are what is checked.
/// @param corpus whose old languages' held-out text is probed. Never throws for a difference: it is
/// reported.
VerifyReport verify_expansion(const model::ModelFolder& base, const model::ModelFolder& expanded,
                              const std::optional<tokenizer::Corpus>& corpus,
                              const VerifyOptions& options = {});

}  // namespace polygraft::expand
