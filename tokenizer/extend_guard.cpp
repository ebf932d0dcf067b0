// tokenizer/extend_guard.cpp: see extend_guard.h.
#include "tokenizer/extend_guard.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "core/progress.h"
#include "core/stop.h"
#include "tokenizer/corpus.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/tokenizer_impl.h"

namespace polygraft::tokenizer {
namespace {

constexpr size_t kTokensAround = 10;  ///< shown before and after a pair that forbids

std::string text_around(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, size_t pair) {
  std::string around;
  const size_t end = std::min(ids.size(), pair + kTokensAround + 2);
  for (size_t i = pair - std::min(pair, kTokensAround); i < end; ++i) {
    around += tokenizer.token_bytes(ids[i]);
  }
  return around;
}

std::vector<fs::path> all_files(const TextsByLanguage& texts) {
  std::vector<fs::path> all;
  for (const auto& [language, files] : texts) all.insert(all.end(), files.begin(), files.end());
  return all;
}

/// The rejections that have no witness yet, by pair.
class WitnessSearch {
 public:
  WitnessSearch(const Tokenizer& old, std::vector<GuardRejection>& rejections) : old_(old) {
    for (GuardRejection& rejection : rejections) {
      wanted_[pair_key(rejection.left, rejection.right)] = &rejection;
    }
  }
  bool finished() const { return wanted_.empty(); }

  void read(const std::string& language, const Document& document) {
    ids_.clear();
    found_.clear();
    old_.impl().for_each_run(document.text, [&](std::span<const TokenId> run) {
      for (size_t i = 0; i + 1 < run.size(); ++i) {
        const auto pair = wanted_.find(pair_key(run[i], run[i + 1]));
        if (pair == wanted_.end()) continue;
        found_.emplace_back(pair->second, ids_.size() + i);
        wanted_.erase(pair);
      }
      ids_.insert(ids_.end(), run.begin(), run.end());
    });
    for (const auto& [rejection, at] : found_) {
      rejection->language = language;
      rejection->document = document.id;
      rejection->text = text_around(old_, ids_, at);
    }
  }

 private:
  const Tokenizer& old_;
  std::unordered_map<uint64_t, GuardRejection*, MixedHash> wanted_;
  std::vector<TokenId> ids_;  ///< of the document
  std::vector<std::pair<GuardRejection*, size_t>> found_;
};

}  // namespace

ExtendGuard::ExtendGuard(const Tokenizer& old, const TextsByLanguage& texts,
                         const MergeLearner& learner, int64_t min_count, int num_threads) {
  learner.for_each_pair([&](TokenId left, TokenId right, int64_t count) {
    if (count >= min_count) pairs_.watch(left, right);
  });
  const std::vector<fs::path> all = all_files(texts);
  Progress progress("reading the guard texts", text_bytes(all), "bytes");
  const auto note = [&](Document&& document, size_t) {
    old.impl().for_each_run(document.text, [&](std::span<const TokenId> run) { pairs_.note(run); });
  };
  for_each_document_unordered(all, num_threads, note, &progress);
  progress.finish();
}

void find_witnesses(const Tokenizer& old, const TextsByLanguage& texts,
                    std::vector<GuardRejection>& rejections) {
  WitnessSearch search(old, rejections);
  Progress progress("finding what forbade each pair", text_bytes(all_files(texts)), "bytes");
  for (const auto& [language, files] : texts) {
    for (const fs::path& file : files) {
      if (search.finished()) return;
      const std::string& code = language;
      for_each_document(file, [&](Document&& document) {
        throw_if_stopped();
        progress.advance(document.text.size());
        if (!search.finished()) search.read(code, document);
      });
    }
  }
}

}  // namespace polygraft::tokenizer
