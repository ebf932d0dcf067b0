// trainer/objective/polyak_steps.cpp: see polyak_steps.h.
#include "trainer/objective/polyak_steps.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/text.h"
#include "model/architecture/head_loss.h"
#include "model/architecture/upload.h"

namespace polygraft::trainer {
namespace {

constexpr double kRidge = 1e-3;

/// The first rows, until they hold so many tokens.
std::vector<Row> rows_of(const std::vector<Row>& rows, int64_t most_tokens) {
  std::vector<Row> first;
  int64_t held = 0;
  for (const Row& row : rows) {
    if (held >= most_tokens) break;
    first.push_back(row);
    held += static_cast<int64_t>(row.size());
  }
  return first;
}

}  // namespace

/// Tokens that go through the model together: old ones first.
struct PolyakSteps::Sample {
  int64_t num_old = 0;
  at::Tensor weight_T1;  ///< float32, of old tokens; sums to one

  at::Tensor old(const at::Tensor& x) const { return x.narrow(0, 0, num_old); }
  at::Tensor learned(const at::Tensor& x) const {
    return x.narrow(0, num_old, x.size(0) - num_old);
  }
};

/// Rows that have moved.
struct PolyakSteps::Moved {
  std::string rows;       ///< which
  at::Tensor f;           ///< before, summed over rows: []
  at::Tensor are_finite;  ///< after: bool []
};

at::Tensor feature_metric(const at::Tensor& features_TD) {
  const at::Tensor x_TD = features_TD.to(at::kDouble);
  const double num_tokens = std::max(static_cast<double>(x_TD.size(0)), 1.0);
  at::Tensor metric_DD = at::matmul(x_TD.t(), x_TD).div_(num_tokens);
  const at::Tensor ridge = (metric_DD.diagonal().mean() * kRidge).clamp_min(1e-12);
  metric_DD.diagonal().add_(ridge);
  return metric_DD;
}

at::Tensor polyak_step(const at::Tensor& value, const at::Tensor& gradient_RD,
                       const at::Tensor& metric_DD, double relaxation) {
  const at::Tensor g_RD = gradient_RD.to(at::kDouble);
  const auto [factor_DD, info] = at::linalg_cholesky_ex(metric_DD);  // unchecked: nobody waits
  const at::Tensor solved_RD = at::cholesky_solve(g_RD.t(), factor_DD).t();
  const at::Tensor direction_RD = solved_RD.masked_fill(info.ne(0), std::nan(""));
  at::Tensor norm_R = (g_RD * direction_RD).sum(1);
  if (value.size(0) == 1) norm_R = norm_R.sum(0, /*keepdim=*/true);
  const at::Tensor length_R = value.to(at::kDouble) / norm_R;
  return at::where(norm_R > 0, length_R, 0.0).unsqueeze(1) * direction_RD * relaxation;
}

PolyakSteps::PolyakSteps(const model::Transformer& transformer, tokenizer::TokenId prefix,
                         const TrainConfig& config)
    : transformer_(transformer), prefix_(prefix), config_(config) {}

StepLoss PolyakSteps::take(const StepRows& rows, const Multipliers& multipliers) const {
  const at::NoGradGuard no_grad;
  const auto num_replayed = static_cast<double>(num_tokens(rows.replayed));
  StepLoss before;
  for (const Piece& piece : cut_pieces({{}, rows.replayed}, config_.micro_batch_tokens)) {
    if (piece.num_replayed == 0) continue;
    std::vector<Row> together = piece.rows.replayed;
    for (const Row& row : rows_of(rows.learned, piece.num_replayed)) together.push_back(row);
    const TokenBatch batch = make_batch(together, prefix_);
    Sample sample{piece.num_replayed, at::ones({piece.num_replayed}, at::kFloat)};
    sample.weight_T1.masked_fill_(sample.old(batch.is_first_T), config_.protect.bos_weight);
    sample.weight_T1 = (sample.weight_T1 / sample.weight_T1.sum()).unsqueeze(1);
    sample.weight_T1 = model::sent_to(transformer_.weights().device(), sample.weight_T1);
    std::vector<Moved> routers, head;
    const at::Tensor hidden_TD =
        transformer_.hidden(batch.inputs, {}, [&](const model::RouterTap& tap) {
          if (!tap.added_Tn.defined()) return;
          routers.push_back(move_router_rows(tap, sample, std::min(multipliers.routing, 1.0)));
        });
    const model::SplitRows& rows = transformer_.weights().head;
    if (rows.added.defined() && rows.added.requires_grad())
      head.push_back(move_output_rows(hidden_TD, sample, std::min(multipliers.head, 1.0)));
    const double share = static_cast<double>(piece.num_replayed) / num_replayed;
    before.hinge += share * sum(routers) / std::max(static_cast<double>(routers.size()), 1.0);
    before.head += share * sum(head);
  }
  return before;
}

/// Of all f. Waits for the GPU.
double PolyakSteps::sum(const std::vector<Moved>& moved) {
  if (moved.empty()) return 0;
  std::vector<at::Tensor> numbers;
  for (const Moved& one : moved) {
    numbers.push_back(one.f.to(at::kDouble));
    numbers.push_back(one.are_finite.to(at::kDouble));
  }
  const at::Tensor on_cpu = at::stack(numbers).cpu();
  const double* number = on_cpu.const_data_ptr<double>();
  double total = 0;
  for (const Moved& one : moved) {
    total += *number++;
    if (*number++ == 1) continue;
    throw NumericError(one.rows, "are not finite after a step of method polyak")
        .hint("lower train.optimizer.learning_rate, or raise its warmup_fraction");
  }
  return total;
}

/// Which experts the layer gives these tokens is settled by then.
PolyakSteps::Moved PolyakSteps::move_router_rows(const model::RouterTap& tap, const Sample& sample,
                                                 double relaxation) const {
  const auto layer = static_cast<size_t>(tap.layer);
  const at::Tensor& rows_nD = transformer_.weights().layers[layer].moe.router.added;
  const at::Tensor input_TD = tap.input_TD.to(at::kFloat);
  const at::Tensor threshold_T =
      selection_threshold(sample.old(tap.base_TE), transformer_.config().top_k);
  const at::Tensor excess_Tn =
      (sample.old(tap.added_Tn) - threshold_T.unsqueeze(1) + config_.protect.margin_or_default())
          .relu();
  const at::Tensor value_n = (sample.weight_T1 * excess_Tn.square()).sum(0);
  const at::Tensor gradient_nD =
      at::matmul((2 * sample.weight_T1 * excess_Tn).t(), sample.old(input_TD));
  const at::Tensor metric_DD = feature_metric(sample.learned(input_TD));
  rows_nD.sub_(polyak_step(value_n, gradient_nD, metric_DD, relaxation));
  return {concat("router rows of layer ", tap.layer), value_n.sum(), rows_nD.isfinite().all()};
}

/// f is in nats a token.
PolyakSteps::Moved PolyakSteps::move_output_rows(const at::Tensor& hidden_TD, const Sample& sample,
                                                 double relaxation) const {
  const at::Tensor& rows_vD = transformer_.weights().head.added;
  at::Tensor cost;
  {
    const at::AutoGradMode with_grad(true);
    const auto num_old = static_cast<double>(sample.num_old);
    const at::Tensor old_TD = sample.old(hidden_TD);
    cost = model::head_leak_sum(old_TD, transformer_.weights().head) / num_old;
    cost.backward();
  }
  const at::Tensor gradient_vD = rows_vD.grad();
  rows_vD.mutable_grad() = at::Tensor();
  const at::Tensor metric_DD = feature_metric(sample.learned(hidden_TD));
  rows_vD.sub_(polyak_step(cost.detach().unsqueeze(0), gradient_vD, metric_DD, relaxation));
  return {"output rows", cost.detach(), rows_vD.isfinite().all()};
}

}  // namespace polygraft::trainer
