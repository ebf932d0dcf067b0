// expand/lbfgs.h: limited-memory BFGS for smooth functions of one float64 tensor, deterministic,
// without autograd. Nocedal & Wright, Numerical Optimization, algorithms 7.4 (two-loop recursion)
// and 3.1 (backtracking). A preconditioner stands in for the initial inverse Hessian; a good one
// saves most of the iterations.
#pragma once
#include <ATen/ATen.h>

#include <functional>

namespace polygraft::expand {

/// Value at `x`; sets `gradient` (same shape as x).
using Objective = std::function<double(const at::Tensor& x, at::Tensor& gradient)>;
/// An approximate inverse Hessian, symmetric positive definite and linear, up to scale.
using Preconditioner = std::function<at::Tensor(const at::Tensor& gradient)>;

struct LbfgsOptions {
  int64_t max_iterations = 60;
  int64_t history = 10;  ///< pairs of steps and gradient changes that are kept
  double relative_decrease =
      1e-9;  ///< converged when an iteration lowers the value by less than this share of it
};

struct LbfgsResult {
  at::Tensor x;
  double value = 0;
  int64_t iterations = 0;
  bool converged = false;
};

/// @param start float64. @throws NumericError when the objective is not finite at the start.
LbfgsResult minimize(const Objective& objective, const at::Tensor& start,
                     const Preconditioner& precondition, const LbfgsOptions& options);

}  // namespace polygraft::expand
