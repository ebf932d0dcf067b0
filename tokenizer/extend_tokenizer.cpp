// tokenizer/extend_tokenizer.cpp: continued BPE with the guard; see bpe_trainer.h and
// merge_filter.h.
#include <algorithm>

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/base_view.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/extend_parts.h"
#include "tokenizer/extend_report.h"
#include "tokenizer/extend_sentencepiece.h"
#include "tokenizer/grown_tokenizer.h"
#include "tokenizer/merge_filter.h"
#include "tokenizer/tokenizer_file.h"
#include "tokenizer/vocabulary_growth.h"
#include "tokenizer/word_counts.h"

namespace polygraft::tokenizer {
namespace {

/// No merge joins the unknown token: it stands for bytes that only the text knows.
void add_between_unknown(std::span<const TokenId> symbols, std::optional<TokenId> unknown,
                         int64_t count, NewText& text) {
  for (auto begin = symbols.begin(); begin != symbols.end();) {
    const auto end = unknown ? std::find(begin, symbols.end(), *unknown) : symbols.end();
    if (begin != end) text.add_word({begin, end}, count);
    begin = end == symbols.end() ? end : end + 1;
  }
}

/// The words of texts, as the old merges of a byte-level BPE cut them.
NewText segment(const Tokenizer& old, const TextsByLanguage& texts) {
  WordCounts words;
  for (const auto& [language, files] : texts) words.add_files(old, files);
  NewText text;
  std::vector<TokenId> symbols;
  const BpeModel& model = bpe_of(old).model;
  for (const auto& [word, count] : words.sorted()) {
    symbols.clear();
    model.encode_piece(word, symbols);
    add_between_unknown(symbols, model.parts().unknown, count, text);
  }
  return text;
}

void check_byte_level(const Tokenizer& old) {
  if (bpe_of(old).pre_tokenizer.byte_level()) return;
  throw NotBuiltError("extending a tokenizer.json whose BPE starts from characters")
      .found(old.impl().file.string())
      .hint(concat(
          "such a file is made from a SentencePiece model: put tokenizer.model in its place, "
          "which can be extended",
          kTransformersReadsModel));
}

/// @return how many guard documents of each language the merges change.
std::map<std::string, int64_t> learn(const Tokenizer& old, const TextsByLanguage& new_texts,
                                     const TextsByLanguage& guard_texts,
                                     const ExtendOptions& options, VocabularyGrowth& growth,
                                     ExtendReport& report) {
  const bool sentencepiece = is_sentencepiece(old.impl().file);
  sentencepiece ? check_sentencepiece(old) : check_byte_level(old);
  NewText text = (sentencepiece ? segment_sentencepiece : segment)(old, new_texts);
  LearnLimits limits = limits_of(options, text.num_tokens);
  limits.spelling_joins = sentencepiece;
  MergeFilter filter(old, guard_texts, text.learner, limits.min_count, options);
  learn_merges(text.learner, growth, limits, [&](const MergeLearner::Candidate& pair) {
    if (!filter.accepts(pair, growth, report)) return false;
    report.last_saving = pair.count;
    return true;
  });
  check_learned(static_cast<int64_t>(growth.steps().size()), options, limits, report);
  find_witnesses(old, guard_texts, report.guard_rejected);
  std::map<std::string, int64_t> changes;
  for (const auto& [code, files] : guard_texts) changes[code] = filter.num_changed(code);
  return changes;
}

std::vector<NewToken> new_tokens(const Tokenizer& grown, const VocabularyGrowth& growth) {
  std::vector<NewToken> tokens;
  if (growth.steps().empty()) return tokens;
  const TokenId first = growth.steps().front().merged;
  auto parts = without_added_tokens(grown, first).impl().cut_alone(first);
  for (const VocabularyGrowth::Step& step : growth.steps()) {
    tokens.push_back({step.merged, step.left, step.right, std::move(parts[step.merged - first])});
  }
  return tokens;
}

}  // namespace

ExtendReport extend_tokenizer(const fs::path& source, const TextsByLanguage& new_texts,
                              const TextsByLanguage& guard_texts, const ExtendOptions& options,
                              const fs::path& folder) {
  check_options(options, new_texts, guard_texts);
  const fs::path file = tokenizer_file_of(source);
  refuse_second_tokenizer(file);
  const Tokenizer old = Tokenizer::load(file);
  ExtendReport report;
  VocabularyGrowth growth(old);
  const auto changes = learn(old, new_texts, guard_texts, options, growth, report);
  const GrownTokenizer files(file, old, growth.additions());
  const Tokenizer grown = files.load(folder / file.filename());
  report.tokens = new_tokens(grown, growth);
  report.merges_added = static_cast<int64_t>(growth.steps().size());
  report.unreachable = count_unreachable(grown, static_cast<TokenId>(old.size()));
  for (const TextsByLanguage* texts : {&new_texts, &guard_texts}) {
    for (const auto& [code, text_files] : *texts) {
      report.languages[code] = compare_segmentation(old, grown, text_files);
    }
  }
  check_promises(report, changes);
  files.write(folder);
  return report;
}

}  // namespace polygraft::tokenizer
