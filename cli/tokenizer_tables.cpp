// cli/tokenizer_tables.cpp: see tokenizer_tables.h.
#include "cli/tokenizer_tables.h"

#include "core/error.h"
#include "core/text.h"

namespace polygraft::cli {
namespace {

constexpr size_t kWordsPerLanguage = 3;

/// "2.41", or "2.41 -> 1.77" from the other tokenizer's value to this one's.
std::string change(const Json& language, const char* key, double scale, int digits) {
  const auto text = [&](const Json& of) { return fixed(scale * of.at(key).get<double>(), digits); };
  if (!language.contains("against")) return text(language);
  return concat(text(language.at("against")), " -> ", text(language));
}

eval::Table language_table(const Json& report) {
  eval::Table table{.title = "Tokenizer",
                    .header = {"language", "documents", "tokens per word", "bytes per token",
                               "one-byte tokens, %", "documents changed"},
                    .rows = {}};
  for (const auto& [code, language] : report.at("languages").items()) {
    const std::string changed = language.contains("changed_documents")
                                    ? concat(language.at("changed_documents"))
                                    : std::string("-");
    table.rows.push_back({code, concat(language.at("documents")),
                          change(language, "fertility", 1, 3),
                          change(language, "bytes_per_token", 1, 3),
                          change(language, "single_byte_share", 100, 2), changed});
  }
  return table;
}

eval::Table vocabulary_table(const Json& report) {
  eval::Table table{
      .title = "Vocabulary", .header = {"tokens", "number", "unused in these texts"}, .rows = {}};
  const auto add = [&](const char* name, const char* all, const char* unused) {
    if (!report.contains(all)) return;
    table.rows.push_back({name, human_count(report.at(all).get<uint64_t>()),
                          human_count(report.at(unused).get<uint64_t>())});
  };
  add("all", "vocabulary", "unused_tokens");
  add("new tokens", "added_tokens", "added_unused_tokens");
  return table;
}

eval::Table word_table(const Json& report) {
  eval::Table table{.title = "Words that take most tokens",
                    .header = {"language", "word", "tokens", "times"},
                    .rows = {}};
  for (const auto& [code, language] : report.at("languages").items()) {
    size_t listed = 0;
    for (const Json& word : language.at("longest_words")) {
      if (listed++ == kWordsPerLanguage) break;
      const std::string before =
          word.contains("tokens_against") ? concat(word.at("tokens_against"), " -> ") : "";
      table.rows.push_back({code, word.at("word").get<std::string>(),
                            concat(before, word.at("tokens")), concat(word.at("count"))});
    }
  }
  return table;
}

}  // namespace

std::map<std::string, std::vector<std::filesystem::path>> corpus_files(
    const tokenizer::Corpus& corpus, const std::string& split) {
  std::map<std::string, std::vector<std::filesystem::path>> files;
  for (const auto& [code, texts] : corpus.languages) {
    const std::vector<std::string>& of_split = split == "train" ? texts.train : texts.heldout;
    if (of_split.empty()) {
      throw ConfigError(concat("languages.", code, ".", split), "no files")
          .expected("the texts that are read");
    }
    files[code] = {of_split.begin(), of_split.end()};
  }
  return files;
}

std::vector<eval::Table> tokenizer_tables(const Json& report) {
  return {language_table(report), vocabulary_table(report), word_table(report)};
}

}  // namespace polygraft::cli
