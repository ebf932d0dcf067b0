// trainer/objective/objective.cpp: see objective.h.
#include "trainer/objective/objective.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "core/text.h"
#include "model/architecture/head_loss.h"
#include "trainer/objective/gradient_scale.h"

namespace polygraft::trainer {

/// The differentiable sum of a piece, and its parts for the log.
struct Objective::Sum {
  at::Tensor tensor;
  PieceLoss loss;

  /// Adds weight * value and notes the unweighted value; an undefined value is a part that is
  /// absent. @param part null: it is not noted.
  void add(const at::Tensor& value, double weight, double StepLoss::*part) {
    if (!value.defined()) return;
    if (part != nullptr) loss.note(part, value);
    if (weight == 0) return;
    const at::Tensor weighted = value * weight;
    tensor = tensor.defined() ? tensor + weighted : weighted;
  }
  /// Backward goes through these states' layers, whatever else it goes through.
  void reach(const at::Tensor& hidden_TD) { add(hidden_TD.sum() * 0, 1.0, nullptr); }
};

namespace {

at::Tensor divided(const at::Tensor& sum, double count) {
  return sum.defined() && count > 0 ? sum / count : at::Tensor();
}

/// float32 [num_learned + num_replayed]: one weight for all learned positions, one for all replayed
/// ones.
at::Tensor part_weights(int64_t num_learned, double learned, int64_t num_replayed,
                        double replayed) {
  return at::cat({at::full({num_learned}, learned, at::kFloat),
                  at::full({num_replayed}, replayed, at::kFloat)});
}

int64_t num_inputs_replayed(const Piece& piece, const TokenBatch& batch) {
  return batch.inputs.ids_T.size(0) - piece.num_learned;
}

std::vector<Row> joined(const std::vector<Row>& first, const std::vector<Row>& second) {
  std::vector<Row> rows = first;
  rows.insert(rows.end(), second.begin(), second.end());
  return rows;
}

}  // namespace

Protection protection_of(const TrainConfig& config, const model::Transformer& transformer) {
  const bool adds = transformer.num_added_experts() > 0 || transformer.num_added_vocab_rows() > 0;
  const std::string& method = config.protect.method;
  if (config.changes_base() || !adds || method == "none") return Protection::kNone;
  if (method == "prior") return Protection::kPrior;
  if (method == "polyak") return Protection::kPolyak;
  return method == "kl" ? Protection::kKl : Protection::kHinge;
}

std::string replay_text(const TrainConfig& config, Protection protection) {
  const ProtectConfig& protect = config.protect;
  switch (protection) {
    case Protection::kKl:
      return concat("KL to the base (weight ", protect.kl, "), hinge (", protect.hinge_or_default(),
                    ")");
    case Protection::kHinge:
      return concat("hinge (weight ", protect.hinge_or_default(), "), head cost (", protect.head,
                    ")");
    case Protection::kPolyak:
      return "Polyak's steps of added rows (margin " + concat(protect.margin_or_default(), ")");
    case Protection::kPrior:
      return concat("cross-entropy, language-prior routing (weight ", protect.prior, ")");
    case Protection::kNone:
      break;
  }
  const bool asked = protect.method != "none";
  return concat("cross-entropy", asked ? " (`protect` needs a frozen base with additions)" : "");
}

Objective::Objective(const model::Transformer& transformer, tokenizer::TokenId prefix,
                     const TrainConfig& config, bool in_lockstep)
    : transformer_(transformer),
      prefix_(prefix),
      config_(config),
      protection_(protection_of(config, transformer)),
      in_lockstep_(in_lockstep) {}

StepTotals Objective::count(const StepRows& rows) const {
  const auto num_learned = static_cast<double>(num_tokens(rows.learned));
  const auto num_replayed = static_cast<double>(num_tokens(rows.replayed));
  const double first_weight = protection_ == Protection::kHinge ? config_.protect.bos_weight : 1.0;
  StepTotals totals;
  totals.learned = num_learned;
  totals.scored = num_learned + (scores_replayed() ? num_replayed : 0.0);
  totals.captured = num_learned - static_cast<double>(rows.learned.size());
  totals.replayed = num_replayed;
  totals.replayed_weight =
      num_replayed + (first_weight - 1.0) * static_cast<double>(rows.replayed.size());
  totals.balanced = num_learned + (balances_base() ? num_replayed : 0.0);
  return totals;
}

StepLoss& StepLoss::operator+=(const StepLoss& piece) {
  total += piece.total;
  cross_entropy += piece.cross_entropy;
  replayed_cross_entropy += piece.replayed_cross_entropy;
  kl += piece.kl;
  hinge += piece.hinge;
  capture += piece.capture;
  head += piece.head;
  prior += piece.prior;
  load_balance += piece.load_balance;
  return *this;
}

std::vector<StepLoss> PieceLoss::read(const std::vector<PieceLoss>& pieces) {
  std::vector<at::Tensor> values;
  for (const PieceLoss& piece : pieces) {
    for (const auto& [part, value] : piece.parts_) values.push_back(value.to(at::kDouble));
  }
  std::vector<StepLoss> losses(pieces.size());
  if (values.empty()) return losses;
  const at::Tensor together = at::stack(values).cpu();
  const double* value = together.const_data_ptr<double>();
  for (size_t i = 0; i < pieces.size(); ++i) {
    for (const auto& [part, on_device] : pieces[i].parts_) losses[i].*part += *value++;
  }
  return losses;
}

StepLoss Objective::backward(const StepRows& rows, const Multipliers& multipliers) const {
  const StepTotals totals = count(rows);
  std::vector<PieceLoss> losses;
  for (const Piece& piece : cut_pieces(rows, config_.micro_batch_tokens)) {
    losses.push_back(backward_piece(piece, totals, multipliers));
  }
  StepLoss loss;
  for (const StepLoss& of_piece : PieceLoss::read(losses)) loss += of_piece;
  return loss;
}

PieceLoss Objective::backward_piece(const Piece& piece, const StepTotals& totals,
                                    const Multipliers& multipliers) const {
  Sum sum;
  add_forward(piece, totals, multipliers, sum);
  add_forward_only_hinge(piece, totals, multipliers, sum);
  if (!sum.tensor.defined()) return sum.loss;
  sum.loss.note(&StepLoss::total, sum.tensor);
  if (sum.tensor.requires_grad()) sum.tensor.backward();
  return sum.loss;
}

/// One token through all layers, for the other ranks' sake. @param sum backward then goes the same
/// way; null: there is none.
void Objective::take_part(model::Mask mask, Sum* sum) const {
  if (!in_lockstep_) return;
  const at::AutoGradMode with_grad(sum != nullptr);
  const at::Tensor hidden_TD = transformer_.hidden({at::zeros({1}, at::kLong), {1}}, mask);
  if (sum != nullptr) sum->reach(hidden_TD);
}

/// Which tokens of a piece count for which hinge, in the pass that gradients go through.
RouterLossTokens Objective::forward_tokens(const Piece& piece, const TokenBatch& batch) const {
  const int64_t num_replayed = num_inputs_replayed(piece, batch);
  const ProtectConfig& protect = config_.protect;
  RouterLossTokens tokens;
  tokens.margin = protect.margin_or_default();
  if (!scores_replayed() && protect.capture > 0 && piece.num_learned > 0) {
    tokens.capture_weight_T = part_weights(piece.num_learned, 1, num_replayed, 0);
    tokens.capture_weight_T.masked_fill_(batch.is_first_T, 0);
  }
  if (num_replayed > 0 && protection_ == Protection::kKl) {
    tokens.keep_out_weight_T =
        part_weights(piece.num_learned, 0, num_replayed, 1) * batch.predicts_T();
  }
  return tokens.on(transformer_.weights().device());
}

/// The same of what the layers compute.
model::RouterTerms Objective::router_terms(const Piece& piece, const TokenBatch& batch) const {
  const int64_t num_replayed = num_inputs_replayed(piece, batch);
  model::RouterTerms terms;
  if (num_replayed > 0 && protection_ == Protection::kPrior) {
    terms.prior_weight_T = part_weights(piece.num_learned, 0, num_replayed, 1);
  }
  terms.balance_base = balances_base();
  if (config_.load_balance > 0) {
    terms.num_balanced = piece.num_learned + (terms.balance_base ? num_replayed : 0);
  }
  return terms;
}

void Objective::add_forward(const Piece& piece, const StepTotals& totals,
                            const Multipliers& multipliers, Sum& sum) const {
  const bool with_replayed = takes_replayed_along();
  const std::vector<Row> rows =
      with_replayed ? joined(piece.rows.learned, piece.rows.replayed) : piece.rows.learned;
  if (rows.empty()) {
    take_part({}, &sum);
    if (protection_ == Protection::kKl) add_kl(piece, {}, totals, multipliers, sum);
    return;
  }
  const TokenBatch batch = make_batch(rows, prefix_);
  const int64_t num_replayed = with_replayed ? piece.num_replayed : 0;
  const ProtectConfig& protect = config_.protect;
  const model::RouterTerms terms = router_terms(piece, batch);
  RouterCollector collector(transformer_, forward_tokens(piece, batch));
  const at::Tensor hidden_PD =
      batch.predicting(transformer_.hidden(batch.inputs, {}, collector.observer(), terms));

  const int64_t num_scored = piece.num_learned + (scores_replayed() ? num_replayed : 0);
  const auto nats = [&](int64_t first, int64_t count) {
    if (count == 0) return at::Tensor();
    return model::cross_entropy_sum(hidden_PD.narrow(0, first, count),
                                    batch.targets_P.narrow(0, first, count),
                                    transformer_.weights().head);
  };
  sum.add(divided(nats(0, piece.num_learned), totals.learned), totals.learned / totals.scored,
          &StepLoss::cross_entropy);
  sum.add(divided(nats(piece.num_learned, num_scored - piece.num_learned), totals.replayed),
          totals.replayed / totals.scored, &StepLoss::replayed_cross_entropy);
  if (protection_ == Protection::kKl) add_kl(piece, hidden_PD, totals, multipliers, sum);
  if (in_lockstep_ && num_scored == 0) sum.reach(hidden_PD);  // which a KL of weight 0 does not
  sum.add(divided(collector.keep_out_sum(), totals.replayed_weight),
          multipliers.routing * protect.hinge_or_default(), &StepLoss::hinge);
  sum.add(divided(collector.capture_sum(), totals.captured), protect.capture, &StepLoss::capture);
  sum.add(divided(collector.prior_sum(), totals.replayed), multipliers.routing * protect.prior,
          &StepLoss::prior);
  const double share = static_cast<double>(terms.num_balanced) / std::max(totals.balanced, 1.0);
  const at::Tensor balance = collector.load_balance();
  sum.add(balance.defined() ? balance * share : balance, config_.load_balance,
          &StepLoss::load_balance);
}

void Objective::add_kl(const Piece& piece, const at::Tensor& hidden_PD, const StepTotals& totals,
                       const Multipliers& multipliers, Sum& sum) const {
  if (totals.replayed == 0) return;
  if (piece.num_replayed == 0) return take_part(model::Mask::all_but_embedding(), nullptr);
  at::Tensor base_hidden_PD;
  {
    const at::NoGradGuard no_grad;
    const TokenBatch batch = make_batch(piece.rows.replayed, prefix_, Reader::kBase);
    base_hidden_PD =
        batch.predicting(transformer_.hidden(batch.inputs, model::Mask::all_but_embedding()));
  }
  // Output rows meet the KL in its head part alone, -log(1 - mass of added rows): their gradient
  // counts by that part's multiplier.
  model::SplitRows head = transformer_.weights().head;
  head.added = with_scaled_gradient(head.added, multipliers.head / multipliers.routing);
  const at::Tensor kl = model::kl_to_base_sum(
      base_hidden_PD, hidden_PD.narrow(0, piece.num_learned, piece.num_replayed), head);
  sum.add(divided(kl, totals.replayed), multipliers.routing * config_.protect.kl, &StepLoss::kl);
}

void Objective::add_forward_only_hinge(const Piece& piece, const StepTotals& totals,
                                       const Multipliers& multipliers, Sum& sum) const {
  if (protection_ != Protection::kHinge || totals.replayed == 0) return;
  if (piece.num_replayed == 0) return take_part({}, nullptr);
  const TokenBatch batch = make_batch(piece.rows.replayed, prefix_);
  const ProtectConfig& protect = config_.protect;
  RouterLossTokens tokens;
  tokens.margin = protect.margin_or_default();
  tokens.keep_out_weight_T = at::ones({piece.num_replayed}, at::kFloat);
  tokens.keep_out_weight_T.masked_fill_(batch.is_first_T, protect.bos_weight);
  RouterCollector collector(transformer_, tokens.on(transformer_.weights().device()));
  at::Tensor hidden_TD;
  {
    const at::NoGradGuard no_grad;
    hidden_TD = transformer_.hidden(batch.inputs, {}, collector.observer());
  }
  sum.add(divided(collector.keep_out_sum(), totals.replayed_weight),
          multipliers.routing * protect.hinge_or_default(), &StepLoss::hinge);
  if (transformer_.num_added_vocab_rows() == 0) return;
  const auto leak = model::head_leak_sum(hidden_TD, transformer_.weights().head);
  sum.add(divided(leak, totals.replayed), multipliers.head * protect.head, &StepLoss::head);
}

}  // namespace polygraft::trainer
