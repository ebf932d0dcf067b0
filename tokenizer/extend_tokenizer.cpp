// tokenizer/extend_tokenizer.cpp: continued BPE with the guard; see bpe_trainer.h and
// extend_guard.h.
#include <array>

#include "core/config.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/extend_guard.h"
#include "tokenizer/extend_report.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/tokenizer_writer.h"
#include "tokenizer/vocabulary_growth.h"
#include "tokenizer/word_counts.h"

namespace polygraft::tokenizer {
namespace {

constexpr size_t kMostRejectedListed = 1000;
constexpr std::array kFilesCopied{"tokenizer_config.json", "special_tokens_map.json",
                                  "added_tokens.json", "chat_template.jinja", "chat_template.json"};
using TextsByLanguage = std::map<std::string, std::vector<fs::path>>;

void check_options(const ExtendOptions& options, const TextsByLanguage& new_texts,
                   const TextsByLanguage& guard_texts) {
  if (options.guard_max_changed > 0) {
    throw NotBuiltError("tokenizer extend with guard_max_changed above 0").expected("0");
  }
  Problems problems;
  problems.require(options.guard_max_changed == 0, "guard_max_changed",
                   fixed(options.guard_max_changed, 3), "must be 0");
  problems.require(options.new_tokens > 0, "new_tokens", std::to_string(options.new_tokens),
                   "must be at least 1");
  problems.require(options.min_count > 0, "min_count", std::to_string(options.min_count),
                   "must be at least 1");
  for (const auto& [code, files] : new_texts) {
    problems.require(guard_texts.count(code) == 0, "languages", code,
                     "cannot be new and guarded at once");
  }
  problems.throw_if_any("tokenizer extend");
}

MergeLearner learner_of_old_tokens(const Tokenizer& old, const TextsByLanguage& texts) {
  WordCounts words;
  for (const auto& [language, files] : texts) words.add_files(old, files);
  MergeLearner learner;
  std::vector<TokenId> symbols;
  for (const auto& [word, count] : words.sorted()) {
    symbols.clear();
    bpe_of(old).model.encode_piece(word, symbols);
    learner.add_word(symbols, count);
  }
  return learner;
}

void learn(const Tokenizer& old, const ExtendGuard& guard, const TextsByLanguage& new_texts,
           const ExtendOptions& options, VocabularyGrowth& growth, ExtendReport& report) {
  MergeLearner learner = learner_of_old_tokens(old, new_texts);
  const auto accept = [&](const MergeLearner::Candidate& pair, const std::string& text) {
    const std::string bytes = from_alphabet(text).value_or(text);
    if (!guard.forbids(pair.left, pair.right, bytes)) return true;
    ++report.guard_rejected_total;
    if (report.guard_rejected.size() < kMostRejectedListed) {
      report.guard_rejected.push_back(concat(growth.text(pair.left), " ", growth.text(pair.right)));
    }
    return false;
  };
  learn_merges(learner, growth, {options.new_tokens, options.min_count}, accept);
  const auto num_learned = static_cast<int64_t>(growth.steps().size());
  if (num_learned == 0) {
    throw NumericError("tokenizer extend", "no merge can be learned")
        .expected(concat("a pair of tokens seen ", options.min_count, " times in the new text"))
        .found(concat(report.guard_rejected_total, " pairs rejected by the guard"))
        .hint("more new text, or less guard text of the same script");
  }
  if (num_learned < options.new_tokens) {
    log_warn(concat("tokenizer extend: the new text gives ", num_learned, " merges, ",
                    options.new_tokens, " were asked for"));
  }
}

/// Hugging Face tokenizers number added tokens that model.vocab lacks from its size on. New entries
/// would shift them, so they are entered with the ids they have.
void pin_added_tokens(const std::string& source_text, const fs::path& source, const Tokenizer& old,
                      VocabularyAdditions& additions) {
  const Json root = parse_json(source_text, source);
  const Json& vocabulary = root["model"]["vocab"];
  std::vector<std::pair<std::string, TokenId>> pinned;
  for (TokenId id = 0; id < old.size(); ++id) {
    const std::string& token = old.token(id);
    if (!token.empty() && !vocabulary.contains(token)) pinned.emplace_back(token, id);
  }
  additions.tokens.insert(additions.tokens.begin(), pinned.begin(), pinned.end());
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

/// What the guard and continued BPE promise, looked at in the result. A failure is a fault of this
/// program.
void check_promises(const ExtendReport& report, const TextsByLanguage& guard_texts) {
  const char* const kWhere = "tokenizer extend";
  if (report.unreachable != 0) {
    throw NumericError(kWhere, concat(report.unreachable, " new tokens are not reachable"))
        .hint("nothing was written; please report this with the tokenizer");
  }
  for (const auto& [code, files] : guard_texts) {
    const int64_t changed = report.languages.at(code).changed_documents;
    if (changed == 0) continue;
    throw NumericError(kWhere, concat("the guard failed for language '", code, "'"))
        .expected("the same ids for every guard document")
        .found(concat(changed, " documents changed"))
        .hint("nothing was written; please report this with the tokenizer");
  }
}

void write_folder(const fs::path& source_folder, const std::string& tokenizer_json,
                  const VocabularyAdditions& additions, const fs::path& folder) {
  create_folders(folder);
  for (const char* name : kFilesCopied) {
    if (!fs::exists(source_folder / name)) continue;
    write_file_atomically(folder / name, read_file(source_folder / name));
  }
  const fs::path vocab = source_folder / "vocab.json", merges = source_folder / "merges.txt";
  if (fs::exists(vocab) && fs::exists(merges)) {
    const std::string vocab_text = read_file(vocab);
    parse_json(vocab_text, vocab);
    write_file_atomically(folder / "vocab.json", add_to_vocab_json(vocab_text, additions, vocab));
    write_file_atomically(folder / "merges.txt", add_to_merges_txt(read_file(merges), additions));
  }
  write_file_atomically(folder / "tokenizer.json", tokenizer_json);
}

}  // namespace

ExtendReport extend_tokenizer(const fs::path& source, const TextsByLanguage& new_texts,
                              const TextsByLanguage& guard_texts, const ExtendOptions& options,
                              const fs::path& folder) {
  check_options(options, new_texts, guard_texts);
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
  learn(old, ExtendGuard(old, guard_texts), new_texts, options, growth, report);
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
  check_promises(report, guard_texts);
  write_folder(source_folder, text, additions, folder);
  return report;
}

}  // namespace polygraft::tokenizer
