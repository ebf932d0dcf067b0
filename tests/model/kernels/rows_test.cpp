// tests/model/kernels/rows_test.cpp: RMSNorm and rotary embedding on one path against float64, and
// the same bits however rows are shared out.
#include "model/kernels/rows.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/model/kernels/path_under_test.h"
#include "tests/model/kernels/problem.h"

namespace polygraft::testing {
namespace {

constexpr float kEps = 1e-6F;

struct NormProblem {
  kernels::NormShape shape;
  std::vector<float> x, weight, d_y;

  NormProblem(Random& random, int64_t num_rows, int64_t width)
      : shape{num_rows, width},
        x(random_floats(random, num_rows * width, 3)),
        weight(random_floats(random, width)),
        d_y(random_floats(random, num_rows * width)) {}
};

struct NormResults {
  std::vector<float> y, inverse, d_x;
};

NormResults run(const NormProblem& problem, const kernels::Threads& threads) {
  const kernels::Runner runner{path_under_test(), threads};
  NormResults results{std::vector<float>(problem.x.size(), 7),
                      std::vector<float>(static_cast<size_t>(problem.shape.num_rows), 7),
                      std::vector<float>(problem.x.size(), 7)};
  kernels::rms_norm_forward(runner, problem.shape, problem.x.data(), problem.weight.data(), kEps,
                            results.y.data(), results.inverse.data());
  kernels::rms_norm_input_gradient(runner, problem.shape, problem.x.data(), problem.weight.data(),
                                   results.inverse.data(), problem.d_y.data(), results.d_x.data());
  return results;
}

std::vector<float> rotated(const kernels::RotaryShape& shape, const std::vector<float>& x,
                           const std::vector<float>& cos, const std::vector<float>& sin,
                           float turn) {
  std::vector<float> y(x.size(), 7);
  kernels::rotate_heads({path_under_test(), threads(2)}, shape, x.data(), cos.data(), sin.data(),
                        turn, y.data());
  return y;
}

}  // namespace

TEST_CASE("RMSNorm and its input gradient agree with float64", "[kernels][rows]") {
  Random random(31);
  const int64_t width = GENERATE(1, 3, 16, 17, 48, 192, 1000);
  const NormProblem problem(random, 37, width);
  const NormResults results = run(problem, threads(2));
  for (int64_t row = 0; row < 37; ++row) {
    const float* x = &problem.x[static_cast<size_t>(row * width)];
    const float* d_y = &problem.d_y[static_cast<size_t>(row * width)];
    double squares = 0;
    for (int64_t i = 0; i < width; ++i) squares += double{x[i]} * x[i];
    const double r = 1 / std::sqrt(squares / static_cast<double>(width) + kEps);
    double dot = 0;
    for (int64_t i = 0; i < width; ++i) dot += double{d_y[i]} * problem.weight[i] * x[i];
    const double along = dot / static_cast<double>(width) * r * r * r;
    REQUIRE(results.inverse[row] == Approx(r).epsilon(2e-6));
    for (int64_t i = 0; i < width; ++i) {
      const double g = double{d_y[i]} * problem.weight[i];
      REQUIRE(results.y[row * width + i] == Approx(x[i] * r * problem.weight[i]).epsilon(4e-6));
      // what cancels is as large as either part
      REQUIRE(std::abs(results.d_x[row * width + i] - (r * g - x[i] * along)) <=
              1e-5 * (std::abs(r * g) + std::abs(x[i] * along) + r));
    }
  }
}

TEST_CASE("a row's norm has the same bits alone, and on any number of threads",
          "[kernels][rows][property]") {
  Random random(32);
  const NormProblem problem(random, 900, 70);
  const NormResults all = run(problem, kernels::calling_thread());
  for (const int count : {2, 3, 7}) {
    const NormResults many = run(problem, threads(count));
    REQUIRE(many.y == all.y);
    REQUIRE(many.d_x == all.d_x);
  }
  NormProblem one = problem;
  one.shape.num_rows = 1;
  one.x.erase(one.x.begin(), one.x.begin() + 641 * 70);
  one.d_y.erase(one.d_y.begin(), one.d_y.begin() + 641 * 70);
  one.x.resize(70);
  one.d_y.resize(70);
  const NormResults alone = run(one, kernels::calling_thread());
  REQUIRE(std::equal(alone.y.begin(), alone.y.end(), all.y.begin() + 641 * 70));
  REQUIRE(std::equal(alone.d_x.begin(), alone.d_x.end(), all.d_x.begin() + 641 * 70));
}

TEST_CASE("heads turn as float64 does, and back", "[kernels][rows]") {
  Random random(33);
  const int64_t half = GENERATE(1, 3, 8, 20, 32, 64);
  const kernels::RotaryShape shape{13, 3, 2 * half};
  const std::vector<float> x = random_floats(random, 13 * 3 * 2 * half);
  std::vector<float> cos, sin;
  for (int64_t token = 0; token < 13; ++token) {
    const std::vector<float> angle = random_floats(random, half, 2);
    for (int copy = 0; copy < 2; ++copy) {
      for (const float value : angle) {
        cos.push_back(std::cos(value));
        sin.push_back(std::sin(value));
      }
    }
  }
  const std::vector<float> y = rotated(shape, x, cos, sin, 1);
  for (int64_t at = 0; at < 13 * 3; ++at) {
    const float *head = &x[at * 2 * half], *c = &cos[at / 3 * 2 * half],
                *s = &sin[at / 3 * 2 * half];
    for (int64_t i = 0; i < half; ++i) {
      const double first = double{head[i]} * c[i] - double{head[half + i]} * s[i];
      const double second = double{head[half + i]} * c[i] + double{head[i]} * s[i];
      REQUIRE(y[at * 2 * half + i] == Approx(first).epsilon(1e-5).margin(1e-6));
      REQUIRE(y[at * 2 * half + half + i] == Approx(second).epsilon(1e-5).margin(1e-6));
    }
  }
  const std::vector<float> back = rotated(shape, y, cos, sin, -1);
  for (size_t i = 0; i < x.size(); ++i) REQUIRE(back[i] == Approx(x[i]).epsilon(1e-5).margin(1e-5));
}

}  // namespace polygraft::testing
