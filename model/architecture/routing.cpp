// model/architecture/routing.cpp: from router scores to chosen experts and weights; see
// moe_layer.h. An expert that is not chosen leaves no trace in the bits: with renormalisation the
// weights are a softmax over the chosen scores alone (the same number as dividing by their sum),
// without it the normaliser of the added experts is added last.
#include <ATen/Parallel.h>

#include <atomic>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/text.h"
#include "model/architecture/moe_layer.h"

namespace polygraft::model {
namespace {

constexpr int64_t kTokensPerTask = 128;

/// One token's best K so far, in descending order; equal scores keep the order in which they came,
/// hence the lower id.
class TopK {
 public:
  TopK(int64_t* ids, int64_t k) : ids_(ids), scores_(k, -std::numeric_limits<float>::infinity()) {}

  void restart(int64_t* ids) {
    ids_ = ids;
    num_kept_ = 0;
  }
  void offer(float score, int64_t id) {
    const auto capacity = static_cast<int64_t>(scores_.size());
    if (num_kept_ == capacity && score <= scores_[capacity - 1]) return;
    int64_t place = num_kept_ < capacity ? num_kept_++ : capacity - 1;
    for (; place > 0 && score > scores_[place - 1]; --place) {
      scores_[place] = scores_[place - 1];
      ids_[place] = ids_[place - 1];
    }
    scores_[place] = score;
    ids_[place] = id;
  }

 private:
  int64_t* ids_;
  std::vector<float> scores_;
  int64_t num_kept_ = 0;
};

/// Scores of one kind of expert, row after row.
struct ScoreRows {
  const float* data = nullptr;
  int64_t width = 0;

  explicit ScoreRows(const at::Tensor& scores) {
    if (!scores.defined()) return;
    data = scores.const_data_ptr<float>();
    width = scores.size(1);
  }
  /// Offers row `token`; false when a score is not finite.
  bool offer(int64_t token, int64_t first_id, TopK& top) const {
    bool finite = true;
    for (int64_t i = 0; i < width; ++i) {
      const float score = data[token * width + i];
      finite = finite && std::isfinite(score);
      top.offer(score, first_id + i);
    }
    return finite;
  }
};

at::Tensor detached_rows(const at::Tensor& scores) {
  return scores.defined() ? scores.detach().contiguous() : scores;
}

/// @return int64 [T, K]: at::topk leaves the order of equal scores open, and a stable sort of all E
/// costs more than this.
at::Tensor choose(const at::Tensor& base_TE, const at::Tensor& added_Tn, int64_t top_k) {
  const auto base = detached_rows(base_TE);
  const auto added = detached_rows(added_Tn);
  const ScoreRows base_rows(base), added_rows(added);
  const int64_t num_tokens = base.size(0);
  auto expert_TK = at::empty({num_tokens, top_k}, at::kLong);
  int64_t* ids = expert_TK.mutable_data_ptr<int64_t>();
  std::atomic<int64_t> first_bad{std::numeric_limits<int64_t>::max()};
  at::parallel_for(0, num_tokens, kTokensPerTask, [&](int64_t begin, int64_t end) {
    TopK top(ids, top_k);
    for (int64_t token = begin; token < end; ++token) {
      top.restart(ids + token * top_k);
      const bool base_finite = base_rows.offer(token, 0, top);
      const bool finite = added_rows.offer(token, base_rows.width, top) && base_finite;
      if (finite) continue;
      int64_t seen = first_bad.load();
      while (token < seen && !first_bad.compare_exchange_weak(seen, token)) {
      }
    }
  });
  if (first_bad.load() < num_tokens) {
    throw NumericError("router scores", concat("token ", first_bad.load(),
                                               " of the batch has a score that is not finite"))
        .hint(
            "weights of this layer or before are not finite, or hidden states overflowed: look at "
            "the weights, and in training at the learning rate");
  }
  return expert_TK;
}

}  // namespace

Routing route(const at::Tensor& base_TE, const at::Tensor& added_Tn, RouterRule rule) {
  Routing routing;
  routing.expert_TK = choose(base_TE, added_Tn, rule.top_k);
  const auto all_TX = added_Tn.defined() ? at::cat({base_TE, added_Tn}, 1) : base_TE;
  const auto chosen_TK = at::gather(all_TX, 1, routing.expert_TK);
  if (rule.renormalize) {
    routing.weight_TK = at::softmax(chosen_TK, 1);
    return routing;
  }
  auto normaliser_T1 = at::logsumexp(base_TE, 1, true);
  if (added_Tn.defined())
    normaliser_T1 = at::logaddexp(normaliser_T1, at::logsumexp(added_Tn, 1, true));
  routing.weight_TK = at::exp(chosen_TK - normaliser_T1);
  return routing;
}

at::Tensor count_choices(const Routing& routing, int64_t num_experts) {
  return at::bincount(routing.expert_TK.flatten(), {}, num_experts);
}

}  // namespace polygraft::model
