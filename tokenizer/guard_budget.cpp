// tokenizer/guard_budget.cpp: see guard_budget.h.
#include "tokenizer/guard_budget.h"

#include <algorithm>
#include <cmath>

#include "core/stop.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/corpus.h"

namespace polygraft::tokenizer {
namespace {

int64_t count_documents(const std::vector<fs::path>& files) {
  int64_t documents = 0;
  for (const fs::path& file : files) {
    for_each_document(file, [&](Document&&) { ++documents; });
  }
  return documents;
}

}  // namespace

int64_t changes_allowed(double share, int64_t documents) {
  // A share such as 0.29 of 100 is 28.999... in binary; it means 29.
  return static_cast<int64_t>(std::floor(share * static_cast<double>(documents) + 1e-9));
}

GuardBudget::GuardBudget(const Tokenizer& old,
                         const std::map<std::string, std::vector<fs::path>>& texts,
                         double max_changed) {
  for (const auto& [code, files] : texts) {
    Language& language = languages_[code];
    const int64_t documents = count_documents(files);
    language.allowed = changes_allowed(max_changed, documents);
    language.changed.resize(static_cast<size_t>(documents));
    read(old, files, language);
  }
}

void GuardBudget::read(const Tokenizer& old, const std::vector<fs::path>& files,
                       Language& language) const {
  const bool whole_pieces_matter = bpe_of(old).model.takes_whole_pieces();
  const auto most = static_cast<size_t>(language.allowed) + 1;
  uint32_t document = 0;
  const auto note = [&](Documents& documents) {
    const bool known = !documents.empty() && documents.back() == document;
    if (!known && documents.size() < most) documents.push_back(document);
  };
  std::vector<TokenId> ids;
  const auto on_piece = [&](std::string_view piece) {
    ids.clear();
    bpe_of(old).model.encode_piece(piece, ids);
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      note(language.by_pair[pair_key(ids[i], ids[i + 1])]);
    }
    if (whole_pieces_matter) note(language.by_piece[std::string(piece)]);
  };
  for (const fs::path& file : files) {
    for_each_document(file, [&](Document&& text) {
      throw_if_stopped();
      bpe_of(old).for_each_piece(
          text.text, [](TokenId) {}, on_piece);
      ++document;
    });
  }
}

GuardBudget::Documents GuardBudget::newly_changed(const Language& language, uint64_t pair,
                                                  const std::string& piece) {
  Documents documents;
  if (const auto found = language.by_pair.find(pair); found != language.by_pair.end()) {
    documents = found->second;
  }
  if (const auto found = language.by_piece.find(piece); found != language.by_piece.end()) {
    documents.insert(documents.end(), found->second.begin(), found->second.end());
    std::sort(documents.begin(), documents.end());
    documents.erase(std::unique(documents.begin(), documents.end()), documents.end());
  }
  std::erase_if(documents, [&](uint32_t document) { return language.changed[document]; });
  return documents;
}

bool GuardBudget::admit(TokenId left, TokenId right, const std::string& token_bytes) {
  const uint64_t pair = pair_key(left, right);
  std::map<std::string, Documents> changes;
  for (const auto& [code, language] : languages_) {
    Documents documents = newly_changed(language, pair, token_bytes);
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
