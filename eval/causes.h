// eval/causes.h: how much of what a model's additions change on old text comes from segmentation,
// head, routing and experts. Masks answer it: the additions are switched on one after the other,
//   base -> experts routed to but silent -> experts speak -> added vocabulary rows take their mass
//        router                     experts               head
// so that the causes add up to the change. Only documents that both tokenizers cut alike can be
// masked (a new token has no masked probability), so a changed document's whole difference counts
// as segmentation; the other causes come from the unchanged ones. Three passes: of the base, of the
// silent experts, and of everything on, whose hidden states serve both heads.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
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
  CausedChange head;       ///< everything on - the head's additions off
  CausedChange router;     ///< experts routed to but silent (head off) - masked
  CausedChange experts;    ///< experts on (head off) - silent: what they say, for better or worse
  /// By place in the document (kPositionBands), the change relative to the base's bits there, of
  /// documents whose segmentation did not change. Results of earlier versions have none.
  std::optional<std::array<double, kPositionBands.size()>> by_position;

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

/// The same documents as the base has them and with every addition on.
struct ScoredBothWays {
  const std::vector<DocumentScore>& base;      ///< score_as_base()
  const std::vector<DocumentScore>& expanded;  ///< score_documents() with `head_masked_too`
  /// Every so-manyth document goes through the pass of the silent experts, and is taken for the
  /// others: how router and experts share what they do together is then an estimate.
  int64_t silent_every = 1;
};

/// With every addition masked, cut by the tokenizer as it was before its extension: the base.
std::vector<DocumentScore> score_as_base(const model::Transformer& transformer,
                                         const tokenizer::Tokenizer& tokenizer,
                                         const std::vector<tokenizer::Document>& documents,
                                         const ScoreOptions& options);

/// @param options as for the scores; their mask is not looked at, and label and log are taken as
/// the beginning of the masked run's own.
/// @throws NotComparable for no documents.
Causes measure_causes(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                      const std::vector<tokenizer::Document>& documents,
                      const ScoredBothWays& scores, const ScoreOptions& options);

}  // namespace polygraft::eval
