// eval/generation.cpp: see generation.h.
#include "eval/generation.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include "core/error.h"
#include "core/json.h"
#include "core/random.h"
#include "core/stop.h"
#include "core/text.h"
#include "model/architecture/upload.h"

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

at::Tensor finite(const at::Tensor& scores) {
  if (scores.isfinite().all().item<bool>()) return scores;
  throw NumericError("generation", "the next token's scores are not finite")
      .hint("the model's weights may hold NaN or infinity");
}

/// One text on its way.
struct Writing {
  Writing(const GenerationRequest& request, Generated& generated, int64_t max_positions)
      : chooser(request.options), result(generated), next(request.prompt) {
    check_prompt(request.prompt, max_positions);
    const int64_t room = max_positions - static_cast<int64_t>(request.prompt.size());
    tokens_left = std::min(request.options.max_new_tokens, room);
  }

  TokenChooser chooser;
  Generated& result;
  std::vector<TokenId> next;  ///< what the model has not seen yet
  int64_t tokens_left = 0;
  model::KeyValueCache cache;
};

model::Batch next_tokens(const std::vector<Writing*>& texts) {
  std::vector<int64_t> ids, lengths;
  for (const Writing* text : texts) {
    ids.insert(ids.end(), text->next.begin(), text->next.end());
    lengths.push_back(static_cast<int64_t>(text->next.size()));
  }
  return {at::tensor(ids, at::kLong), lengths};
}

/// float32 [S, V]: what each text goes on with, scored; -inf for what is no token.
at::Tensor next_scores(const model::Transformer& transformer, const std::vector<Writing*>& texts,
                       const at::Tensor& no_token_N, const model::Mask& mask) {
  const model::Batch batch = next_tokens(texts);
  std::vector<model::KeyValueCache*> caches;
  for (Writing* text : texts) caches.push_back(&text->cache);
  const at::Tensor hidden_TD = transformer.hidden_next(batch, caches, mask);
  const at::Tensor last_S = at::tensor(batch.lengths, at::kLong).cumsum(0) - 1;
  const at::Tensor hidden_SD =
      hidden_TD.index_select(0, model::sent_to(hidden_TD.device(), last_S));
  const at::Tensor scores_SV = finite(transformer.logits(hidden_SD, mask).cpu());
  if (no_token_N.numel() == 0) return scores_SV;
  return scores_SV.index_fill(1, no_token_N, -std::numeric_limits<double>::infinity());
}

using TokenListener = std::function<void(TokenId)>;

/// Adds one token to each text. @return those that are not finished.
std::vector<Writing*> add_tokens(const std::vector<Writing*>& texts, const at::Tensor& scores_SV,
                                 const std::vector<TokenId>& end_tokens,
                                 const TokenListener& on_token) {
  std::vector<Writing*> unfinished;
  for (size_t s = 0; s < texts.size(); ++s) {
    Writing& text = *texts[s];
    const TokenId token = text.chooser.choose(scores_SV[static_cast<int64_t>(s)]);
    text.result.ended = std::find(end_tokens.begin(), end_tokens.end(), token) != end_tokens.end();
    if (text.result.ended) continue;
    text.result.tokens.push_back(token);
    if (on_token) on_token(token);
    text.next = {token};
    if (--text.tokens_left > 0) unfinished.push_back(&text);
  }
  return unfinished;
}

std::vector<Generated> write_all(const model::Transformer& transformer,
                                 const std::vector<GenerationRequest>& requests,
                                 const TextRows& rows, const model::Mask& mask,
                                 const TokenListener& on_token) {
  const at::NoGradGuard no_grad;
  const at::Tensor no_token_N =
      at::tensor(std::vector<int64_t>(rows.no_token.begin(), rows.no_token.end()), at::kLong);
  std::vector<Generated> generated(requests.size());
  std::deque<Writing> texts;
  std::vector<Writing*> unfinished;
  for (size_t i = 0; i < requests.size(); ++i) {
    texts.emplace_back(requests[i], generated[i], transformer.config().max_positions);
    unfinished.push_back(&texts.back());
  }
  while (!unfinished.empty()) {
    throw_if_stopped();
    const at::Tensor scores_SV = next_scores(transformer, unfinished, no_token_N, mask);
    unfinished = add_tokens(unfinished, scores_SV, rows.end_tokens, on_token);
  }
  return generated;
}

}  // namespace

void GenerationOptions::validate(Problems& problems) const {
  problems.require_at_least("max_new_tokens", max_new_tokens, 1);
  problems.require_in("temperature", temperature, 0, 1e6);
  problems.require_in("top_p", top_p, 0, 1, Ends::kHigh);
  problems.require_at_least("seed", seed, 0);
}

Generated generate(const model::Transformer& transformer, const std::vector<TokenId>& prompt,
                   const TextRows& rows, const GenerationOptions& options, const model::Mask& mask,
                   const std::function<void(TokenId)>& on_token) {
  return write_all(transformer, {{prompt, options}}, rows, mask, on_token).front();
}

std::vector<Generated> generate_all(const model::Transformer& transformer,
                                    const std::vector<GenerationRequest>& requests,
                                    const TextRows& rows, const model::Mask& mask) {
  return write_all(transformer, requests, rows, mask, nullptr);
}

std::vector<TokenId> rows_without_token(const model::Transformer& transformer,
                                        const tokenizer::Tokenizer& tokenizer,
                                        const model::Mask& mask) {
  const int64_t num_rows = mask.head ? transformer.num_base_vocab_rows()
                                     : transformer.weights().embedding.layout().num_rows();
  const int64_t num_known = mask.head ? transformer.first_added_token() : num_rows;
  std::vector<TokenId> rows;
  for (int64_t row = 0; row < num_rows; ++row) {
    const auto id = static_cast<TokenId>(row);
    if (row >= num_known || tokenizer.token(id).empty()) rows.push_back(id);
  }
  return rows;
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
