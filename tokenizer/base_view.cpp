// tokenizer/base_view.cpp: filters merges and whole pieces by the id they make.
#include "tokenizer/base_view.h"

#include "tokenizer/bpe_tokenizer.h"

namespace polygraft::tokenizer {

Tokenizer without_added_tokens(const Tokenizer& extended, TokenId first_added) {
  auto impl = std::make_shared<BpeTokenizer>(bpe_of(extended));
  BpeParts parts = impl->model.parts();
  MergeTable kept;
  parts.merges.for_each([&](TokenId left, TokenId right, Merge merge) {
    if (merge.result < first_added) kept.insert(left, right, merge);
  });
  parts.merges = std::move(kept);
  std::erase_if(parts.whole_pieces, [&](const auto& piece) { return piece.second >= first_added; });
  impl->model = BpeModel(std::move(parts));
  return Tokenizer(std::move(impl));
}

}  // namespace polygraft::tokenizer
