// eval/generation.h: text from a model: greedy, or sampled from the likeliest tokens (nucleus
// sampling, Holtzman et al. 2020). To look at what a model says, and beside the masked base; not a
// serving engine.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/config.h"
#include "model/architecture/transformer.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::eval {

struct GenerationOptions {
  int64_t max_new_tokens = 128;
  double temperature = 0;  ///< 0: the likeliest token always
  double top_p = 1;        ///< the fewest likeliest tokens that hold this mass take part
  int64_t seed = 17;

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("max_new_tokens", max_new_tokens, "tokens to add, at most");
    v.field("temperature", temperature, "0: greedy; above: scores are divided by it and sampled");
    v.field("top_p", top_p, "the fewest likeliest tokens that hold this mass take part");
    v.field("seed", seed, "of sampling");
  }
  void validate(Problems& problems) const;
};

/// What the rows of a vocabulary are to a text.
struct TextRows {
  std::vector<tokenizer::TokenId> end_tokens;     ///< any of them ends the text
  std::vector<tokenizer::TokenId> no_token = {};  ///< never chosen
};

struct Generated {
  std::vector<tokenizer::TokenId> tokens;  ///< the added ones, without the one that ended the text
  bool ended = false;  ///< by an end token, not by max_new_tokens or the context
};

/// @param prompt ids, BOS included where the model wants one. @param on_token called with each
/// added token, as it is chosen.
/// @throws ConfigError for an empty prompt, or one that fills the model's context.
Generated generate(const model::Transformer& transformer,
                   const std::vector<tokenizer::TokenId>& prompt, const TextRows& rows,
                   const GenerationOptions& options, const model::Mask& mask = {},
                   const std::function<void(tokenizer::TokenId)>& on_token = nullptr);

/// Several prompts side by side, so that weights are read once a token for all of them. Each is
/// continued as generate() would with its own options, but for rounding: a product's last bits may
/// depend on how many rows it has. @throws as generate() does.
struct GenerationRequest {
  std::vector<tokenizer::TokenId> prompt;
  GenerationOptions options;
};
std::vector<Generated> generate_all(const model::Transformer& transformer,
                                    const std::vector<GenerationRequest>& requests,
                                    const TextRows& rows, const model::Mask& mask = {});

/// Rows that stand for no token: a matrix may be padded beyond its tokenizer, which may have holes,
/// too. With the head's additions masked they are the base's: an added token may stand in the place
/// of a spare row.
std::vector<tokenizer::TokenId> rows_without_token(const model::Transformer& transformer,
                                                   const tokenizer::Tokenizer& tokenizer,
                                                   const model::Mask& mask = {});

/// What ends a text of this model: `eos_token_id` of generation_config.json (one or several), or
/// else the tokenizer's EOS; empty when neither says.
std::vector<tokenizer::TokenId> read_end_tokens(const std::filesystem::path& model_folder,
                                                const tokenizer::Tokenizer& tokenizer);

}  // namespace polygraft::eval
