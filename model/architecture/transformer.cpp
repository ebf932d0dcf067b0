// model/architecture/transformer.cpp: see transformer.h.
#include "model/architecture/transformer.h"

#include <algorithm>

#include "core/error.h"
#include "core/text.h"
#include "model/architecture/attention.h"
#include "model/architecture/device_expert_parallel.h"
#include "model/architecture/device_layer.h"
#include "model/architecture/device_weights.h"
#include "model/architecture/expert_parallel.h"
#include "model/architecture/head_columns.h"
#include "model/architecture/linear_product.h"
#include "model/architecture/rms_norm.h"
#include "model/architecture/upload.h"

namespace polygraft::model {
namespace {

/// Of the batch's sequence: tokens that were computed before.
int64_t tokens_before(const std::vector<KeyValueCache*>& caches, size_t sequence) {
  return caches.empty() ? 0 : caches[sequence]->num_tokens;
}

/// int64 [T]: for each token, how many of its sequence were computed before this batch.
at::Tensor positions_before(const Batch& batch, const std::vector<KeyValueCache*>& caches) {
  std::vector<int64_t> before;
  for (size_t s = 0; s < caches.size(); ++s) before.push_back(tokens_before(caches, s));
  return at::repeat_interleave(at::tensor(before, at::kLong), at::tensor(batch.lengths, at::kLong));
}

void check_batch(const Batch& batch, const std::vector<KeyValueCache*>& caches,
                 const ModelConfig& config, int64_t num_vocab_rows) {
  int64_t num_tokens = 0;
  for (size_t s = 0; s < batch.lengths.size(); ++s) {
    num_tokens += batch.lengths[s];
    const int64_t num_positions = tokens_before(caches, s) + batch.num_positions(s);
    if (num_positions > config.max_positions) {
      throw ConfigError("batch", "a sequence is longer than the model's positions")
          .expected(concat("at most ", config.max_positions, " tokens (max_position_embeddings)"))
          .found(concat(num_positions, " tokens"))
          .hint("cut the text into windows, or set a shorter sequence length");
    }
  }
  TORCH_CHECK(num_tokens == batch.ids_T.numel(), "lengths sum to ", num_tokens, ", ids hold ",
              batch.ids_T.numel());
  const auto ids_T = batch.ids_T.contiguous();
  const int64_t* ids = ids_T.const_data_ptr<int64_t>();
  const int64_t* wrong = std::find_if(ids, ids + num_tokens,
                                      [&](int64_t id) { return id < 0 || id >= num_vocab_rows; });
  if (wrong != ids + num_tokens) {
    throw ConfigError("batch", concat("token ", wrong - ids, " has an id outside the vocabulary"))
        .expected(concat("0 to ", num_vocab_rows - 1))
        .found(concat(*wrong))
        .hint("the text was encoded with another tokenizer than the model's");
  }
}

/// Rows of the base table, with the added table's rows put where an id is an added row's. A padding
/// row's id gets the row that padding copies. @param masked ids that both tables know are the
/// base's.
at::Tensor embed(const at::Tensor& ids_T, const SplitRows& embedding, bool masked,
                 at::ScalarType dtype) {
  const RowLayout layout = embedding.layout();
  const at::Device device = embedding.base.device();
  if (layout.num_rows() == layout.num_base && (masked || !embedding.added.defined())) {
    return at::embedding(embedding.base, sent_to(device, ids_T)).to(dtype);
  }
  const int64_t first = masked ? layout.num_base : layout.first_added();
  const int64_t end = layout.first_added() + layout.num_added;
  const auto is_added_T = ids_T.ge(first).logical_and_(ids_T.lt(end));
  auto base_ids_T = ids_T.masked_fill(is_added_T, 0);
  base_ids_T.masked_fill_(ids_T.ge(layout.first_padding()), layout.placement.padding_row);
  const auto base_TD = at::embedding(embedding.base, sent_to(device, base_ids_T)).to(dtype);
  if (!embedding.added.defined()) return base_TD;
  const auto position_a = at::nonzero(is_added_T).flatten();
  const auto row_a = ids_T.index_select(0, position_a) - layout.first_added();
  const auto added_aD = embedding.added.index_select(0, sent_to(device, row_a)).to(dtype);
  return base_TD.index_copy(0, sent_to(device, position_a), added_aD);
}

at::Tensor dense_mlp(const at::Tensor& x_TD, const DenseWeights& weights) {
  const auto gate_TF = at::silu(linear_product(x_TD, weights.gate, weights.gate_bias));
  return linear_product(gate_TF * linear_product(x_TD, weights.up, weights.up_bias), weights.down,
                        weights.down_bias);
}

/// sigmoid(s . x) * mlp(x), for every token (transformers: Qwen2MoeSparseMoeBlock).
at::Tensor shared_expert(const at::Tensor& x_TD, const MoeWeights& weights) {
  const auto share_T1 = at::sigmoid(linear_product(x_TD, weights.shared_gate));
  return share_T1 * dense_mlp(x_TD, weights.shared);
}

/// How a sparse layer runs.
struct MoeRun {
  RouterRule rule;
  Mask mask;
  ExpertParallel* experts;     // or none
  device::Executor* executor;  // or none
  const RouterTerms& terms;
};

Routing choose_experts(const RouterScores& scores, const MoeRun& run) {
  if (run.executor != nullptr) return route_on(*run.executor, scores, run.rule, run.terms);
  Routing routing = route(scores.base_TE, scores.added_Tn, run.rule);
  add_terms(scores, run.terms, routing);
  return routing;
}

/// @param meanwhile is called once, where there are other ranks to wait for while they are.
at::Tensor run_experts(const at::Tensor& x_TD, const Routing& routing, const MoeWeights& weights,
                       const MoeRun& run, const Meanwhile& meanwhile) {
  if (run.executor != nullptr && run.experts != nullptr) {
    return shared_experts_on(*run.executor, *run.experts, x_TD, routing, weights.gate_up,
                             weights.down, weights.router.num_base(), run.mask.silence_experts,
                             meanwhile);
  }
  if (run.experts != nullptr) {
    TORCH_INTERNAL_ASSERT(!run.mask.silence_experts);
    return run.experts->experts(x_TD, routing, weights.gate_up, weights.down, meanwhile);
  }
  meanwhile();
  if (run.executor != nullptr) {
    return moe_experts_on(*run.executor, x_TD, routing, weights.gate_up, weights.down,
                          run.mask.silence_experts);
  }
  return moe_experts(x_TD, routing, weights.gate_up, weights.down, run.mask.silence_experts);
}

/// Scores of base and added experts are separate products, so that the base's bits do not depend on
/// the additions. @param tap says which layer and batch this is.
at::Tensor moe_mlp(const at::Tensor& x_TD, const MoeWeights& weights, const MoeRun& run,
                   RouterTap tap, const RouterObserver& observer) {
  tap.input_TD = x_TD;
  tap.base_TE = linear_product(x_TD, weights.router.base).to(at::kFloat);
  if (weights.router.added.defined() && !run.mask.experts) {
    tap.added_Tn = added_product(x_TD, weights.router.added).to(at::kFloat);
  }
  tap.routing = choose_experts({tap.base_TE, tap.added_Tn, x_TD, weights.router.added}, run);
  if (observer) observer(tap);
  at::Tensor shared_TD;
  const auto y_TD = run_experts(x_TD, tap.routing, weights, run, [&] {
    if (weights.shared_gate.defined()) shared_TD = shared_expert(x_TD, weights);
  });
  return shared_TD.defined() ? y_TD + shared_TD : y_TD;
}

}  // namespace

Transformer::Transformer(ModelConfig config, Weights weights)
    : config_(std::move(config)), weights_(std::move(weights)) {}

Transformer Transformer::load(const ModelFolder& folder, at::ScalarType dtype) {
  return {folder.config, map_weights(folder, dtype, AddedExperts::kMapped)};
}

Transformer Transformer::with_shared_experts(ExpertParallel& experts) const {
  Transformer shared = *this;
  shared.experts_ = &experts;
  return shared;
}

Transformer Transformer::on_device(at::Device device, std::shared_ptr<device::Executor> executor,
                                   ExpertParallel* experts) const {
  const ExpertShare share = experts == nullptr ? ExpertShare{} : experts->share();
  Transformer moved(config_, weights_on(device, weights_, share));
  moved.executor_ = std::move(executor);
  moved.experts_ = experts;
  return moved;
}

/// One batch on its way through the layers.
struct Transformer::Pass {
  at::Tensor x_TD;
  RopeTable rope;
  SequenceLayout sequences;
  std::vector<KeyValueCache*> caches;  ///< of the sequences, or none
  RouterTerms terms = {};

