// tokenizer/tokenizer_report.cpp: see tokenizer_report.h.
#include "tokenizer/tokenizer_report.h"

#include <algorithm>
#include <unordered_map>

#include "core/json.h"
#include "core/stop.h"
#include "tokenizer/corpus.h"
#include "tokenizer/vocabulary_use.h"
#include "tokenizer/word_breaker.h"

namespace polygraft::tokenizer {
namespace {

constexpr size_t kMostLongWords = 10;

using WordTable = std::unordered_map<std::string, int64_t>;

/// Counts words, and remembers each with the space before it, where it has one.
int64_t count_words(WordBreaker& breaker, std::string_view text, WordTable& table) {
  int64_t words = 0;
  breaker.for_each_word(text, [&](size_t begin, size_t end) {
    ++words;
    if (begin > 0 && text[begin - 1] == ' ') --begin;
    ++table[std::string(text.substr(begin, end - begin))];
  });
  return words;
}

std::vector<LongWord> longest_words(const WordTable& table, const Tokenizer& tokenizer,
                                    const Tokenizer* against) {
  std::vector<LongWord> words;
  std::vector<TokenId> ids;
  const auto num_tokens = [&](const Tokenizer& by, const std::string& word) {
    ids.clear();
    by.encode_append(word, ids);
    return static_cast<int64_t>(ids.size());
  };
  const auto comes_first = [](const LongWord& a, const LongWord& b) {
    return std::tie(b.tokens, b.count, a.text) < std::tie(a.tokens, a.count, b.text);
  };
  for (const auto& [word, count] : table) {
    words.push_back({word, num_tokens(tokenizer, word), std::nullopt, count});
    if (words.size() < 2 * kMostLongWords) continue;
    std::sort(words.begin(), words.end(), comes_first);
    words.resize(kMostLongWords);
  }
  std::sort(words.begin(), words.end(), comes_first);
  if (words.size() > kMostLongWords) words.resize(kMostLongWords);
  for (LongWord& word : words) {
    if (against != nullptr) word.tokens_against = num_tokens(*against, word.text);
    if (word.text.front() == ' ') word.text.erase(0, 1);
  }
  return words;
}

/// Both tokenizers over one language's documents.
class LanguageReader {
 public:
  LanguageReader(VocabularyUse& use, VocabularyUse* against) : use_(use), against_(against) {}

  LanguageReport read(const std::vector<fs::path>& files) {
    LanguageReport report;
    WordTable table;
    if (against_ != nullptr) report.against.emplace();
    for (const fs::path& file : files) {
      for_each_document(file, [&](Document&& document) {
        throw_if_stopped();
        add(document.text, report);
        report.words += count_words(breaker_, document.text, table);
      });
    }
    report.long_words = longest_words(table, use_.tokenizer(),
                                      against_ == nullptr ? nullptr : &against_->tokenizer());
    return report;
  }

 private:
  void add(const std::string& text, LanguageReport& report) {
    ++report.documents;
    report.bytes += static_cast<int64_t>(text.size());
    count(use_.encode(text), use_, report.use);
    if (against_ == nullptr) return;
    count(against_->encode(text), *against_, *report.against);
    report.changed_documents += same_tokens(use_, *against_) ? 0 : 1;
  }
  static void count(std::span<const TokenId> ids, const VocabularyUse& by, TokenUse& use) {
    use.tokens += static_cast<int64_t>(ids.size());
    use.single_byte_tokens +=
        std::count_if(ids.begin(), ids.end(), [&](TokenId id) { return by.is_single_byte(id); });
  }

  VocabularyUse& use_;
  VocabularyUse* against_;
  WordBreaker breaker_;
};

Json use_json(const LanguageReport& report, const TokenUse& use) {
  return {{"tokens", use.tokens},
          {"fertility", report.fertility(use)},
          {"bytes_per_token", report.bytes_per_token(use)},
          {"single_byte_share", report.single_byte_share(use)}};
}

Json language_json(const LanguageReport& report) {
  Json json = use_json(report, report.use);
  json["documents"] = report.documents;
  json["bytes"] = report.bytes;
  json["words"] = report.words;
  json["longest_words"] = Json::array();
  for (const LongWord& word : report.long_words) {
    Json entry = {{"word", word.text}, {"tokens", word.tokens}, {"count", word.count}};
    if (word.tokens_against) entry["tokens_against"] = *word.tokens_against;
    json["longest_words"].push_back(std::move(entry));
  }
  if (report.against) {
    json["against"] = use_json(report, *report.against);
    json["changed_documents"] = report.changed_documents;
  }
  return json;
}

}  // namespace

double LanguageReport::fertility(const TokenUse& of) const { return ratio(of.tokens, words); }
double LanguageReport::bytes_per_token(const TokenUse& of) const { return ratio(bytes, of.tokens); }
double LanguageReport::single_byte_share(const TokenUse& of) const {
  return ratio(of.single_byte_tokens, of.tokens);
}

TokenizerReport report_tokenizer(const Tokenizer& tokenizer, const Tokenizer* against,
                                 const std::map<std::string, std::vector<fs::path>>& texts) {
  VocabularyUse use(tokenizer);
  std::optional<VocabularyUse> other;
  if (against != nullptr) other.emplace(*against);
  TokenizerReport report;
  LanguageReader reader(use, other ? &*other : nullptr);
  for (const auto& [language, files] : texts) report.languages[language] = reader.read(files);
  report.vocabulary = use.num_plain();
  report.unused = use.num_unused();
  if (against != nullptr) {
    report.added = use.num_plain(against);
    report.added_unused = use.num_unused(against);
  }
  return report;
}

Json TokenizerReport::to_json() const {
  Json by_language = Json::object();
  for (const auto& [language, values] : languages) by_language[language] = language_json(values);
  Json json = {{"vocabulary", vocabulary}, {"unused_tokens", unused}, {"languages", by_language}};
  if (added) json["added_tokens"] = *added;
  if (added_unused) json["added_unused_tokens"] = *added_unused;
  return json;
}

}  // namespace polygraft::tokenizer
