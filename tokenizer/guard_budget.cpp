// tokenizer/guard_budget.cpp: see guard_budget.h.
#include "tokenizer/guard_budget.h"

#include <cmath>

#include "core/stop.h"
#include "tokenizer/corpus.h"
#include "tokenizer/tokenizer_impl.h"

namespace polygraft::tokenizer {
int64_t changes_allowed(double share, int64_t documents) {
  // A share such as 0.29 of 100 is 28.999... in binary; it means 29.
  return static_cast<int64_t>(std::floor(share * static_cast<double>(documents) + 1e-9));
}

GuardBudget::GuardBudget(const Tokenizer& old, const TextsByLanguage& texts,
                         const GuardedPairs& pairs, double max_changed) {
  for (const auto& [code, files] : texts) {
    Language& language = languages_[code];
    const int64_t documents = count_documents(files);
    language.allowed = changes_allowed(max_changed, documents);
    language.changed.resize(static_cast<size_t>(documents));
    read(old, files, pairs, language);
  }
}

void GuardBudget::read(const Tokenizer& old, const std::vector<fs::path>& files,
                       const GuardedPairs& pairs, Language& language) {
  const auto most = static_cast<size_t>(language.allowed) + 1;
  uint32_t document = 0;
  const auto note = [&](Documents& documents) {
    const bool known = !documents.empty() && documents.back() == document;
    if (!known && documents.size() < most) documents.push_back(document);
  };
  const auto on_run = [&](std::span<const TokenId> run) {
    for (size_t i = 0; i + 1 < run.size(); ++i) {
      if (pairs.watches(run[i], run[i + 1])) note(language.by_pair[pair_key(run[i], run[i + 1])]);
    }
  };
  for (const fs::path& file : files) {
    for_each_document(file, [&](Document&& text) {
      throw_if_stopped();
      old.impl().for_each_run(text.text, on_run);
      ++document;
    });
  }
}

GuardBudget::Documents GuardBudget::newly_changed(const Language& language, uint64_t pair) {
  Documents documents;
  if (const auto found = language.by_pair.find(pair); found != language.by_pair.end()) {
    documents = found->second;
  }
  std::erase_if(documents, [&](uint32_t document) { return language.changed[document]; });
  return documents;
}

bool GuardBudget::admit(TokenId left, TokenId right) {
  const uint64_t pair = pair_key(left, right);
  std::map<std::string, Documents> changes;
  for (const auto& [code, language] : languages_) {
    Documents documents = newly_changed(language, pair);
    const auto now = language.num_changed + static_cast<int64_t>(documents.size());
    if (now > language.allowed) return false;  // as it is when the list was cut off
    changes.emplace(code, std::move(documents));
  }
  for (const auto& [code, documents] : changes) {
    Language& language = languages_.at(code);
    for (const uint32_t document : documents) language.changed[document] = true;
    language.num_changed += static_cast<int64_t>(documents.size());
  }
  return true;
}

int64_t GuardBudget::num_changed(const std::string& language) const {
  return languages_.at(language).num_changed;
}

}  // namespace polygraft::tokenizer
