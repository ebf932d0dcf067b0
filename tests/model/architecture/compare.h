// tests/model/architecture/compare.h: comparing tensors, and random tensors with a fixed seed.
#pragma once
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "tests/tolerances.h"

namespace polygraft::testing {

inline bool bitwise_equal(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return false;
  const auto x = a.detach().cpu().contiguous(), y = b.detach().cpu().contiguous();
  return x.numel() == 0 || std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

/// Largest difference over the largest allowed one: at most 1 when the tensors agree.
inline double excess(const at::Tensor& actual, const at::Tensor& expected, Tolerance limit) {
  const auto a = actual.detach().to(at::kDouble), b = expected.detach().to(at::kDouble);
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  if (a.numel() == 0) return 0;
  const double difference = (a - b).abs().max().item<double>();
  const double allowed = limit.absolute + limit.relative * b.abs().max().item<double>();
  return std::isfinite(difference) ? difference / allowed : std::numeric_limits<double>::infinity();
}

inline void require_close(const std::string& what, const at::Tensor& actual,
                          const at::Tensor& expected, at::ScalarType dtype = at::kFloat) {
  INFO(what << " " << actual.sizes() << " against " << expected.sizes());
  REQUIRE(excess(actual, expected, tolerance(dtype)) <= 1.0);
}

/// Normal numbers from the global generator; a test seeds it with at::manual_seed.
inline at::Tensor random_tensor(at::IntArrayRef shape, double deviation = 1.0) {
  return at::empty(shape, at::kFloat).normal_(0, deviation);
}

inline at::Tensor leaf(const at::Tensor& values, bool requires_grad = true) {
  return values.detach().clone().set_requires_grad(requires_grad);
}

}  // namespace polygraft::testing
