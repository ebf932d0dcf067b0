// tests/model/kernels/moe_test.cpp: a layer's experts on one path: against float64, and the
// properties that masking and packing rest on, bit for bit.
#include "model/kernels/moe.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/model/kernels/path_under_test.h"
#include "tests/model/kernels/problem.h"

namespace polygraft::testing {
namespace {

using kernels::Stored;

void require_close(const std::string& what, const std::vector<float>& actual,
                   const std::vector<float>& expected) {
  INFO(what);
  REQUIRE(actual.size() == expected.size());
  double largest = 0, difference = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    largest = std::max(largest, std::abs(double{expected[i]}));
    const double apart = std::abs(double{actual[i]} - expected[i]);
    difference = std::isfinite(apart) ? std::max(difference, apart) : INFINITY;
  }
  // float32 and bfloat16 in tests/tolerances.h
  const bool rounds = rounds_operands(Stored::kF32);
  REQUIRE(difference <= (rounds ? 1e-3 + 5e-2 * largest : 1e-6 + 2e-5 * largest));
}

void check(const MoeProblem& problem, int64_t first_trained) {
  CAPTURE(problem.shape.tokens, problem.shape.width, problem.shape.expert_width,
          problem.shape.experts, problem.shape.top_k, first_trained);
  const MoeResults actual = run(problem, threads(2), first_trained);
  const MoeResults expected = run_reference(problem, first_trained);
  require_close("out", actual.out, expected.out);
  require_close("d_x", actual.d_x, expected.d_x);
  require_close("d_weight", actual.d_weight, expected.d_weight);
  for (size_t e = 0; e < actual.d_down.size(); ++e) {
    require_close("d_gate_up", actual.d_gate_up[e], expected.d_gate_up[e]);
    require_close("d_down", actual.d_down[e], expected.d_down[e]);
  }
}

bool same(const MoeResults& a, const MoeResults& b) {
  return a.out == b.out && a.d_x == b.d_x && a.d_weight == b.d_weight &&
         a.d_gate_up == b.d_gate_up && a.d_down == b.d_down;
}

}  // namespace

TEST_CASE("experts agree with float64 over random shapes", "[kernels][moe]") {
  Random random(11);
  const Stored stored = GENERATE(Stored::kF32, Stored::kBF16, Stored::kF16);
  const auto draw = [&](int64_t most) { return 1 + static_cast<int64_t>(random() % most); };
  for (int i = 0; i < 8; ++i) {
    MoeShape shape{draw(60), draw(70), draw(40), draw(9), 0};
    shape.top_k = draw(shape.experts);
    check(random_problem(random, shape, stored), draw(shape.experts + 1) - 1);
  }
}

TEST_CASE("few rows, many rows, every expert chosen, one expert for all", "[kernels][moe]") {
  Random random(12);
  SECTION("no token") { check(random_problem(random, {0, 8, 6, 3, 2}, Stored::kBF16), 1); }
  SECTION("one token") { check(random_problem(random, {1, 33, 17, 5, 2}, Stored::kBF16), 3); }
  SECTION("top-k is all") { check(random_problem(random, {40, 12, 9, 6, 6}, Stored::kF32), 0); }
  SECTION("all tokens on one expert of many, in several pieces") {
    check(random_problem(random, {600, 24, 10, 5, 1, -1, 1}, Stored::kBF16), 0);
  }
  SECTION("experts without a token learn nothing") {
    const auto problem = random_problem(random, {20, 12, 9, 6, 2, -1, 4}, Stored::kF32);
    check(problem, 3);
    const MoeResults results = run(problem, kernels::calling_thread(), 3);
    REQUIRE(results.d_down[5] == std::vector<float>(results.d_down[5].size(), 0.0F));
  }
  SECTION("silenced experts") {
    check(random_problem(random, {50, 12, 9, 6, 3, 4}, Stored::kF32), 2);
  }
  SECTION("wider than one block of columns") {
    check(random_problem(random, {7, 300, 270, 3, 2}, Stored::kBF16), 2);
  }
}

TEST_CASE("what forward keeps for backward changes no output", "[kernels][moe][property]") {
  Random random(16);
  const auto problem = random_problem(random, {300, 40, 24, 6, 2}, Stored::kBF16);
  const MoeResults wide = run(problem, threads(2), 3);
  REQUIRE(run_forward(problem, threads(2)) == wide.out);
  REQUIRE(run(problem, threads(2), 3, Stored::kBF16).out == wide.out);
}

TEST_CASE("gradients of rounded gate and up products are off by their rounding", "[kernels][moe]") {
  Random random(17);
  const auto problem = random_problem(random, {300, 40, 24, 6, 2}, Stored::kF32);
  const MoeResults kept = run(problem, threads(2), 3, Stored::kBF16);
  const MoeResults wide = run(problem, threads(2), 3);
  const auto off = [](const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
      size += double{b[i]} * b[i];
    }
    return std::sqrt(difference / size);
  };
  for (const auto part : {&MoeResults::d_x, &MoeResults::d_weight}) {
    // Each number is off by up to 2^-9 of itself, and both factors of a product are such.
    REQUIRE(off(kept.*part, wide.*part) < 0x1p-8);
    REQUIRE(off(kept.*part, wide.*part) > 0x1p-12);
  }
  for (size_t e = 3; e < 6; ++e) {
    REQUIRE(off(kept.d_gate_up[e], wide.d_gate_up[e]) < 0x1p-8);
    REQUIRE(off(kept.d_down[e], wide.d_down[e]) < 0x1p-8);
  }
}

TEST_CASE("a token's bits do not depend on the other tokens", "[kernels][moe][property]") {
  Random random(13);
  const auto problem = random_problem(random, {90, 40, 24, 4, 2}, Stored::kBF16);
  const MoeResults all = run(problem, threads(2), 4);
  for (const int64_t count : {1, 2, 5, 7, 13, 30}) {
    CAPTURE(count);
    for (int64_t first = 0; first + count <= 90; first += 29) {
      const MoeResults some = run(problem.tokens(first, count), kernels::calling_thread(), 4);
      const auto part = [&](const std::vector<float>& values, int64_t per_token) {
        return std::vector<float>(values.begin() + first * per_token,
                                  values.begin() + (first + count) * per_token);
      };
      REQUIRE(some.out == part(all.out, 40));
      REQUIRE(some.d_x == part(all.d_x, 40));
      REQUIRE(some.d_weight == part(all.d_weight, 2));
    }
  }
}

TEST_CASE("the bits are the same for every number of threads", "[kernels][moe][property]") {
  Random random(14);
  const auto problem = random_problem(random, {700, 40, 24, 6, 2}, Stored::kBF16);
  const MoeResults one = run(problem, kernels::calling_thread(), 3);
  for (const int count : {1, 2, 3, 8}) REQUIRE(same(one, run(problem, threads(count), 3)));
}

TEST_CASE("added experts that no token chooses change no bit", "[kernels][moe][property]") {
  Random random(15);
  const auto grown = random_problem(random, {60, 40, 24, 7, 2, -1, 5}, Stored::kBF16);
  MoeProblem base = grown;
  base.shape.experts = base.shape.num_active = 5;
  for (auto* matrices : {&base.gate, &base.up, &base.down}) {
    matrices->erase(matrices->begin() + 5, matrices->end());
  }
  base.sort_slots();
  const MoeResults with = run(grown, threads(2), 7), without = run(base, threads(2), 5);
  REQUIRE(with.out == without.out);
  REQUIRE(with.d_x == without.d_x);
  REQUIRE(with.d_weight == without.d_weight);
}

}  // namespace polygraft::testing
