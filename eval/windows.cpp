// eval/windows.cpp: see windows.h.
#include "eval/windows.h"

#include <algorithm>

namespace polygraft::eval {

std::vector<TokenWindow> rolling_windows(std::span<const tokenizer::TokenId> tokens,
                                         tokenizer::TokenId prefix, int64_t max_tokens) {
  const auto num_tokens = static_cast<int64_t>(tokens.size());
  // Token t is predicted from input t of the sequence (prefix, token 0, token 1, ...).
  const auto input_at = [&](int64_t t) -> int64_t { return t == 0 ? prefix : tokens[t - 1]; };
  std::vector<TokenWindow> windows;
  for (int64_t predicted = 0; predicted < num_tokens;) {
    const int64_t end = std::min(predicted + max_tokens, num_tokens);
    const int64_t begin = std::max<int64_t>(end - max_tokens, 0);
    TokenWindow window;
    for (int64_t t = begin; t < end; ++t) {
      window.inputs.push_back(input_at(t));
      window.targets.push_back(t < predicted ? -1 : int64_t{tokens[t]});
    }
    windows.push_back(std::move(window));
    predicted = end;
  }
  return windows;
}

}  // namespace polygraft::eval
