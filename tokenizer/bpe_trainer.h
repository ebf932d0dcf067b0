// tokenizer/bpe_trainer.h: byte-level BPE learned from text (Sennrich et al. 2016), from nothing or
// continued after existing merges. Learning is deterministic: most frequent pair first, ties to the
// smaller (left, right) ids.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

struct TrainOptions {
  int64_t vocab_size = 4096;      ///< entries, the 256 bytes and the special tokens included
  std::string pattern = "qwen2";  ///< pre-tokenizer pattern: "gpt2", "qwen2" or "llama3"
  std::string bos_token = "<|bos|>";
  std::string eos_token = "<|eos|>";
};

/// @throws ConfigError for a pattern that is not known, or a vocabulary without room for the bytes.
void check_options(const TrainOptions& options);

/// Learns a tokenizer and writes tokenizer.json and tokenizer_config.json into `folder` (made if
/// missing), in the form transformers loads (PreTrainedTokenizerFast).
void train_tokenizer(const std::vector<fs::path>& texts, const TrainOptions& options,
                     const fs::path& folder);

struct ExtendOptions {
  /// Merges to learn, one new token each; none: as many as save `min_saving` (`auto`).
  std::optional<int64_t> new_tokens = 800;
  /// Learning ends, with `auto`, at a merge that saves fewer tokens per token of the new text, as
  /// the old tokenizer cuts it: 1e-4 is one token in 10,000.
  double min_saving = 1e-4;
  int64_t min_count = 2;  ///< a pair seen less often in the new text is not merged
  /// Whether merges may cross a script or digit boundary (script_boundary.h).
  bool cross_script = false;
  /// Share of each old language's guard documents that may be cut differently (guard_budget.h).
  double guard_max_changed = 0.0;
};

/// @throws ConfigError listing every problem. @param new_texts, guard_texts: files by language.
void check_options(const ExtendOptions& options,
                   const std::map<std::string, std::vector<fs::path>>& new_texts,
                   const std::map<std::string, std::vector<fs::path>>& guard_texts);

/// "auto" (none) or a number of merges. @throws ConfigError naming `where`.
std::optional<int64_t> parse_new_tokens(const std::string& text, const std::string& where);

/// A candidate that the guard turned down, and the text that did it.
struct GuardRejection {
  TokenId left, right;
  std::string pair;                ///< "left right", as tokenizer.json spells them
  int64_t count = 0;               ///< how often the new text had the pair when it was offered
  std::string language, document;  ///< the first guard document that would be cut differently
  std::string text;                ///< the words there
};

struct LanguageSegmentation {
  int64_t bytes = 0;
  int64_t tokens_before = 0, tokens_after = 0;
  int64_t documents = 0, changed_documents = 0;
};

struct NewToken {
  TokenId id;
  TokenId left, right;  ///< the merge that makes it
  std::vector<TokenId>
      old_tokens;  ///< its bytes as the old tokenizer's merges split them, for initialisation
};

struct ExtendReport {
  std::vector<NewToken> tokens;
  int64_t merges_added = 0;
  int64_t unreachable =
      0;  ///< counted by encoding each new token's text after writing; an error when not 0
  std::vector<GuardRejection> guard_rejected;  ///< in order of rejection, at most 1,000 listed
  int64_t guard_rejected_total = 0;
  int64_t guard_admitted = 0;   ///< forbidden pairs that the guard's budget allowed
  int64_t script_rejected = 0;  ///< pairs that cross a script or digit boundary
  int64_t last_saving = 0;      ///< tokens that the last merge saves in the new text, at most
  std::map<std::string, LanguageSegmentation> languages;
  Json to_json() const;  ///< the keys of `tokenizer extend --json`
};

/// Continued BPE: merges learned on `new_texts`, as the old merges split them, are appended after
/// all old merges, so the old ones keep their ranks. Guard: a pair of two old tokens that is
/// adjacent anywhere in the segmented guard text is rejected, unless the budget allows it; a pair
/// that holds a new token cannot occur in a document that is to stay as it is, and is free. Writes
/// tokenizer.json and copies the other tokenizer files of `source` into `folder`. New ids start at
/// source.size(). @param new_texts, guard_texts: files by language.
/// @throws FormatError when tokenizer.json is no byte-level BPE; NumericError when no merge can be
/// learned.
ExtendReport extend_tokenizer(const fs::path& source,
                              const std::map<std::string, std::vector<fs::path>>& new_texts,
                              const std::map<std::string, std::vector<fs::path>>& guard_texts,
                              const ExtendOptions& options, const fs::path& folder);

}  // namespace polygraft::tokenizer
