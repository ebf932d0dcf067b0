// tests/model/kernels/attention_test.cpp: causal attention on one path against float64, forward and
// backward, and what a row's bits do not depend on.
#include "model/kernels/attention.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/model/kernels/path_under_test.h"
#include "tests/model/kernels/problem.h"

namespace polygraft::testing {
namespace {

using kernels::AttentionShape;

struct Problem {
  AttentionShape shape;
  std::vector<float> q, k, v, d_out;

  Problem(Random& random, const AttentionShape& of)
      : shape(of),
        q(random_floats(random, count(of.num_heads))),
        k(random_floats(random, count(of.num_kv_heads))),
        v(random_floats(random, count(of.num_kv_heads))),
        d_out(random_floats(random, count(of.num_heads))) {}

  int64_t count(int64_t heads) const { return shape.num_tokens() * heads * shape.head_dim; }
};

struct Results {
  std::vector<float> out, log_sum, d_q, d_k, d_v;
  bool operator==(const Results&) const = default;
};

Results run(const Problem& problem, const kernels::Threads& threads) {
  const kernels::Runner runner{path_under_test(), threads};
  const auto like = [](const std::vector<float>& values) {
    return std::vector<float>(values.size(), 7);
  };
  Results r{like(problem.q), std::vector<float>(problem.q.size() / problem.shape.head_dim, 7),
            like(problem.q), like(problem.k), like(problem.v)};
  kernels::attention_forward(
      runner, problem.shape,
      {problem.q.data(), problem.k.data(), problem.v.data(), r.out.data(), r.log_sum.data()});
  kernels::attention_backward(
      runner, problem.shape,
      {problem.q.data(), problem.k.data(), problem.v.data(), r.out.data(), r.log_sum.data(),
       problem.d_out.data(), r.d_q.data(), r.d_k.data(), r.d_v.data()});
  return r;
}

struct Sums {
  std::vector<double> out, log_sum, d_q, d_k, d_v;
};

/// One query by the definitions.
class Query {
 public:
  Query(const Problem& problem, int64_t first_token, int64_t token, int64_t head)
      : problem_(problem), first_(first_token), count_(token - first_token + 1) {
    const AttentionShape& shape = problem.shape;
    dim_ = shape.head_dim;
    place_ = token * shape.num_heads + head;
    kv_head_ = head / (shape.num_heads / shape.num_kv_heads);
  }

  void add_to(Sums& sums) const {
    const float* q = &problem_.q[at(place_)];
    const float* d_out = &problem_.d_out[at(place_)];
    const double scale = 1 / std::sqrt(static_cast<double>(dim_));
    std::vector<double> p, d_p;
    double sum = 0, mean = 0;
    for (int64_t j = 0; j < count_; ++j) {
      p.push_back(std::exp(scale * dot(q, &problem_.k[at(key(j))])));
      d_p.push_back(dot(d_out, &problem_.v[at(key(j))]));
      sum += p.back();
    }
    sums.log_sum[static_cast<size_t>(place_)] = std::log(sum);
    for (double& value : p) value /= sum;
    for (size_t j = 0; j < p.size(); ++j) mean += p[j] * d_p[j];
    for (int64_t j = 0; j < count_; ++j) {
      const auto i = static_cast<size_t>(j);
      const double d_s = p[i] * (d_p[i] - mean) * scale;
      for (int64_t c = 0; c < dim_; ++c) {
        const size_t of_query = at(place_) + static_cast<size_t>(c);
        const size_t of_key = at(key(j)) + static_cast<size_t>(c);
        sums.out[of_query] += p[i] * problem_.v[of_key];
        sums.d_q[of_query] += d_s * problem_.k[of_key];
        sums.d_k[of_key] += d_s * q[c];
        sums.d_v[of_key] += p[i] * d_out[c];
      }
    }
  }

 private:
  size_t at(int64_t row) const { return static_cast<size_t>(row * dim_); }
  int64_t key(int64_t j) const { return (first_ + j) * problem_.shape.num_kv_heads + kv_head_; }
  double dot(const float* a, const float* b) const {
    double sum = 0;
    for (int64_t c = 0; c < dim_; ++c) sum += double{a[c]} * b[c];
    return sum;
  }

