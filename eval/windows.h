// eval/windows.h: a document longer than the context as windows in which each token is scored
// exactly once. Reference: lm-eval 0.4.13, utils.get_rolling_token_windows with context_len = 1 and
// make_disjoint_window, as models/huggingface.py feeds them: the first window is conditioned on the
// prefix token, each following one on the token before it, and the last is filled up with as much
// left context as fits.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace polygraft::eval {

struct TokenWindow {
  std::vector<int64_t> inputs;   ///< at most `max_tokens`
  std::vector<int64_t> targets;  ///< the token after each input; -1 = scored in an earlier window
};

/// @param prefix what the first token is conditioned on. @param max_tokens inputs per window,
/// prefix included; > 0.
std::vector<TokenWindow> rolling_windows(std::span<const tokenizer::TokenId> tokens,
                                         tokenizer::TokenId prefix, int64_t max_tokens);

}  // namespace polygraft::eval
