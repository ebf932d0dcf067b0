// model/kernels/logits.cpp: see logits.h.
#include "model/kernels/logits.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "model/kernels/for_rows.h"

namespace polygraft::kernels {
namespace {

/// Some of a token's logits, side by side.
struct Stretch {
  float* data;
  int64_t count;
};
using Kept = std::array<Stretch, 2>;  // base rows that are not displaced: front and behind

/// Without displaced rows one stretch, as for a base on its own.
Kept kept_of(const LogitLayout& layout, float* base) {
  if (layout.first_displaced == layout.end_displaced) {
    return {{{base, layout.num_base}, {base, 0}}};
  }
  return {{{base, layout.first_displaced},
           {base + layout.end_displaced, layout.num_base - layout.end_displaced}}};
}

float maximum(const Operations& operations, const Kept& kept) {
  return std::max(operations.maximum(kept[0].data, kept[0].count),
                  operations.maximum(kept[1].data, kept[1].count));
}

/// Sum of exp(z - shift). @param in_place every z becomes its term.
double exp_sum(const Operations& operations, const Stretch& of, float shift, bool in_place) {
  return operations.exp_sum(of.data, of.count, shift, in_place ? of.data : nullptr);
}
double exp_sum(const Operations& operations, const Kept& kept, float shift, bool in_place) {
  return exp_sum(operations, kept[0], shift, in_place) +
         exp_sum(operations, kept[1], shift, in_place);
}

void scale(const Operations& operations, const Stretch& of, double factor) {
  operations.scale_subtract(of.data, static_cast<float>(factor), nullptr, 0, of.count);
}

/// logsumexp(z) = shift + log(sum).
struct Normaliser {
  float shift = 0;
  double sum = 0;

  double log_sum_exp() const { return shift + std::log(sum); }
};

/// Of all that a softmax runs over. @param in_place as for exp_sum().
Normaliser normalise(const Operations& operations, const LogitLayout& layout, const Kept& kept,
                     const Stretch& added, float copied, bool in_place) {
  Normaliser all{std::max(maximum(operations, kept), operations.maximum(added.data, added.count)),
                 0};
  all.sum = exp_sum(operations, kept, all.shift, in_place) +
            exp_sum(operations, added, all.shift, in_place);
  if (layout.num_copies > 0) {
    all.sum += static_cast<double>(layout.num_copies) * std::exp(double{copied} - all.shift);
  }
  return all;
}

void zero_displaced(const LogitLayout& layout, float* base) {
  std::fill(base + layout.first_displaced, base + layout.end_displaced, 0.0F);
}

/// What the copies' probabilities add to the gradient of the row that they copy.
void add_copies(const LogitLayout& layout, const Normaliser& all, float copied, float* base) {
  if (layout.num_copies == 0) return;
  const double each = std::exp(double{copied} - all.log_sum_exp());
  base[layout.copied_row] += static_cast<float>(static_cast<double>(layout.num_copies) * each);
}

/// A base row's that is kept, so that the maximum covers it.
float copied_logit(const LogitLayout& layout, const float* base) {
  return layout.num_copies > 0 ? base[layout.copied_row] : 0;
}

int64_t width_of(const LogitLayout& layout) { return layout.num_base + layout.num_added; }

}  // namespace

void log_sum_exp(const Runner& runner, int64_t num_tokens, const Rows& logits, int64_t count,
                 double* result) {
  const Operations& operations = runner.operations;
  for_rows(runner, num_tokens, count, [&](int64_t token) {
    const Stretch all{logits.row(token), count};
    Normaliser of{operations.maximum(all.data, count), 0};
    of.sum = exp_sum(operations, all, of.shift, false);
    result[token] = of.log_sum_exp();
  });
}

void cross_entropy(const Runner& runner, const LogitLayout& layout, const Logits& logits,
                   const Target* targets, double* nll) {
  const Operations& operations = runner.operations;
  for_rows(runner, logits.num_tokens, width_of(layout), [&](int64_t token) {
    float *base = logits.base_row(token), *added = logits.added_row(token);
    const Target target = targets[token];
    nll[token] = 0;
    if (target.in == Target::In::kNone) {
      std::fill(base, base + layout.num_base, 0.0F);
      std::fill(added, added + layout.num_added, 0.0F);
      return;
    }
    float* at_target = (target.in == Target::In::kBase ? base : added) + target.index;
    const float target_logit = *at_target, copied = copied_logit(layout, base);
    const Kept kept = kept_of(layout, base);
    const Stretch of_added{added, layout.num_added};
    const Normaliser all = normalise(operations, layout, kept, of_added, copied, true);
    nll[token] = all.log_sum_exp() - target_logit;
    for (const Stretch& stretch : {kept[0], kept[1], of_added}) {
      scale(operations, stretch, 1 / all.sum);
    }
    zero_displaced(layout, base);
    add_copies(layout, all, copied, base);
    *at_target -= 1;
  });
}

void kl_divergence(const Runner& runner, const LogitLayout& layout, float* base_logits,
                   int64_t base_logits_stride, const Logits& logits, double* kl,
                   bool with_gradient) {
  const Operations& operations = runner.operations;
  for_rows(runner, logits.num_tokens, width_of(layout), [&](int64_t token) {
    float* base = logits.base_row(token);
    const Stretch added{logits.added_row(token), layout.num_added};
    const float copied = copied_logit(layout, base);
    const Kept y = kept_of(layout, base_logits + token * base_logits_stride);
    const Kept z = kept_of(layout, base);
    Normaliser of_base{maximum(operations, y), 0};
    double weighted = 0;  // sum of exp(y - shift) (y - z)
    for (size_t i = 0; i < y.size(); ++i) {
      const ExpDifference sums =
          operations.exp_difference(y[i].data, z[i].data, y[i].count, of_base.shift);
      of_base.sum += sums.exp_sum;
      weighted += sums.weighted;
    }
    const Normaliser all = normalise(operations, layout, z, added, copied, with_gradient);
    kl[token] = weighted / of_base.sum + (all.log_sum_exp() - of_base.log_sum_exp());
    if (!with_gradient) return;
    for (size_t i = 0; i < y.size(); ++i) {
      operations.scale_subtract(z[i].data, static_cast<float>(1 / all.sum), y[i].data,
                                static_cast<float>(1 / of_base.sum), y[i].count);
    }
    scale(operations, added, 1 / all.sum);
    zero_displaced(layout, base);
    add_copies(layout, all, copied, base);
  });
}

void head_leak(const Runner& runner, const LogitLayout& layout, const Logits& logits, double* cost,
               bool with_gradient) {
  const Operations& operations = runner.operations;
  for_rows(runner, logits.num_tokens, width_of(layout), [&](int64_t token) {
    const Kept base = kept_of(layout, logits.base_row(token));
    const Stretch added{logits.added_row(token), layout.num_added};
    Normaliser of_base{maximum(operations, base), 0};
    of_base.sum = exp_sum(operations, base, of_base.shift, false);
    Normaliser of_added{operations.maximum(added.data, added.count), 0};
    of_added.sum = exp_sum(operations, added, of_added.shift, with_gradient);
    const double excess = of_added.log_sum_exp() - of_base.log_sum_exp();
    // softplus(excess), without overflow
    cost[token] = std::max(excess, 0.0) + std::log1p(std::exp(-std::abs(excess)));
    if (with_gradient) scale(operations, added, std::exp(excess - cost[token]) / of_added.sum);
  });
}

}  // namespace polygraft::kernels
