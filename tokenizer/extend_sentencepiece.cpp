// tokenizer/extend_sentencepiece.cpp: see extend_sentencepiece.h.
#include "tokenizer/extend_sentencepiece.h"

#include <algorithm>
#include <unordered_map>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/stop.h"
#include "core/text.h"
#include "tokenizer/corpus.h"
#include "tokenizer/extend_parts.h"
#include "tokenizer/script_boundary.h"
#include "tokenizer/sentencepiece_growth.h"
#include "tokenizer/sentencepiece_pieces.h"

namespace polygraft::tokenizer {
namespace {

constexpr const char* kModelFile = "tokenizer.model";
constexpr size_t kMostRejectedListed = 1000;
constexpr size_t kPiecesAround = 4;  ///< shown before and after a pair that the guard has found

/// The ids that a settings file gives to added tokens.
std::vector<int64_t> added_ids(const fs::path& file) {
  std::vector<int64_t> ids;
  const Json json = read_json(file);
  if (file.filename() == "added_tokens.json") {
    for (const auto& [token, id] : json.items()) {
      ids.push_back(json_get<int64_t>(json, token, file));
    }
    return ids;
  }
  const Json decoder = json_get_or<Json>(json, "added_tokens_decoder", Json::object(), file);
  for (const auto& [id, token] : decoder.items()) {
    if (id.find_first_not_of("0123456789") != std::string::npos || id.empty() || id.size() > 9) {
      throw FormatError(file, "a key of added_tokens_decoder is no id").found(id);
    }
    ids.push_back(std::stoll(id));
  }
  return ids;
}

void check_source(const fs::path& source, const SentencePieces& old, const ExtendOptions& options) {
  const fs::path file = source / kModelFile;
  if (!old.is_bpe()) {
    throw NotBuiltError(
        concat("extending a SentencePiece model of type unigram (", file.string(), ")"))
        .hint(
            "only BPE gives priority to old pieces; in a unigram model a new piece competes with "
            "all others by probability, and may change any text");
  }
  if (options.guard_max_changed > 0) {
    throw NotBuiltError("guard_max_changed above 0 for a SentencePiece model").expected("0");
  }
  for (const char* name : {"added_tokens.json", "tokenizer_config.json"}) {
    if (!fs::exists(source / name)) continue;
    for (const int64_t id : added_ids(source / name)) {
      if (id < old.size()) continue;
      throw NotBuiltError(concat("extending ", file.string(), " beside added tokens behind its ",
                                 old.size(), " pieces"))
          .found(concat("id ", id, " in ", name));
    }
  }
}

/// Calls visit(language, document, ids) for every document.
template <class Visit>
void for_each_encoded(const SentencePieces& pieces, const TextsByLanguage& texts,
                      const Visit& visit) {
  for (const auto& [language, files] : texts) {
    const std::string& code = language;
    for (const fs::path& file : files) {
      for_each_document(file, [&](Document&& document) {
        throw_if_stopped();
        visit(code, document, pieces.encode(document.text));
      });
    }
  }
}

/// Calls visit(position, left, right) for pieces that stand beside each other and could join.
template <class Visit>
void for_each_pair(const SentencePieces& pieces, const std::vector<int>& ids, const Visit& visit) {
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    if (pieces.can_join(ids[i]) && pieces.can_join(ids[i + 1])) visit(i, ids[i], ids[i + 1]);
  }
}

std::unordered_set<std::string> spelled_by_pairs(const SentencePieces& old,
                                                 const TextsByLanguage& texts) {
  std::unordered_set<uint64_t> seen;
  std::unordered_set<std::string> spelled;
  for_each_encoded(old, texts, [&](const auto&, const auto&, const std::vector<int>& ids) {
    for_each_pair(old, ids, [&](size_t, int left, int right) {
      const bool is_new = seen.insert(pair_key(left, right)).second;
      if (is_new) spelled.insert(old.text(left) + old.text(right));
    });
  });
  return spelled;
}

/// The words of the new text, each as the old pieces it is cut into; what cannot join ends a word.
class WordTable {
 public:
  void add(const SentencePieces& old, const std::vector<int>& ids) {
    std::vector<TokenId> word;
    for (const int id : ids) {
      const bool joins = old.can_join(id);
      if (!joins || old.text(id).starts_with(kPieceSpace)) finish(word);
      if (joins) word.push_back(id);
      tokens_ += joins ? 1 : 0;
    }
    finish(word);
  }
  int64_t num_tokens() const { return tokens_; }
  MergeLearner learner() const {
    MergeLearner learner;
    for (const auto& [word, count] : counts_) learner.add_word(word, count);
    return learner;
  }

