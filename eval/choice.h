// eval/choice.h: multiple-choice questions under a model: the log-likelihood of every choice after
// its context. Reference: lm-eval 0.4.13, api/model.py (_encode_pair, loglikelihood),
// models/huggingface.py (truncation) and api/task.py (multiple_choice: acc, acc_norm, acc_bytes)
// with target_delimiter "". A question's context is computed once for all its choices.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/scoring.h"

namespace polygraft::eval {

/// One line {"id", "language", "context", "choices", "gold"} of a task file; further keys are kept.
struct ChoiceItem {
  std::string id;
  std::string language;
  std::string context;               ///< may be empty
  std::vector<std::string> choices;  ///< at least two, none empty; context + choice is the text
  int64_t gold = 0;                  ///< index of the right one, from 0
  OrderedJson json;                  ///< the line as read
};

/// Items by task: the file's name without extension, with "_<language>" behind it unless it ends
/// so. Files may be .jsonl, .jsonl.gz or .jsonl.zst.
/// @throws FormatError naming file and line for what is no item, and for an id that a task has
/// twice; ConfigError for no files or another extension.
std::map<std::string, std::vector<ChoiceItem>> read_choice_items(
    const std::vector<std::filesystem::path>& files);

/// The first place where a context and a choice join two ASCII letters or digits, as where the
/// choices lack their leading space: "quiz_id, item 'a': 'Klikkanan'". "" without any.
std::string find_joined_words(const std::map<std::string, std::vector<ChoiceItem>>& tasks);

struct ChoiceScore {
  struct Choice {
    double nats = 0;  ///< negative log-likelihood of the choice's tokens, given the context
    int64_t num_tokens = 0, num_bytes = 0, num_characters = 0;
  };
  std::vector<Choice> choices;
};

/// Whether the gold choice is the likeliest (the first of equals, as numpy.argmax), by:
struct ChoiceAccuracy {
  bool raw = false;            ///< acc: log-likelihood
  bool by_characters = false;  ///< acc_norm: divided by the choice's code points
  bool by_bytes = false;       ///< acc_bytes: by its UTF-8 bytes
  bool by_tokens = false;      ///< acc_tokens: by its tokens (not in lm-eval)
};
ChoiceAccuracy accuracy_of(const ChoiceScore& score, int64_t gold);

/// The metrics of a task, by their names in results.
struct AccuracyMetric {
  const char* name;
  bool ChoiceAccuracy::*is_right;
};
inline constexpr AccuracyMetric kAccuracyMetrics[] = {{"acc", &ChoiceAccuracy::raw},
                                                      {"acc_norm", &ChoiceAccuracy::by_characters},
                                                      {"acc_bytes", &ChoiceAccuracy::by_bytes},
                                                      {"acc_tokens", &ChoiceAccuracy::by_tokens}};

/// Scores in the items' order. A context that is too long loses its beginning. What the tokenizer's
/// template puts before a text comes before the context; without context and template a choice
/// follows BOS (EOS where there is none).
/// @throws ConfigError naming the item for a choice without a token of its own, or one longer than
/// the context.
std::vector<ChoiceScore> score_choices(const model::Transformer& transformer,
                                       const tokenizer::Tokenizer& tokenizer,
                                       const std::vector<ChoiceItem>& items,
                                       const ScoreOptions& options);

/// The items of one task and what they scored.
struct ChoiceTask {
  std::vector<ChoiceItem> items;
  std::vector<ChoiceScore> scores;
};

/// The share of a task's items that are right.
double accuracy_of(const ChoiceTask& task, const AccuracyMetric& metric);

/// What one evaluation measured.
struct ChoiceResult {
  std::string model_path;
  std::string model_hash;
  OrderedJson config = OrderedJson::object();  ///< resolved options, carried along
  std::map<std::string, ChoiceTask> tasks;
};

/// Writes results_<time>.json and samples_<task>_<time>.jsonl into `folder`: an AtomicFolder's
/// path, or a new folder. The hashes are those that lm-eval gives the same items.
/// @throws ConfigError for a task that cannot be part of a file name, or a folder in use.
void write_choice_result(const ChoiceResult& result, const std::filesystem::path& folder);

}  // namespace polygraft::eval
