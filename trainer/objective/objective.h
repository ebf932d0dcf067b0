// trainer/objective/objective.h: the loss of one step, forward and backward.
//   learned text:  cross-entropy / tokens + capture * c
//   replayed text: method kl     kl * mean KL(base || expanded) + hinge * h, c and the KL with
//   gradient through the layers
//                  method hinge  hinge * h + head * mean head cost, forward only: the gradient
//                  reaches added rows alone
//                  method polyak nothing here: added rows take steps of their own (polyak_steps.h)
//                  method prior  cross-entropy, counted like learned text, + prior * p: MoE-LPR, a
//                  control; its gradient reaches router rows alone
//                  method none   cross-entropy, counted like learned text (always so when old
//                  weights train)
// kl, hinge and prior times the multiplier `routing`, head and the KL's gradient into output rows
// times `head` (budget.h).
// h = mean over tokens of sum_j relu(m + z_j - t)^2, c = mean over tokens of the mean of relu(m -
// (z_j - t))^2 over the highest z_j, p = mean of -log(the base's share of the router's softmax)
// (router_loss.h; p: model/architecture/router_terms.h), averaged over the layers that have added
// experts. c goes with kl, hinge and polyak. No row's start is captured: at BOS no router can know
// the language, and an old document's BOS must stay with the base. c reaches new input rows, which
// old text hardly uses, and new experts: they can mark the language for later routers.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/architecture/transformer.h"
#include "trainer/budget.h"
#include "trainer/config.h"
#include "trainer/objective/pieces.h"
#include "trainer/objective/router_collector.h"

namespace polygraft::trainer {

/// Denominators of a whole step, known before its first piece is computed.
struct StepTotals {
  double scored = 0;  ///< tokens with cross-entropy: learned, and replayed where nothing else holds
  double learned = 0;
  double captured = 0;  ///< learned tokens that do not start a row
  double replayed = 0;
  double replayed_weight =
      0;  ///< replayed tokens, a row's first one counted as often as the method says
  double balanced = 0;
};

/// What a step cost, each part before its weight. Parts that the method lacks stay 0.
struct StepLoss {
  double total = 0;                   ///< what was differentiated
  double cross_entropy = 0;           ///< nats per learned token
  double replayed_cross_entropy = 0;  ///< nats per replayed token
  double kl = 0;                      ///< nats per replayed token
  double hinge = 0, capture = 0, head = 0, prior = 0, load_balance = 0;

  StepLoss& operator+=(const StepLoss& piece);
};

/// What a piece cost, where it was computed: all pieces' are read when the whole step is under way,
/// so that nothing waits for a GPU between two of them.
class PieceLoss {
 public:
  /// @param value of one number, added to what was noted of `part` before.
  void note(double StepLoss::*part, const at::Tensor& value) {
    parts_.emplace_back(part, value.detach());
  }
  /// Waits once, until all are computed.
  static std::vector<StepLoss> read(const std::vector<PieceLoss>& pieces);

 private:
  std::vector<std::pair<double StepLoss::*, at::Tensor>> parts_;
};

enum class Protection { kNone, kKl, kHinge, kPolyak, kPrior };
/// Protection needs a frozen base to protect: kNone when old weights train or nothing was added.
Protection protection_of(const TrainConfig& config, const model::Transformer& transformer);
/// What replayed text costs under these settings, in words for the log.
std::string replay_text(const TrainConfig& config, Protection protection);

class Objective {
 public:
  /// @param transformer is referred to, not copied. @param in_lockstep other ranks take part in its
  /// passes (model/architecture/expert_parallel.h): all make the same ones, in the same order.
  Objective(const model::Transformer& transformer, tokenizer::TokenId prefix,
            const TrainConfig& config, bool in_lockstep = false);

  /// Adds the step's gradients to the trainable tensors. @param multipliers of the weights:
  /// `routing` of kl, hinge and prior, `head` of head and of what kl asks of output rows.
  StepLoss backward(const StepRows& rows, const Multipliers& multipliers) const;

  StepTotals count(const StepRows& rows) const;
  /// The same for one piece of a step. In lockstep a piece without rows takes part in the others'
  /// passes; gradients that it leaves count for nothing.
  PieceLoss backward_piece(const Piece& piece, const StepTotals& totals,
                           const Multipliers& multipliers) const;

 private:
  struct Sum;
  bool scores_replayed() const {  ///< with cross-entropy
    return protection_ == Protection::kNone || protection_ == Protection::kPrior;
  }
  bool balances_base()
      const {  ///< none-but-router trains the base's routers where nothing is added
    return config_.changes_base() || transformer_.num_added_experts() == 0;
  }
  bool takes_replayed_along() const {  ///< through the layers, with gradients
    return scores_replayed() || protection_ == Protection::kKl;
  }
  RouterLossTokens forward_tokens(const Piece& piece, const TokenBatch& batch) const;
  model::RouterTerms router_terms(const Piece& piece, const TokenBatch& batch) const;
  void add_forward(const Piece& piece, const StepTotals& totals, const Multipliers& multipliers,
                   Sum& sum) const;
  void add_kl(const Piece& piece, const at::Tensor& hidden_PD, const StepTotals& totals,
              const Multipliers& multipliers, Sum& sum) const;
  void add_forward_only_hinge(const Piece& piece, const StepTotals& totals,
                              const Multipliers& multipliers, Sum& sum) const;
  void take_part(model::Mask mask, Sum* sum) const;

  const model::Transformer& transformer_;
  tokenizer::TokenId prefix_;
  TrainConfig config_;
  Protection protection_;
  bool in_lockstep_;
};

}  // namespace polygraft::trainer
