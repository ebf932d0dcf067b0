// tests/model/kernels/linear_test.cpp: linear products on one path against float64, and the same
// bits however the work is cut.
#include "model/kernels/linear.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/model/kernels/path_under_test.h"
#include "tests/model/kernels/problem.h"

namespace polygraft::testing {
namespace {

using kernels::LinearShape;
using kernels::Rows;
using kernels::Stored;

struct LinearResults {
  std::vector<float> out, d_x, d_weight;
};

struct LinearProblem {
  LinearShape shape;
  StoredMatrix weight;
  std::vector<float> x, d_out, bias;

  LinearProblem(Random& random, LinearShape size, Stored stored)
      : shape(size),
        weight(random_matrix(random, size.width_out, size.width_in, stored)),
        x(random_floats(random, size.num_rows * size.width_in)),
        d_out(random_floats(random, size.num_rows * size.width_out)),
        bias(random_floats(random, size.width_out)) {}
};

Rows rows(const std::vector<float>& values, int64_t width) {
  return {const_cast<float*>(values.data()), width};
}

LinearResults run(const LinearProblem& problem, const kernels::Threads& threads) {
  const LinearShape& shape = problem.shape;
  const kernels::Runner runner{path_under_test(), threads};
  LinearResults results{std::vector<float>(problem.d_out.size(), 7),
                        std::vector<float>(problem.x.size(), 7),
                        std::vector<float>(problem.weight.values.size(), 7)};
  const Rows x = rows(problem.x, shape.width_in), d_out = rows(problem.d_out, shape.width_out);
  const kernels::Matrix weight = problem.weight.view();
  kernels::linear_forward(runner, shape, x, weight, problem.bias.data(),
                          rows(results.out, shape.width_out));
  kernels::linear_input_gradient(runner, shape, d_out, weight, rows(results.d_x, shape.width_in));
  kernels::linear_weight_gradient(runner, shape, d_out, x, results.d_weight.data(), false);
  return results;
}

/// sum over k of a[k * a_step] * b[k * b_step], in float64.
double dot(const float* a, int64_t a_step, const float* b, int64_t b_step, int64_t count) {
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) sum += double{a[k * a_step]} * b[k * b_step];
  return sum;
}

void require_close(double actual, double expected, int64_t num_terms) {
  // random terms of size one: their sum is about sqrt(n), its rounding a few times 2^-24 of that,
  // or 2^-8 where operands are rounded
  const double rounding = rounds_operands(Stored::kF32) ? 2e-2 : 4e-6;
  REQUIRE(std::abs(actual - expected) <= rounding * std::sqrt(static_cast<double>(num_terms) + 1));
}

}  // namespace

TEST_CASE("linear products and their gradients agree with float64", "[kernels][linear]") {
  Random random(21);
  const Stored stored = GENERATE(Stored::kF32, Stored::kBF16, Stored::kF16);
  const LinearShape shape =
      GENERATE(LinearShape{1, 1, 1}, LinearShape{0, 3, 2}, LinearShape{5, 33, 150},
               LinearShape{300, 40, 21}, LinearShape{260, 17, 300});
  const LinearProblem problem(random, shape, stored);
  const int64_t t = shape.num_rows, d = shape.width_in, n = shape.width_out;
  const LinearResults results = run(problem, threads(2));
  const float* weight = problem.weight.values.data();
  for (int64_t i = 0; i < t; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const double expected = problem.bias[j] + dot(&problem.x[i * d], 1, weight + j * d, 1, d);
      require_close(results.out[i * n + j], expected, d);
    }
    for (int64_t j = 0; j < d; ++j) {
      require_close(results.d_x[i * d + j], dot(&problem.d_out[i * n], 1, weight + j, d, n), n);
    }
  }
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = 0; i < d; ++i) {
      require_close(results.d_weight[j * d + i],
                    dot(problem.d_out.data() + j, n, problem.x.data() + i, d, t), t);
    }
  }
}

TEST_CASE("a linear product's bits are the same for every number of threads",
          "[kernels][linear][property]") {
  Random random(22);
  const LinearProblem problem(random, {530, 70, 400}, Stored::kBF16);
  const LinearResults one = run(problem, kernels::calling_thread());
  for (const int count : {2, 3, 7}) {
    const LinearResults many = run(problem, threads(count));
    REQUIRE(many.out == one.out);
    REQUIRE(many.d_x == one.d_x);
    REQUIRE(many.d_weight == one.d_weight);
  }
}

TEST_CASE("a product with few units has work for many threads", "[kernels][linear]") {
  Random random(24);
  const LinearProblem problem(random, {256, 1024, 8}, Stored::kBF16);
  int64_t most_tasks = 0;
  const kernels::Threads many{64, [&](int64_t num_tasks, const auto& task) {
                                most_tasks = std::max(most_tasks, num_tasks);
                                for (int64_t i = 0; i < num_tasks; ++i) task(i);
                              }};
  const kernels::Runner runner{path_under_test(), many};
  std::vector<float> d_x(problem.x.size());
  kernels::linear_input_gradient(runner, problem.shape, rows(problem.d_out, 8),
                                 problem.weight.view(), rows(d_x, 1024));
  REQUIRE(most_tasks >= 32);
  REQUIRE(d_x == run(problem, kernels::calling_thread()).d_x);
}

TEST_CASE("a row's bits do not depend on the other rows", "[kernels][linear][property]") {
  Random random(23);
  const LinearProblem problem(random, {40, 70, 90}, Stored::kBF16);
  const LinearResults all = run(problem, threads(2));
  for (const int64_t row : {0, 17, 39}) {
    LinearProblem one = problem;
    one.shape.num_rows = 1;
    one.x.assign(problem.x.begin() + row * 70, problem.x.begin() + (row + 1) * 70);
    one.d_out.assign(problem.d_out.begin() + row * 90, problem.d_out.begin() + (row + 1) * 90);
    const LinearResults alone = run(one, kernels::calling_thread());
    REQUIRE(std::equal(alone.out.begin(), alone.out.end(), all.out.begin() + row * 90));
    REQUIRE(std::equal(alone.d_x.begin(), alone.d_x.end(), all.d_x.begin() + row * 70));
  }
}

}  // namespace polygraft::testing
