// eval/causes.h: how much of what a model's additions change on old text comes from segmentation,
// head, routing and experts. Masks answer it: the additions are switched on one cause at a time.
// Only documents that both tokenizers cut alike can be masked (a new token has no masked
// probability), so a changed document's whole difference counts as segmentation; the other causes
// come from the unchanged ones.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/scoring.h"
#include "eval/statistics.h"

namespace polygraft::eval {

/// A difference in bits per byte of all documents, with the 95 % interval of a paired bootstrap
/// over them.
struct CausedChange {
  double delta = 0;
  Interval interval;
};

struct Causes {
  double bits_per_byte_base = 0;  ///< all additions masked: the base, bit for bit
  double bits_per_byte_expanded = 0;
  int64_t num_documents = 0, num_changed = 0;  ///< how many the two tokenizers cut differently
  CausedChange tokenizer;  ///< all that changes on documents whose segmentation changed
  CausedChange head;       ///< only the head's additions on - masked
  CausedChange router;     ///< experts routed to but silent (head off) - masked
  CausedChange experts;    ///< experts on (head off) - silent: what they say, for better or worse

  /// What is left of expanded - base: the causes' effect on each other.
  double interaction() const;
  Json to_json() const;
  /// @throws FormatError naming `file`.
  static Causes from_json(const OrderedJson& json, const std::string& file);
};

/// The causes in the order of reports, with their names there and in JSON.
struct CauseField {
  const char* name;
  CausedChange Causes::*change;
};
constexpr std::array<CauseField, 4> kCauses = {{{"tokenizer", &Causes::tokenizer},
                                                {"head", &Causes::head},
                                                {"router", &Causes::router},
                                                {"experts", &Causes::experts}}};

/// @param scores of `documents` with every addition on, as score_documents() gives them.
/// @param options its mask is not looked at; label and log are taken as the beginning of each
/// masked run's own.
/// @throws NotComparable for no documents.
Causes measure_causes(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                      const std::vector<tokenizer::Document>& documents,
                      const std::vector<DocumentScore>& scores, const ScoreOptions& options);

}  // namespace polygraft::eval