  std::vector<LayerCache*> layer_caches(size_t layer) const {
    std::vector<LayerCache*> of_layer;
    for (KeyValueCache* cache : caches) of_layer.push_back(&cache->layers[layer]);
    return of_layer;
  }
};

Transformer::Pass Transformer::start(const Batch& batch, Mask mask,
                                     const std::vector<KeyValueCache*>& caches) const {
  check_batch(batch, caches, config_, weights_.embedding.layout().num_rows());
  const at::ScalarType dtype = weights_.compute_dtype();
  at::Tensor position_T = token_positions(batch);
  if (!caches.empty()) position_T = position_T + positions_before(batch, caches);
  return {embed(batch.ids_T, weights_.embedding, mask.embedding, dtype),
          rope_table(rope_frequencies(config_), position_T, dtype).on(weights_.device()),
          lay_out(batch, weights_.device()), caches};
}

void Transformer::run_layer(size_t layer, Pass& pass, Mask mask, const RouterObserver& observer,
                            size_t batch) const {
  const LayerWeights& weights = weights_.layers[layer];
  const MoeRun run{
      {config_.top_k, config_.renormalize_top_k}, mask, experts_, executor_.get(), pass.terms};
  const auto attention_input_TD =
      rms_norm(pass.x_TD, weights.attention.norm, config_.rms_norm_eps, executor_.get());
  pass.x_TD = pass.x_TD + attention(attention_input_TD, weights.attention,
                                    AttentionRule::of(config_, layer, executor_.get()), pass.rope,
                                    pass.sequences, pass.layer_caches(layer));
  const auto mlp_input_TD =
      rms_norm(pass.x_TD, weights.mlp_norm, config_.rms_norm_eps, executor_.get());
  const RouterTap tap{static_cast<int64_t>(layer), batch, {}, {}, {}, {}};
  pass.x_TD = pass.x_TD + (weights.is_moe ? moe_mlp(mlp_input_TD, weights.moe, run, tap, observer)
                                          : dense_mlp(mlp_input_TD, weights.dense));
}

at::Tensor Transformer::finish(const Pass& pass) const {
  auto hidden_TD = rms_norm(pass.x_TD, weights_.final_norm, config_.rms_norm_eps, executor_.get());
  if (experts_ != nullptr) experts_->group().wait_for_gpu();  // callers may read what comes of it
  return hidden_TD;
}

at::Tensor Transformer::hidden(const Batch& batch, Mask mask, const RouterObserver& observer,
                               const RouterTerms& terms) const {
  const int64_t num_tokens = batch.ids_T.numel();
  TORCH_CHECK(terms.num_balanced <= num_tokens &&
                  (!terms.prior_weight_T.defined() || terms.prior_weight_T.numel() == num_tokens),
              "terms of other tokens than the batch's");
  Pass pass = start(batch, mask);
  pass.terms = terms.on(weights_.device());
  for (size_t i = 0; i < weights_.layers.size(); ++i) run_layer(i, pass, mask, observer, 0);
  return finish(pass);
}

at::Tensor Transformer::hidden_next(const Batch& batch, const std::vector<KeyValueCache*>& caches,
                                    Mask mask) const {
  TORCH_CHECK(caches.size() == batch.lengths.size(), "a cache for each sequence");
  Pass pass = start(batch, mask, caches);
  for (KeyValueCache* cache : caches) cache->layers.resize(weights_.layers.size());
  for (size_t i = 0; i < weights_.layers.size(); ++i) run_layer(i, pass, mask, nullptr, 0);
  for (size_t s = 0; s < caches.size(); ++s) caches[s]->num_tokens += batch.lengths[s];
  return finish(pass);
}

Transformer::Walk::Walk(const Transformer& transformer, const std::vector<Batch>& batches,
                        Mask mask)
    : transformer_(transformer), mask_(mask) {
  for (const Batch& batch : batches) passes_.push_back(transformer.start(batch, mask));
}

Transformer::Walk::~Walk() = default;
Transformer::Walk::Walk(Walk&&) noexcept = default;

void Transformer::Walk::run_layer(int64_t layer, const RouterObserver& observer,
                                  const std::function<void(size_t batch)>& after_batch) {
  for (size_t b = 0; b < passes_.size(); ++b) {
    transformer_.run_layer(static_cast<size_t>(layer), passes_[b], mask_, observer, b);
    if (after_batch) after_batch(b);
  }
}

std::vector<at::Tensor> Transformer::Walk::finish() {
  std::vector<at::Tensor> hidden_TD;
  for (Pass& pass : passes_) {
    hidden_TD.push_back(transformer_.finish(pass));
    pass = {};
  }
  return hidden_TD;
}

int64_t Transformer::tokens_per_pass() const {
  constexpr int64_t kBytes = int64_t{128} << 20;
  return std::max<int64_t>(kBytes / (4 * config_.hidden_size), 1);
}

at::Tensor Transformer::logits(const at::Tensor& hidden_TD, Mask mask) const {
  const auto base_TV = linear_product(hidden_TD, weights_.head.base).to(at::kFloat);
  if (mask.head) return base_TV;
  const SplitRows& head = weights_.head;
  const auto added_Tv =
      head.added.defined() ? added_product(hidden_TD, head.added).to(at::kFloat) : at::Tensor();
  return in_stored_order(base_TV, added_Tv, head.layout());
}

int64_t Transformer::num_base_experts() const {
  for (const auto& layer : weights_.layers) {
    if (layer.is_moe) return layer.moe.router.num_base();
  }
  return 0;
}

int64_t Transformer::num_added_experts() const {
  for (const auto& layer : weights_.layers) {
    if (layer.is_moe) return layer.moe.router.num_added();
  }
  return 0;
}

}  // namespace polygraft::model
