// expand/verify.h: proves that expanded = base + additions: bytes of every old tensor and row, bits
// of masked logits.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
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

/// How the expanded model differs from the base on old text before (or after) training, by cause,
/// in bits per byte. A document that the two tokenizers cut differently counts as segmentation
/// whole: a new token has no masked probability. The other causes are measured on the documents cut
/// alike. What is left of expanded - base is the causes' interaction.
struct Step0 {
  double bits_per_byte_base = 0, bits_per_byte_expanded = 0;
  double tokenizer = 0;  ///< all that changes on documents whose segmentation changed
  double head = 0;       ///< only the head's additions on - masked
  double router = 0;     ///< experts routed to but silent (head off) - masked
  double experts = 0;    ///< experts on (head off) - silent: what they say, for better or worse
};

struct VerifyReport {
  bool ok = false;
  int64_t tensors_checked = 0;
  uint64_t bytes_compared = 0;
  std::vector<Difference> differences;  ///< at most 100
  bool masked_logits_equal = false;
  std::map<std::string, Step0> step0;  ///< only with a corpus
  Json to_json() const;
};

/// @param corpus for step0; bytes_per_language of held-out text each. Never throws for a
/// difference: it is reported.
VerifyReport verify_expansion(const model::ModelFolder& base, const model::ModelFolder& expanded,
                              const std::optional<tokenizer::Corpus>& corpus,
                              int64_t bytes_per_language = 32'768);

}  // namespace polygraft::expand
