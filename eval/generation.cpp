// eval/generation.cpp: see generation.h.
#include "eval/generation.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/json.h"
#include "core/random.h"
#include "core/stop.h"
#include "core/text.h"

namespace polygraft::eval {
namespace {

using tokenizer::TokenId;

/// Draws from float32 scores [V] on the CPU. Ties go to the lower id.
class TokenChooser {
 public:
  explicit TokenChooser(const GenerationOptions& options)
      : options_(options), random_(static_cast<uint64_t>(options.seed), "generate") {}

  TokenId choose(const at::Tensor& scores_V) {
    if (options_.temperature == 0) return static_cast<TokenId>(scores_V.argmax().item<int64_t>());
    const at::Tensor mass_V = at::softmax(scores_V.to(at::kDouble) / options_.temperature, 0);
    const auto [sorted_V, ids_V] = at::sort(mass_V, /*stable=*/true, 0, /*descending=*/true);
    const at::Tensor up_to_V = sorted_V.cumsum(0);
    const double* up_to = up_to_V.const_data_ptr<double>();
    const int64_t num_ids = up_to_V.numel();
    const int64_t nucleus = std::lower_bound(up_to, up_to + num_ids, options_.top_p) - up_to;
    const int64_t last = std::min(nucleus, num_ids - 1);
    const double drawn = random_.uniform() * up_to[last];
    const int64_t place = std::upper_bound(up_to, up_to + last, drawn) - up_to;
    return static_cast<TokenId>(ids_V.const_data_ptr<int64_t>()[place]);
  }

 private:
  GenerationOptions options_;
  RandomStream random_;
};

void check_prompt(const std::vector<TokenId>& prompt, int64_t max_positions) {
  const auto length = static_cast<int64_t>(prompt.size());
  if (length > 0 && length < max_positions) return;
  throw ConfigError("prompt", length == 0 ? "is empty" : "leaves no room in the model's context")
      .expected(concat("1 to ", max_positions - 1, " tokens"))
      .found(concat(length));
}

at::Tensor last_scores(const model::Transformer& transformer, const at::Tensor& hidden_TD,
                       const model::Mask& mask) {
  const at::Tensor last_1D = hidden_TD.narrow(0, hidden_TD.size(0) - 1, 1);
  const at::Tensor scores_V = transformer.logits(last_1D, mask).squeeze(0).cpu();
  if (scores_V.isfinite().all().item<bool>()) return scores_V;
  throw NumericError("generation", "the next token's scores are not finite")
      .hint("the model's weights may hold NaN or infinity");
}

}  // namespace

void GenerationOptions::validate(Problems& problems) const {
  problems.require(max_new_tokens >= 1, "max_new_tokens", concat(max_new_tokens),
                   "must be 1 or more");
  problems.require(temperature >= 0 && std::isfinite(temperature), "temperature",
                   concat(temperature), "must be 0 or more");
  problems.require(top_p > 0 && top_p <= 1, "top_p", concat(top_p), "must be above 0, up to 1");
  problems.require(seed >= 0, "seed", concat(seed), "must not be negative");
}

Generated generate(const model::Transformer& transformer, const std::vector<TokenId>& prompt,
                   const std::vector<TokenId>& end_tokens, const GenerationOptions& options,
                   const model::Mask& mask, const std::function<void(TokenId)>& on_token) {
  const at::NoGradGuard no_grad;
  const int64_t max_positions = transformer.config().max_positions;
  check_prompt(prompt, max_positions);
  const int64_t room = max_positions - static_cast<int64_t>(prompt.size());
  const int64_t max_new = std::min(options.max_new_tokens, room);
  TokenChooser chooser(options);
  model::KeyValueCache cache;
  Generated generated;
  at::Tensor next_T = at::tensor(std::vector<int64_t>(prompt.begin(), prompt.end()), at::kLong);
  for (int64_t i = 0; i < max_new; ++i) {
    throw_if_stopped();
    const at::Tensor hidden_TD = transformer.hidden_next(next_T, cache, mask);
    const TokenId token = chooser.choose(last_scores(transformer, hidden_TD, mask));
    generated.ended = std::find(end_tokens.begin(), end_tokens.end(), token) != end_tokens.end();
    if (generated.ended) break;
    generated.tokens.push_back(token);
    if (on_token) on_token(token);
    next_T = at::tensor({static_cast<int64_t>(token)}, at::kLong);
  }
  return generated;
}

std::vector<TokenId> read_end_tokens(const std::filesystem::path& model_folder,
                                     const tokenizer::Tokenizer& tokenizer) {
  const std::filesystem::path file = model_folder / "generation_config.json";
  const Json json = std::filesystem::exists(file) ? read_json(file) : Json::object();
  const auto entry = json.find("eos_token_id");
  if (entry != json.end() && entry->is_array()) {
    return json_get<std::vector<TokenId>>(json, "eos_token_id", file);
  }
  if (entry != json.end() && !entry->is_null()) {
    return {json_get<TokenId>(json, "eos_token_id", file)};
  }
  if (const auto eos = tokenizer.eos_id()) return {*eos};
  return {};
}

}  // namespace polygraft::eval
