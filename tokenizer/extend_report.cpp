// tokenizer/extend_report.cpp: see extend_report.h and bpe_trainer.h.
#include "tokenizer/extend_report.h"

#include "core/stop.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/corpus.h"
#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {
namespace {

double ratio(int64_t bytes, int64_t tokens) {
  return tokens == 0 ? 0.0 : static_cast<double>(bytes) / static_cast<double>(tokens);
}

Json segmentation_json(const LanguageSegmentation& language) {
  return {{"bytes", language.bytes},
          {"documents", language.documents},
          {"changed_documents", language.changed_documents},
          {"tokens_before", language.tokens_before},
          {"tokens_after", language.tokens_after},
          {"bytes_per_token_before", ratio(language.bytes, language.tokens_before)},
          {"bytes_per_token_after", ratio(language.bytes, language.tokens_after)}};
}

/// The words may hold cut characters where pieces begin inside one; JSON is UTF-8.
Json rejection_json(const GuardRejection& rejection) {
  return {{"pair", rejection.pair},
          {"count", rejection.count},
          {"language", rejection.language},
          {"document", rejection.document},
          {"text", to_valid_utf8(rejection.text)}};
}

}  // namespace

LanguageSegmentation compare_segmentation(const Tokenizer& old, const Tokenizer& grown,
                                          const std::vector<fs::path>& files) {
  LanguageSegmentation result;
  std::vector<TokenId> before, after;
  for (const fs::path& file : files) {
    for_each_document(file, [&](Document&& document) {
      throw_if_stopped();
      before.clear();
      after.clear();
      old.encode_append(document.text, before);
      grown.encode_append(document.text, after);
      result.bytes += static_cast<int64_t>(document.text.size());
      result.tokens_before += static_cast<int64_t>(before.size());
      result.tokens_after += static_cast<int64_t>(after.size());
      result.documents += 1;
      result.changed_documents += before != after ? 1 : 0;
    });
  }
  return result;
}

int64_t count_unreachable(const Tokenizer& grown, const std::vector<NewToken>& tokens) {
  int64_t unreachable = 0;
  std::vector<TokenId> ids;
  for (const NewToken& token : tokens) {
    ids.clear();
    bpe_of(grown).model.merge_piece(grown.token_bytes(token.id), ids);
    unreachable += ids != std::vector<TokenId>{token.id} ? 1 : 0;
  }
  return unreachable;
}

Json ExtendReport::to_json() const {
  Json by_language = Json::object();
  for (const auto& [code, language] : languages) by_language[code] = segmentation_json(language);
  Json list = Json::array();
  for (const NewToken& token : tokens) {
    list.push_back({{"id", token.id},
                    {"left", token.left},
                    {"right", token.right},
                    {"old_tokens", token.old_tokens}});
  }
  Json rejected = Json::array();
  for (const GuardRejection& rejection : guard_rejected) {
    rejected.push_back(rejection_json(rejection));
  }
  return {{"added", tokens.size()},
          {"merges_added", merges_added},
          {"unreachable", unreachable},
          {"guard_rejected", guard_rejected_total},
          {"guard_rejected_pairs", rejected},
          {"guard_admitted", guard_admitted},
          {"script_rejected", script_rejected},
          {"last_saving", last_saving},
          {"languages", by_language},
          {"tokens", list}};
}

}  // namespace polygraft::tokenizer
