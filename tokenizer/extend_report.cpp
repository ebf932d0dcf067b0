// tokenizer/extend_report.cpp: see extend_report.h and bpe_trainer.h.
#include "tokenizer/extend_report.h"

#include "core/json.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "tokenizer/corpus.h"
#include "tokenizer/tokenizer_report.h"
#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {
namespace {

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
                                          const std::vector<fs::path>& files, int num_threads) {
  std::vector<LanguageSegmentation> by_thread(resolve_num_threads(num_threads));
  Progress progress("encoding by both tokenizers", text_bytes(files), "bytes");
  const auto compare = [&](Document&& document, size_t thread) {
    const std::vector<TokenId> before = old.encode(document.text),
                               after = grown.encode(document.text);
    LanguageSegmentation& own = by_thread[thread];
    own.bytes += static_cast<int64_t>(document.text.size());
    own.tokens_before += static_cast<int64_t>(before.size());
    own.tokens_after += static_cast<int64_t>(after.size());
    own.documents += 1;
    own.changed_documents += before != after ? 1 : 0;
  };
  for_each_document_unordered(files, num_threads, compare, &progress);
  LanguageSegmentation sum;
  for (const LanguageSegmentation& own : by_thread) {
    sum.bytes += own.bytes;
    sum.tokens_before += own.tokens_before;
    sum.tokens_after += own.tokens_after;
    sum.documents += own.documents;
    sum.changed_documents += own.changed_documents;
  }
  return sum;
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
