// expand/lbfgs.cpp: two-loop recursion and backtracking line search.
#include "expand/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "core/error.h"

namespace polygraft::expand {

namespace {

double inner_product(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).sum().item<double>();
}

/// One remembered step: s = x' - x, y = gradient' - gradient.
struct Pair {
  at::Tensor s, y;
  double sy = 0;
};

class History {
 public:
  explicit History(size_t capacity) : capacity_(capacity) {}

  void add(at::Tensor s, at::Tensor y) {
    const double sy = inner_product(s, y);
    // Without positive curvature the update would lose positive definiteness.
    if (sy <= 1e-12 * std::sqrt(inner_product(s, s) * inner_product(y, y))) return;
    pairs_.push_back({std::move(s), std::move(y), sy});
    if (pairs_.size() > capacity_) pairs_.pop_front();
  }

  /// - H gradient, H from the preconditioner and the remembered pairs.
  at::Tensor descent(const at::Tensor& gradient, const Preconditioner& precondition) const {
    at::Tensor q = gradient.clone();
    std::vector<double> alpha(pairs_.size());
    for (size_t i = pairs_.size(); i-- > 0;) {
      alpha[i] = inner_product(pairs_[i].s, q) / pairs_[i].sy;
      q.sub_(pairs_[i].y, alpha[i]);
    }
    at::Tensor direction = precondition(q);
    if (!pairs_.empty()) {
      const Pair& last = pairs_.back();
      direction.mul_(last.sy / inner_product(last.y, precondition(last.y)));
    }
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const double beta = inner_product(pairs_[i].y, direction) / pairs_[i].sy;
      direction.add_(pairs_[i].s, alpha[i] - beta);
    }
    return direction.neg_();
  }

 private:
  size_t capacity_;
  std::deque<Pair> pairs_;
};

struct Point {
  at::Tensor x, gradient;
  double value = 0;
};

Point evaluate(const Objective& objective, at::Tensor x) {
  Point point{std::move(x), {}, 0};
  point.value = objective(point.x, point.gradient);
  return point;
}

/// Shortens the step until the value falls enough (Armijo). @return false when no step does.
bool line_search(const Objective& objective, const Point& from, const at::Tensor& direction,
                 double slope, Point& to) {
  constexpr double kSufficient = 1e-4;
  constexpr int kMaxHalvings = 30;
  double step = 1;
  for (int i = 0; i < kMaxHalvings; ++i) {
    to = evaluate(objective, from.x + direction * step);
    if (std::isfinite(to.value) && to.value <= from.value + kSufficient * step * slope) return true;
    // Minimum of the parabola through both values and the slope, kept within [0.1, 0.5] of the
    // step.
    const double parabola = -slope * step / (2 * ((to.value - from.value) / step - slope));
    step *= std::isfinite(parabola) ? std::clamp(parabola / step, 0.1, 0.5) : 0.1;
  }
  return false;
}

}  // namespace

LbfgsResult minimize(const Objective& objective, const at::Tensor& start,
                     const Preconditioner& precondition, const LbfgsOptions& options) {
  Point point = evaluate(objective, start.clone());
  if (!std::isfinite(point.value)) {
    throw NumericError("L-BFGS", "the objective is not finite at its start");
  }
  History history(static_cast<size_t>(options.history));
  LbfgsResult result;
  while (result.iterations < options.max_iterations && !result.converged) {
    const at::Tensor direction = history.descent(point.gradient, precondition);
    const double slope = inner_product(direction, point.gradient);
    Point next;
    if (!(slope < 0) || !line_search(objective, point, direction, slope, next)) {
      result.converged = true;  // no descent is left within the precision of float64
      break;
    }
    ++result.iterations;
    history.add(next.x - point.x, next.gradient - point.gradient);
    result.converged = point.value - next.value <= options.relative_decrease * point.value;
    point = std::move(next);
  }
  result.x = point.x;
  result.value = point.value;
  return result;
}

}  // namespace polygraft::expand