 private:
  void finish(std::vector<TokenId>& word) {
    if (word.size() > 1) ++counts_[word];
    word.clear();
  }
  std::map<std::vector<TokenId>, int64_t> counts_;  // sorted: nothing depends on hashing
  int64_t tokens_ = 0;
};

/// Old pieces and those learned so far.
class PieceGrowth {
 public:
  explicit PieceGrowth(const SentencePieces& old) : old_(old) {}
  std::string text(TokenId id) const {
    return id < old_.size() ? old_.text(id) : texts_[static_cast<size_t>(id - old_.size())];
  }
  bool is_old(const std::string& text) const { return old_.exists(text); }
  const TokenId* find(const std::string& text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? nullptr : &found->second;
  }
  TokenId add(const std::string& text, TokenId left, TokenId right) {
    const auto id = static_cast<TokenId>(old_.size() + static_cast<int>(texts_.size()));
    texts_.push_back(text);
    tokens_.push_back({id, left, right, {}});
    ids_[text] = id;
    return id;
  }
  const std::vector<std::string>& texts() const { return texts_; }
  const std::vector<NewToken>& tokens() const { return tokens_; }

 private:
  const SentencePieces& old_;
  std::vector<std::string> texts_;
  std::vector<NewToken> tokens_;
  std::unordered_map<std::string, TokenId> ids_;
};

/// Whether a new piece is taken; what turns it down is counted.
bool accepts(const MergeLearner::Candidate& pair, const std::string& left, const std::string& right,
             const std::unordered_set<std::string>& guarded, ExtendReport& report) {
  if (guarded.count(left + right) == 0) return true;
  ++report.guard_rejected_total;
  if (report.guard_rejected.size() < kMostRejectedListed) {
    report.guard_rejected.push_back(
        {pair.left, pair.right, concat(left, " ", right), pair.count, {}, {}, {}});
  }
  return false;
}

void learn_pieces(MergeLearner& learner, const std::unordered_set<std::string>& guarded,
                  bool cross_script, const LearnLimits& limits, PieceGrowth& growth,
                  ExtendReport& report) {
  while (static_cast<int64_t>(growth.texts().size()) < limits.most_merges) {
    throw_if_stopped();
    const auto pair = learner.next();
    if (!pair || pair->count < limits.min_count) break;
    const std::string left = growth.text(pair->left), right = growth.text(pair->right);
    const std::string text = left + right;
    if (const TokenId* known = growth.find(text)) {  // the same text, cut elsewhere: joined as well
      learner.merge(pair->left, pair->right, *known);
      continue;
    }
    if (growth.is_old(text)) continue;
    if (!cross_script && crosses_script(text)) {
      ++report.script_rejected;
    } else if (accepts(*pair, left, right, guarded, report)) {
      learner.merge(pair->left, pair->right, growth.add(text, pair->left, pair->right));
      report.last_saving = pair->count;
    }
  }
}

std::string pieces_around(const SentencePieces& old, const std::vector<int>& ids, size_t middle) {
  std::string around;
  const size_t end = std::min(ids.size(), middle + kPiecesAround + 2);
  for (size_t i = middle - std::min(middle, kPiecesAround); i < end; ++i) {
    around += old.text(ids[i]);
  }
  return around;
}

void find_spellers(const SentencePieces& old, const TextsByLanguage& guard_texts,
                   std::vector<GuardRejection>& rejections) {
  std::unordered_map<std::string, std::vector<size_t>> wanted;
  for (size_t i = 0; i < rejections.size(); ++i) {
    std::string text = rejections[i].pair;
    wanted[text.erase(text.find(' '), 1)].push_back(i);
  }
  for_each_encoded(
      old, guard_texts,
      [&](const std::string& language, const Document& document, const std::vector<int>& ids) {
        if (wanted.empty()) return;
        for_each_pair(old, ids, [&](size_t at, int left, int right) {
          const auto found = wanted.find(old.text(left) + old.text(right));
          if (found == wanted.end()) return;
          for (const size_t i : found->second) {
            rejections[i].language = language;
            rejections[i].document = document.id;
            rejections[i].text = pieces_around(old, ids, at);
          }
          wanted.erase(found);
        });
      });
}

/// A piece's text as a user types it.
std::string with_spaces(std::string text) {
  for (size_t at = 0; (at = text.find(kPieceSpace)) != std::string::npos;) {
    text.replace(at, kPieceSpace.size(), " ");
  }
  return text;
}

void measure(const SentencePieces& old, const SentencePieces& grown, const TextsByLanguage& texts,
             ExtendReport& report) {
  for_each_encoded(
      old, texts,
      [&](const std::string& code, const Document& document, const std::vector<int>& before) {
        LanguageSegmentation& language = report.languages[code];
        const std::vector<int> after = grown.encode(document.text);
        language.bytes += static_cast<int64_t>(document.text.size());
        language.tokens_before += static_cast<int64_t>(before.size());
        language.tokens_after += static_cast<int64_t>(after.size());
        language.documents += 1;
        language.changed_documents += before != after ? 1 : 0;
      });
}

/// New tokens' parts, and how many the grown model does not make out of their own text.
void split_new_tokens(const SentencePieces& old, const SentencePieces& grown, const fs::path& file,
                      ExtendReport& report) {
  const SentencePieces old_inner(without_added_space(old.bytes()), file);
  const SentencePieces grown_inner(without_added_space(grown.bytes()), file);
  for (NewToken& token : report.tokens) {
    const std::string text = with_spaces(grown.text(token.id));
    for (const int id : old_inner.encode(text)) token.old_tokens.push_back(id);
    report.unreachable += grown_inner.encode(text) != std::vector<int>{token.id} ? 1 : 0;
  }
}

}  // namespace

