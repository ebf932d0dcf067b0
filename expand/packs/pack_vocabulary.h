// expand/packs/pack_vocabulary.h: the tokens and merges of packs: taken out of an extended
// tokenizer, and put together again behind a base's.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "expand/packs/pack.h"
#include "tokenizer/grown_tokenizer.h"

namespace polygraft::expand {

struct VocabularyLists {
  std::vector<std::string> tokens;  ///< by id
  std::vector<MergePair> merges;    ///< by priority
};

/// What the tokenizer in `extended` has beyond the one in `base`: tokens from `first_id` on, and
/// merges. @throws FormatError when it differs in anything else, or an id has no token.
VocabularyLists added_vocabulary(const std::filesystem::path& base,
                                 const std::filesystem::path& extended, int64_t first_id,
                                 int64_t num_tokens);

/// Where the vocabulary of several packs goes. A function of the packs, not of when they came.
struct VocabularyLayout {
  /// For each pack the indices of the tokens whose rows the model stores; the others are shadowed:
  /// a pack before it brings the same token.
  std::vector<std::vector<int64_t>> stored;
  std::vector<std::vector<int64_t>> shadowed;
  tokenizer::VocabularyAdditions additions;
};
/// @param packs in canonical order. @param first_id the first new token's.
VocabularyLayout lay_out_vocabulary(const std::vector<const Pack*>& packs, int64_t first_id);

/// The base's tokenizer with the additions, as `tokenizer extend` writes it. @throws FormatError
/// when the base knows one of the tokens already.
tokenizer::GrownTokenizer pack_tokenizer(const std::filesystem::path& base,
                                         const tokenizer::VocabularyAdditions& additions);

}  // namespace polygraft::expand
