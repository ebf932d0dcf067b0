// tokenizer/extend_tokenizer.cpp: continued BPE with the guard; see bpe_trainer.h and
// merge_filter.h.

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/extend_parts.h"
#include "tokenizer/extend_report.h"
#include "tokenizer/extend_sentencepiece.h"
#include "tokenizer/extension_files.h"
#include "tokenizer/merge_filter.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/tokenizer_writer.h"
#include "tokenizer/vocabulary_growth.h"
#include "tokenizer/word_counts.h"

namespace polygraft::tokenizer {
namespace {

bool is_sentencepiece(const fs::path& source) {
  return fs::exists(source / "tokenizer.model") && !fs::exists(source / "tokenizer.json");
}

struct NewText {
  MergeLearner learner;
  int64_t tokens = 0;  ///< as the old tokenizer cuts it, added tokens left out
};

NewText segment(const Tokenizer& old, const TextsByLanguage& texts) {
  WordCounts words;
  for (const auto& [language, files] : texts) words.add_files(old, files);
  NewText text;
  std::vector<TokenId> symbols;
  for (const auto& [word, count] : words.sorted()) {
    symbols.clear();
    bpe_of(old).model.encode_piece(word, symbols);
    text.learner.add_word(symbols, count);
    text.tokens += count * static_cast<int64_t>(symbols.size());
  }
  return text;
}

/// @return how many guard documents of each language the merges change.
std::map<std::string, int64_t> learn(const Tokenizer& old, const TextsByLanguage& new_texts,
                                     const TextsByLanguage& guard_texts,
                                     const ExtendOptions& options, VocabularyGrowth& growth,
                                     ExtendReport& report) {
  MergeFilter filter(old, guard_texts, options);
  NewText text = segment(old, new_texts);
  const LearnLimits limits = limits_of(options, text.tokens);
  learn_merges(text.learner, growth, limits,
               [&](const MergeLearner::Candidate& pair, const std::string& merged) {
                 if (!filter.accepts(pair, merged, growth, report)) return false;
                 report.last_saving = pair.count;
                 return true;
               });
  check_learned(static_cast<int64_t>(growth.steps().size()), options, limits, report);
  find_witnesses(old, guard_texts, report.guard_rejected);
  std::map<std::string, int64_t> changes;
  for (const auto& [code, files] : guard_texts) changes[code] = filter.num_changed(code);
  return changes;
}

std::vector<NewToken> new_tokens(const Tokenizer& old, const Tokenizer& grown,
                                 const VocabularyGrowth& growth) {
  std::vector<NewToken> tokens;
  for (const VocabularyGrowth::Step& step : growth.steps()) {
    NewToken token{step.merged, step.left, step.right, {}};
    bpe_of(old).model.merge_piece(grown.token_bytes(step.merged), token.old_tokens);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

ExtendReport extend_tokenizer(const fs::path& source, const TextsByLanguage& new_texts,
                              const TextsByLanguage& guard_texts, const ExtendOptions& options,
                              const fs::path& folder) {
  check_options(options, new_texts, guard_texts);
  if (is_sentencepiece(source)) {
    return extend_sentencepiece(source, new_texts, guard_texts, options, folder);
  }
  const fs::path source_file = tokenizer_json_of(source);
  const fs::path source_folder = source_file.parent_path();
  const std::string source_text = read_file(source_file);
  const Tokenizer old(parse_tokenizer(source_text, source_file, source_folder));
  if (!bpe_of(old).pre_tokenizer.byte_level()) {
    throw NotBuiltError("extending a tokenizer.json whose BPE starts from characters")
        .found(source_file.string());
  }

  ExtendReport report;
  VocabularyGrowth growth(old);
  const auto changes = learn(old, new_texts, guard_texts, options, growth, report);
  VocabularyAdditions additions = growth.additions();
  pin_added_tokens(source_text, source_file, old, additions);
  const std::string text = add_to_tokenizer_json(source_text, additions, source_file);
  const Tokenizer grown(parse_tokenizer(text, folder / "tokenizer.json", source_folder));

  report.tokens = new_tokens(old, grown, growth);
  report.merges_added = static_cast<int64_t>(growth.steps().size());
  report.unreachable = count_unreachable(grown, report.tokens);
  for (const TextsByLanguage* texts : {&new_texts, &guard_texts}) {
    for (const auto& [code, files] : *texts) {
      report.languages[code] = compare_segmentation(old, grown, files);
    }
  }
  check_promises(report, changes);
  write_extension(source_folder, text, additions, folder);
  return report;
}

}  // namespace polygraft::tokenizer
