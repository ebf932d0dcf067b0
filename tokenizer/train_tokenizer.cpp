// tokenizer/train_tokenizer.cpp: byte-level BPE learned from nothing; see bpe_trainer.h.
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/tokenizer_writer.h"
#include "tokenizer/vocabulary_growth.h"
#include "tokenizer/word_counts.h"

namespace polygraft::tokenizer {
namespace {

MergeLearner learner_of_bytes(const Tokenizer& base, const WordCounts& words) {
  MergeLearner learner;
  std::vector<TokenId> symbols;
  for (const auto& [word, count] : words.sorted()) {
    symbols.clear();
    bpe_of(base).model.merge_piece(word, symbols);  // no merges yet: its bytes
    learner.add_word(symbols, count);
  }
  return learner;
}

NewTokenizerOptions form_of(const TrainOptions& options) {
  return {options.pattern, options.bos_token, options.eos_token};
}

/// The bytes and the special tokens.
Tokenizer load_empty(const std::string& json, const fs::path& file) {
  return Tokenizer(parse_tokenizer(json, file, /*config_folder=*/{}));
}

}  // namespace

void check_options(const TrainOptions& options) {
  const int64_t least = load_empty(empty_tokenizer_json(form_of(options)), "tokenizer.json").size();
  if (options.vocab_size >= least) return;
  throw ConfigError("vocab_size", concat(options.vocab_size, " is too small"))
      .expected(concat("at least ", least, ": the 256 bytes and the special tokens"));
}

void train_tokenizer(const std::vector<fs::path>& texts, const TrainOptions& options,
                     const fs::path& folder) {
  check_options(options);
  const NewTokenizerOptions form = form_of(options);
  const fs::path file = folder / "tokenizer.json";
  const std::string empty = empty_tokenizer_json(form);
  const Tokenizer base = load_empty(empty, file);
  WordCounts words;
  words.add_files(base, texts);
  MergeLearner learner = learner_of_bytes(base, words);
  VocabularyGrowth growth(base);
  const int64_t num_merges = options.vocab_size - base.size();
  learn_merges(learner, growth, {num_merges, /*min_count=*/1},
               [](const MergeLearner::Candidate&) { return true; });
  const auto num_learned = static_cast<int64_t>(growth.steps().size());
  if (num_learned < num_merges) {
    throw NumericError("tokenizer train",
                       concat("the text is used up after ", num_learned, " merges"))
        .expected(concat(num_merges, " merges for a vocabulary of ", options.vocab_size))
        .hint(concat("more text, or a vocabulary of at most ", base.size() + num_learned));
  }
  create_folders(folder);
  write_file_atomically(file, add_to_tokenizer_json(empty, growth.additions(), file));
  write_file_atomically(folder / "tokenizer_config.json", tokenizer_config_json(form));
}

}  // namespace polygraft::tokenizer
