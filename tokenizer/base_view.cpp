// tokenizer/base_view.cpp: see base_view.h.
// Why the parts of a token do not depend on the text around it: when some neighbouring tokens of a
// text are all that merging leaves of their stretch, no merge has crossed its ends. The merges
// within it were then the first to be due there each time, and are the same without the rest.
#include "tokenizer/base_view.h"

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/tokenizer_impl.h"

namespace polygraft::tokenizer {
namespace {

/// Calls visit(id) for each token from `first` on that its own text does not become.
template <class Visit>
void for_each_unreachable(const Tokenizer& tokenizer, TokenId first, const Visit& visit) {
  TokenId id = first;
  for (const std::vector<TokenId>& ids : tokenizer.impl().cut_alone(first)) {
    if (ids != std::vector<TokenId>{id}) visit(id);
    ++id;
  }
}

}  // namespace

Tokenizer without_added_tokens(const Tokenizer& extended, TokenId first_added) {
  return Tokenizer(extended.impl().without_tokens_from(first_added));
}

std::vector<std::vector<TokenId>> old_parts_of_added_tokens(const Tokenizer& extended,
                                                            TokenId first_added) {
  for_each_unreachable(extended, first_added, [&](TokenId id) {
    throw FormatError(extended.impl().file, concat("new token ", id, " ('", extended.token(id),
                                                   "') is made by no merge of old tokens"))
        .hint(
            "extend the tokenizer with `polygraft tokenizer extend`; tokens put in by hand have "
            "no merge");
  });
  return without_added_tokens(extended, first_added).impl().cut_alone(first_added);
}

int64_t count_unreachable(const Tokenizer& extended, TokenId first_added) {
  int64_t count = 0;
  for_each_unreachable(extended, first_added, [&](TokenId) { ++count; });
  return count;
}

}  // namespace polygraft::tokenizer