  const Problem& problem_;
  int64_t first_, count_, dim_ = 0, place_ = 0, kv_head_ = 0;
};

Sums reference(const Problem& problem) {
  const AttentionShape& shape = problem.shape;
  const size_t num_q = problem.q.size(), num_k = problem.k.size();
  Sums sums{std::vector<double>(num_q), std::vector<double>(num_q / shape.head_dim),
            std::vector<double>(num_q), std::vector<double>(num_k), std::vector<double>(num_k)};
  for (size_t s = 0; s + 1 < shape.first_token.size(); ++s) {
    for (int64_t token = shape.first_token[s]; token < shape.first_token[s + 1]; ++token) {
      for (int64_t head = 0; head < shape.num_heads; ++head)
        Query(problem, shape.first_token[s], token, head).add_to(sums);
    }
  }
  return sums;
}

void require_close(const std::string& what, const std::vector<float>& actual,
                   const std::vector<double>& expected) {
  INFO(what);
  // float32 and bfloat16 in tests/tolerances.h. Rounded operands are off relative to a sum's terms,
  // which are about 1 here, even where they cancel (a first token's d_q is zero).
  const bool rounds = rounds_operands(kernels::Stored::kF32);
  double largest = rounds ? 1 : 0, difference = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    const double apart = std::abs(double{actual[i]} - expected[i]);
    difference = std::isfinite(apart) ? std::max(difference, apart) : INFINITY;
  }
  REQUIRE(difference <= (rounds ? 1e-3 + 5e-2 * largest : 1e-6 + 2e-5 * largest));
}

/// Some sequences of a problem, by themselves.
Problem part_of(const Problem& problem, size_t first, size_t count) {
  Problem part = problem;
  const std::vector<int64_t>& bounds = problem.shape.first_token;
  part.shape.first_token.clear();
  for (size_t s = first; s <= first + count; ++s)
    part.shape.first_token.push_back(bounds[s] - bounds[first]);
  const auto cut = [&](std::vector<float>& values, int64_t heads) {
    const int64_t width = heads * problem.shape.head_dim;
    values = {values.begin() + bounds[first] * width,
              values.begin() + bounds[first + count] * width};
  };
  cut(part.q, problem.shape.num_heads);
  cut(part.d_out, problem.shape.num_heads);
  cut(part.k, problem.shape.num_kv_heads);
  cut(part.v, problem.shape.num_kv_heads);
  return part;
}

}  // namespace

TEST_CASE("attention agrees with float64", "[kernels][attention]") {
  Random random(41);
  const auto shape =
      GENERATE(AttentionShape{2, 1, 8, {0, 1}}, AttentionShape{6, 3, 32, {0, 40, 40, 41, 200}},
               AttentionShape{4, 4, 16, {0, 97, 130}}, AttentionShape{8, 1, 24, {0, 70}},
               AttentionShape{3, 1, 7, {0, 13, 30}}, AttentionShape{2, 2, 64, {0, 300}});
  CAPTURE(shape.num_heads, shape.num_kv_heads, shape.head_dim, shape.num_tokens());
  const Problem problem(random, shape);
  const Results actual = run(problem, threads(2));
  const Sums expected = reference(problem);
  require_close("out", actual.out, expected.out);
  require_close("log-sum", actual.log_sum, expected.log_sum);
  require_close("d_q", actual.d_q, expected.d_q);
  require_close("d_k", actual.d_k, expected.d_k);
  require_close("d_v", actual.d_v, expected.d_v);
}

TEST_CASE("no token is no work", "[kernels][attention]") {
  Random random(42);
  REQUIRE(run(Problem(random, {2, 1, 8, {0}}), threads(2)).out.empty());
}

TEST_CASE("a sequence's bits do not depend on others, nor on the threads",
          "[kernels][attention][property]") {
  Random random(43);
  const Problem problem(random, {6, 2, 16, {0, 50, 51, 170, 300}});
  const Results all = run(problem, kernels::calling_thread());
  for (const int count : {2, 3, 8}) REQUIRE(run(problem, threads(count)) == all);
  for (size_t s = 0; s < 4; ++s) {
    const Results alone = run(part_of(problem, s, 1), threads(2));
    const auto part = [&](const std::vector<float>& values, const std::vector<float>& of) {
      const auto first = static_cast<int64_t>(values.size()) * problem.shape.first_token[s] /
                         problem.shape.num_tokens();
      return std::vector<float>(values.begin() + first,
                                values.begin() + first + static_cast<int64_t>(of.size()));
    };
    CHECK(alone.out == part(all.out, alone.out));
    CHECK(alone.d_q == part(all.d_q, alone.d_q));
    CHECK(alone.d_k == part(all.d_k, alone.d_k));
    CHECK(alone.d_v == part(all.d_v, alone.d_v));
  }
}

TEST_CASE("a token sees nothing that comes after it", "[kernels][attention][property]") {
  Random random(44);
  const Problem problem(random, {4, 2, 16, {0, 130}});
  Problem other = problem;
  const int64_t seen = 77;
  for (size_t i = static_cast<size_t>(seen * 2 * 16); i < other.k.size(); ++i) {
    other.k[i] += 3;
    other.v[i] = -other.v[i];
  }
  const Results a = run(problem, threads(2)), b = run(other, threads(2));
  const auto before = [&](const std::vector<float>& values) {
    return std::vector<float>(values.begin(), values.begin() + seen * 4 * 16);
  };
  REQUIRE(before(a.out) == before(b.out));
  REQUIRE(a.out != b.out);
}

TEST_CASE("large scores neither overflow nor lose the largest", "[kernels][attention]") {
  Random random(45);
  Problem problem(random, {2, 1, 16, {0, 60}});
  for (float& value : problem.q) value *= 60;
  const Results actual = run(problem, threads(1));
  const Sums expected = reference(problem);  // exp() of these is finite in float64
  require_close("out", actual.out, expected.out);
  require_close("log-sum", actual.log_sum, expected.log_sum);
}

}  // namespace polygraft::testing
