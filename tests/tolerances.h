// tests/tolerances.h: how far two computations of the same number may differ, by compute dtype: one
// table for all tests. A tensor agrees with its reference when  max|a - b| <= absolute + relative *
// max|b|. The bounds are a few times the rounding of the longest sums that tests form, not what
// happens to pass.
#pragma once
#include <ATen/ATen.h>

namespace polygraft::testing {

struct Tolerance {
  double relative;
  double absolute;
};

inline Tolerance tolerance(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return {1e-12, 1e-14};
    case at::kFloat:
      return {2e-5, 1e-6};
    // 8 bits of mantissa (2^-8 is 4e-3), and two implementations round at different places between
    // operations
    case at::kBFloat16:
      return {5e-2, 1e-3};
    default:
      return {0, 0};
  }
}

}  // namespace polygraft::testing
