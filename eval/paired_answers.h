// eval/paired_answers.h: how much accuracy a model may have lost, by the answers that changed
// sides. A bootstrap knows the answers it has seen alone: where few or none changed it is too sure
// of itself. The score test does not estimate the spread from those few.
#pragma once

namespace polygraft::eval {

/// Upper confidence bound of the share lost less the share won, for independent pairs: where the
/// score statistic of Tango (1998, "Equivalence test and confidence interval for the difference in
/// proportions for the paired-sample design") meets the normal quantile. One-sided; between the
/// observed difference and 1. @param lost right before and wrong now. @param won the reverse. Parts
/// of answers count as parts: their squares are smaller, so the bound is on the safe side. Where
/// nothing was won it is no less than the exact bound of the share lost (Clopper & Pearson 1934),
/// which the score test's falls short of for the fewest.
double largest_loss(double lost, double won, double num_answers, double confidence);

/// p-value of "the loss is larger than `loss`" (0 to 1) by that statistic.
double p_loss_above(double lost, double won, double num_answers, double loss);

/// By which factor the same shares of more answers bring that bound to `margin`; infinite when no
/// number would.
double growth_for_margin(double lost, double won, double num_answers, double confidence,
                         double margin);

}  // namespace polygraft::eval
