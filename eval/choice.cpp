// eval/choice.cpp: see choice.h.
#include "eval/choice.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/parallel.h"
#include "core/text.h"
#include "eval/sequence_scoring.h"
#include "tokenizer/utf8.h"
#include "tokenizer/white_space.h"

namespace polygraft::eval {
namespace {

using tokenizer::TokenId;
using Tokens = std::vector<TokenId>;

/// What a choice is scored as: `context` is never empty.
struct EncodedChoice {
  Tokens context, continuation;
};

class ChoiceEncoder {
 public:
  explicit ChoiceEncoder(const tokenizer::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  EncodedChoice encode(const std::string& context, const std::string& choice) const {
    if (context.empty()) return encode_alone(choice);
    // White space at the context's end belongs to the choice, so that words keep their tokens.
    const size_t end = tokenizer::without_trailing_space(context);
    EncodedChoice encoded{with_template(context.substr(0, end)), {}};
    const Tokens whole = with_template(context + choice);
    const size_t shared = std::min(encoded.context.size(), whole.size());
    encoded.continuation.assign(whole.begin() + static_cast<std::ptrdiff_t>(shared), whole.end());
    if (encoded.context.empty()) encoded.context = {tokenizer_.prefix_id()};
    return encoded;
  }

 private:
  EncodedChoice encode_alone(const std::string& choice) const {
    Tokens tokens = tokenizer_.encode(choice);
    const TokenId prefix = tokenizer_.prefix_id();
    if (!tokens.empty() && tokens.front() == prefix) tokens.erase(tokens.begin());
    return {{prefix}, std::move(tokens)};
  }

  Tokens with_template(const std::string& text) const {
    Tokens tokens = tokenizer_.special_template().before;
    tokenizer_.encode_append(text, tokens);
    return tokens;
  }

  const tokenizer::Tokenizer& tokenizer_;
};

/// The context's last token and the continuation but its last: what the choice's tokens are
/// predicted from.
void append_choice(const EncodedChoice& choice, TokenWindow& window) {
  TokenId input = choice.context.back();
  for (const TokenId target : choice.continuation) {
    window.inputs.push_back(input);
    window.targets.push_back(target);
    input = target;
  }
}

/// Tokens before the first prediction; at most `max_tokens` of them.
void append_trunk(const Tokens& context, size_t max_tokens, TokenWindow& window) {
  const size_t available = context.size() - 1;
  for (size_t i = available - std::min(available, max_tokens); i < available; ++i) {
    window.inputs.push_back(context[i]);
    window.targets.push_back(-1);
  }
}

void check_choice(const ChoiceItem& item, size_t index, const EncodedChoice& choice,
                  size_t max_tokens) {
  const std::string where = concat("item '", item.id, "', choice ", index);
  if (choice.continuation.empty()) {
    throw ConfigError(where, "the choice adds no token to its context")
        .hint("move the last character of the context into every choice");
  }
  if (choice.continuation.size() > max_tokens) {
    throw ConfigError(where, "the choice is longer than the model's context")
        .expected(concat("at most ", max_tokens, " tokens"))
        .found(concat(choice.continuation.size()));
  }
}

/// One sequence with a branch for each choice; or, where the context does not fit before all of
/// them or differs between them, a sequence for each choice.
std::vector<ScoredSequence> make_sequences(size_t item, const std::vector<EncodedChoice>& choices,
                                           size_t max_tokens) {
  size_t longest = 0;
  bool shared = true;
  for (const EncodedChoice& choice : choices) {
    longest = std::max(longest, choice.continuation.size());
    shared = shared && choice.context == choices.front().context;
  }
  std::vector<ScoredSequence> sequences;
  if (shared && choices.front().context.size() - 1 + longest <= max_tokens) {
    ScoredSequence& all = sequences.emplace_back(ScoredSequence{item, {}});
    append_trunk(choices.front().context, max_tokens, all.window);
    for (const EncodedChoice& choice : choices) {
      append_choice(choice, all.window);
      all.branches.push_back(static_cast<int64_t>(choice.continuation.size()));
    }
    return sequences;
  }
  for (const EncodedChoice& choice : choices) {
    ScoredSequence& one = sequences.emplace_back(ScoredSequence{item, {}});
    append_trunk(choice.context, max_tokens - choice.continuation.size(), one.window);
    append_choice(choice, one.window);
  }
  return sequences;
}

/// What is known of the scores before the model ran.
ChoiceScore count(const ChoiceItem& item, const std::vector<EncodedChoice>& choices) {
  ChoiceScore score;
  for (size_t c = 0; c < choices.size(); ++c) {
    score.choices.push_back({0, static_cast<int64_t>(choices[c].continuation.size()),
                             static_cast<int64_t>(item.choices[c].size()),
                             num_characters(item.choices[c])});
  }
  return score;
}

/// Adds the sequences' nats to the scores; choices follow each other in `sequences` as in the item,
/// each one's tokens being the last ones of its branch or sequence.
void collect(const std::vector<ScoredSequence>& sequences, std::vector<ChoiceScore>& scores) {
  size_t owner = SIZE_MAX, choice = 0;
  for (const ScoredSequence& sequence : sequences) {
    if (sequence.owner != owner) choice = 0;
    owner = sequence.owner;
    const bool branched = !sequence.branches.empty();
    const size_t num_choices = branched ? sequence.branches.size() : 1;
    auto end = sequence.nats_L.end();
    for (size_t c = num_choices; c-- > 0;) {
      ChoiceScore::Choice& scored = scores[owner].choices[choice + c];
      const auto begin = end - scored.num_tokens;
      scored.nats = std::accumulate(begin, end, 0.0);
      end = begin;
    }
    choice += num_choices;
  }
}

template <class Divisor>
bool is_gold_likeliest(const ChoiceScore& score, int64_t gold, Divisor divisor) {
  const auto nats = [&](const ChoiceScore::Choice& c) {
    return c.nats / static_cast<double>(divisor(c));
  };
  const auto best =
      std::min_element(score.choices.begin(), score.choices.end(),
                       [&](const auto& a, const auto& b) { return nats(a) < nats(b); });
  return best - score.choices.begin() == gold;
}

}  // namespace

ChoiceAccuracy accuracy_of(const ChoiceScore& score, int64_t gold) {
  using Choice = ChoiceScore::Choice;
  return {is_gold_likeliest(score, gold, [](const Choice&) { return 1; }),
          is_gold_likeliest(score, gold, [](const Choice& c) { return c.num_characters; }),
          is_gold_likeliest(score, gold, [](const Choice& c) { return c.num_bytes; }),
          is_gold_likeliest(score, gold, [](const Choice& c) { return c.num_tokens; })};
}

std::vector<ChoiceScore> score_choices(const model::Transformer& transformer,
                                       const tokenizer::Tokenizer& tokenizer,
                                       const std::vector<ChoiceItem>& items,
                                       const ScoreOptions& options) {
  const auto max_tokens = static_cast<size_t>(context_tokens(transformer, options));
  const ChoiceEncoder encoder(tokenizer);
  std::vector<std::vector<EncodedChoice>> encoded(items.size());
  parallel_for(items.size(), /*num_threads=*/0, [&](size_t i) {
    for (const std::string& choice : items[i].choices) {
      encoded[i].push_back(encoder.encode(items[i].context, choice));
      check_choice(items[i], encoded[i].size() - 1, encoded[i].back(), max_tokens);
    }
  });
  std::vector<ChoiceScore> scores;
  std::vector<ScoredSequence> sequences;
  for (size_t i = 0; i < items.size(); ++i) {
    scores.push_back(count(items[i], encoded[i]));
    for (ScoredSequence& sequence : make_sequences(i, encoded[i], max_tokens)) {
      sequences.push_back(std::move(sequence));
    }
  }
  score_sequences(sequences, transformer, options,
                  [&](size_t i) { return concat("item '", items[i].id, "'"); });
  collect(sequences, scores);
  return scores;
}

}  // namespace polygraft::eval
