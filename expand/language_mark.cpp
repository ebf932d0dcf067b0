// expand/language_mark.cpp: see language_mark.h.
#include "expand/language_mark.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/progress.h"
#include "eval/passes.h"
#include "model/architecture/head_loss.h"
#include "model/architecture/tensor_bytes.h"

namespace polygraft::expand {

namespace {

/// The mark and the readers as one vector, so that a batch's gradient is one vector, too.
struct Parameters {
  int64_t width = 0, num_layers = 0;
  at::Tensor all;  ///< float32

  Parameters(int64_t width, int64_t num_layers)
      : width(width),
        num_layers(num_layers),
        all(at::zeros({width + num_layers * (width + 1)}, at::kFloat)) {}
  at::Tensor mark_D() const { return all.narrow(0, 0, width); }
  at::Tensor readers_LD() const {
    return all.narrow(0, width, num_layers * width).view({num_layers, width});
  }
  at::Tensor biases_L() const { return all.narrow(0, width + num_layers * width, num_layers); }
};

/// Adam (Kingma & Ba 2015, arXiv 1412.6980) with a rate for each element.
class Adam {
 public:
  explicit Adam(at::Tensor rates)
      : rates_(std::move(rates)), first_(at::zeros_like(rates_)), second_(at::zeros_like(rates_)) {}

  void step(at::Tensor& values, const at::Tensor& gradient) {
    constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
    ++num_steps_;
    first_.mul_(kBeta1).add_(gradient, 1 - kBeta1);
    second_.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
    const at::Tensor mean = first_ / (1 - std::pow(kBeta1, num_steps_));
    const at::Tensor deviation = at::sqrt(second_ / (1 - std::pow(kBeta2, num_steps_))) + kEpsilon;
    values -= rates_ * mean / deviation;
  }

 private:
  at::Tensor rates_, first_, second_;
  int num_steps_ = 0;
};

/// A step changes a row's element by a sixth of what such elements are, and a reader's score of a
/// token by about six at most, however wide the model is.
at::Tensor learning_rates(const Parameters& shape, const at::Tensor& start_vD) {
  constexpr double kMarkShare = 1.0 / 6, kReaderScore = 6.0;
  const double row_rms = start_vD.to(at::kDouble).square().mean().sqrt().item<double>();
  at::Tensor rates = at::full_like(shape.all, kReaderScore / static_cast<double>(shape.width));
  rates.narrow(0, 0, shape.width).fill_(kMarkShare * row_rms);
  return rates;
}

/// float32 [T]: 0 where a sequence starts.
at::Tensor later_tokens(const model::Batch& batch) {
  return model::token_positions(batch).gt(0).to(at::kFloat);
}

class MarkFitter {
 public:
  MarkFitter(const MarkedModel& marked, double prediction_weight)
      : marked_(marked),
        prediction_weight_(prediction_weight),
        parameters_(marked.base.config().hidden_size, static_cast<int64_t>(marked.layers.size())) {
    for (const int64_t layer : marked.layers) {
      readers_.emplace(layer, static_cast<int64_t>(readers_.size()));
    }
  }

  Parameters& parameters() { return parameters_; }

  /// The batch's gradient, followed by its cost of telling languages apart. float32.
  at::Tensor gradient(const model::Batch& batch, bool is_new) const;

 private:
  at::Tensor separation(const model::RouterTap& tap, const Parameters& parameters,
                        const at::Tensor& weight_T, bool is_new) const;
  at::Tensor prediction_cost(const model::Batch& batch, const at::Tensor& hidden_TD) const;

