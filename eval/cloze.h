// eval/cloze.h: multiple-choice items out of any text, so that a language without a benchmark has
// one: which of several passages continues the context? The wrong ones are real continuations too,
// of other documents of the language, each cut as the right one is.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "tokenizer/corpus.h"

namespace polygraft::eval {

struct ClozeOptions {
  int64_t choices = 4;
  int64_t context_characters = 400;      ///< code points, at most; cut back to white space in its
                                         ///< second half
  int64_t continuation_characters = 80;  ///< code points, at most; cut back to white space
  int64_t items_per_document = 4;        ///< at most, from places that do not overlap
  int64_t seed = 17;

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("choices", choices, "passages to choose from");
    v.field("context_characters", context_characters, "code points before the choice, at most");
    v.field("continuation_characters", continuation_characters, "code points of a choice, at most");
    v.field("items_per_document", items_per_document, "from places that do not overlap, at most");
    v.field("seed", seed, "of the wrong choices and the order of choices");
  }
  void validate(Problems& problems) const;
};

/// Items {"id", "document", "language", "context", "choices", "gold"}, in the documents' order;
/// `id` is the document's id and the item's number in it; of documents with one id the second has
/// "~2" behind it. No context or choice is white space alone. The same documents and options give
/// the same items. Documents too short for one item are left out.
/// @throws ConfigError when too few documents are long enough for `choices` different ones.
std::vector<OrderedJson> make_cloze_items(const std::string& language,
                                          const std::vector<tokenizer::Document>& documents,
                                          const ClozeOptions& options);

/// The task for lm-evaluation-harness 0.4.13 that scores `file` as polygraft does.
std::string cloze_task_yaml(const std::string& task, const std::string& file);

}  // namespace polygraft::eval