ExtendReport extend_sentencepiece(const fs::path& source, const TextsByLanguage& new_texts,
                                  const TextsByLanguage& guard_texts, const ExtendOptions& options,
                                  const fs::path& folder) {
  const fs::path file = source / kModelFile;
  const SentencePieces old(read_file(file), file);
  check_source(source, old, options);
  WordTable words;
  for_each_encoded(old, new_texts, [&](const auto&, const auto&, const std::vector<int>& ids) {
    words.add(old, ids);
  });
  ExtendReport report;
  PieceGrowth growth(old);
  MergeLearner learner = words.learner();
  const LearnLimits limits = limits_of(options, words.num_tokens());
  learn_pieces(learner, spelled_by_pairs(old, guard_texts), options.cross_script, limits, growth,
               report);
  const auto num_new = static_cast<int64_t>(growth.texts().size());
  check_learned(num_new, options, limits, report);
  find_spellers(old, guard_texts, report.guard_rejected);

  const SentencePieces grown(
      with_pieces(old.bytes(), growth.texts(), old.lowest_score() - 1, old.size() + num_new), file);
  report.tokens = growth.tokens();
  report.merges_added = num_new;
  split_new_tokens(old, grown, file, report);
  measure(old, grown, new_texts, report);
  measure(old, grown, guard_texts, report);
  std::map<std::string, int64_t> no_changes;
  for (const auto& [code, files] : guard_texts) no_changes[code] = 0;
  check_promises(report, no_changes);
  copy_tokenizer_settings(source, folder);
  write_file_atomically(folder / kModelFile, grown.bytes());
  return report;
}

}  // namespace polygraft::tokenizer