  const MarkedModel& marked_;
  double prediction_weight_;
  std::map<int64_t, int64_t> readers_;  // of a layer
  Parameters parameters_;
};

/// One layer's part of the batch's cost. Weights sum to one over the batch.
at::Tensor MarkFitter::separation(const model::RouterTap& tap, const Parameters& parameters,
                                  const at::Tensor& weight_T, bool is_new) const {
  const int64_t reader = readers_.at(tap.layer);
  const at::Tensor input_TD = tap.input_TD.to(at::kFloat);
  const at::Tensor scale_T = at::rsqrt(input_TD.square().mean(1) + 1e-12);
  const at::Tensor score_T =
      at::mv(input_TD, parameters.readers_LD()[reader]) * scale_T + parameters.biases_L()[reader];
  return (at::softplus(is_new ? -score_T : score_T) * weight_T).sum() /
         static_cast<double>(readers_.size());
}

/// Mean over the predictions of old tokens, by the base's rows.
at::Tensor MarkFitter::prediction_cost(const model::Batch& batch,
                                       const at::Tensor& hidden_TD) const {
  at::Tensor targets_T = at::roll(batch.ids_T, -1);
  targets_T.masked_fill_(at::roll(model::token_positions(batch), -1).eq(0), -1);
  targets_T.masked_fill_(targets_T.ge(marked_.num_old_tokens), -1);
  const int64_t num_scored = targets_T.ge(0).sum().item<int64_t>();
  return model::cross_entropy_sum(hidden_TD, targets_T, marked_.base.weights().head) /
         static_cast<double>(std::max<int64_t>(num_scored, 1));
}

at::Tensor MarkFitter::gradient(const model::Batch& batch, bool is_new) const {
  const at::AutoGradMode with_grad(true);
  Parameters leaf = parameters_;
  leaf.all = parameters_.all.detach().clone().requires_grad_();
  const at::Tensor counts_T = is_new ? later_tokens(batch) : at::ones_like(later_tokens(batch));
  const at::Tensor weight_T = counts_T / counts_T.sum().clamp_min(1);
  at::Tensor cost = at::zeros({});
  const auto observer = [&](const model::RouterTap& tap) {
    if (!readers_.contains(tap.layer)) return;
    const at::AutoGradMode for_readers(true);
    cost = cost + separation(tap, leaf, weight_T, is_new);
  };
  at::Tensor total;
  {
    const at::AutoGradMode through_layers(is_new);  // old text has no mark to follow
    const model::Transformer marked = marked_.with_input_rows(marked_.start_vD + leaf.mark_D());
    const at::Tensor hidden_TD = marked.hidden(batch, model::Mask::all_but_embedding(), observer);
    total = is_new ? cost + prediction_cost(batch, hidden_TD) * prediction_weight_ : cost;
  }
  total.backward();
  return at::cat({leaf.all.grad(), cost.detach().reshape({1})});
}

/// A mean over quarters of a run.
double mean_of(const std::vector<double>& costs, size_t first, size_t count) {
  double sum = 0;
  for (size_t i = first; i < first + count; ++i) sum += costs[i];
  return sum / static_cast<double>(count);
}

}  // namespace

LanguageMark fit_language_mark(const MarkedModel& marked, const MarkTexts& texts,
                               const MarkOptions& options, const parallel::Team& team) {
  MarkFitter fitter(marked, options.prediction_weight);
  const std::vector<model::Batch> sides[] = {make_batches(texts.of_new, kMarkBatchTokens),
                                             make_batches(texts.of_old, kMarkBatchTokens)};
  at::Tensor& values = fitter.parameters().all;
  Adam adam(learning_rates(fitter.parameters(), marked.start_vD));
  Progress progress("marking new tokens", static_cast<uint64_t>(options.steps), "steps");
  std::vector<double> costs;
  for (int64_t step = 0; step < options.steps; ++step) {
    team.throw_if_stopped();
    at::Tensor gradients[2];  // of new text, of old
    parallel::Deliveries deliveries(team);
    for (size_t side = 0; side < 2; ++side) {
      const auto& batches = sides[side];
      gradients[side] =
          team.owns(side)
              ? fitter.gradient(batches[static_cast<size_t>(step) % batches.size()], side == 0)
              : at::empty({values.numel() + 1});
      deliveries.to_all(team.owner_of(side), model::bytes_of(gradients[side]));
    }
    deliveries.wait();
    const at::Tensor sum = gradients[0] + gradients[1];
    costs.push_back(sum[values.numel()].item<double>() / 2);
    adam.step(values, sum.narrow(0, 0, values.numel()));
    progress.advance(1);
  }
  progress.finish();
  const at::Tensor mark_D = fitter.parameters().mark_D().clone();
  if (!at::isfinite(mark_D).all().item<bool>()) {
    throw NumericError("input rows", "the mark of new tokens is not finite")
        .hint("the base's hidden states may not be finite; tokenizer.mark_steps: 0 leaves it out");
  }
  const size_t quarter = std::max<size_t>(costs.size() / 4, 1);
  return {mark_D, mean_of(costs, 0, quarter), mean_of(costs, costs.size() - quarter, quarter)};
}

}  // namespace polygraft::expand
