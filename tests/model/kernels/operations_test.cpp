// tests/model/kernels/operations_test.cpp: one path's operations: products bit for bit against the
// chain of additions that operations.h promises, the rest against float64.
#include "model/kernels/operations.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "model/kernels/tasks.h"
#include "tests/model/kernels/path_under_test.h"
#include "tests/model/kernels/problem.h"

namespace polygraft::testing {
namespace {

using kernels::Product;
using kernels::Scratch;
using kernels::Stored;

struct ProductCase {
  int64_t rows, units, depth;
};

/// What a product's sum may be off by: float32 rounding of the largest of its partial sums.
struct Sum {
  double value, tolerance;
};
Sum exact_sum(const float* a, const StoredMatrix& weight, bool units_are_rows, int64_t unit,
              float start) {
  const int64_t depth = units_are_rows ? weight.columns : weight.rows;
  double sum = start, size = std::abs(start);
  for (int64_t k = 0; k < depth; ++k) {
    const float w = units_are_rows ? weight.values[unit * weight.columns + k]
                                   : weight.values[k * weight.columns + unit];
    const double term = double{a[k]} * w;
    sum += term;
    size += std::abs(term);
  }
  return {sum, 4 * size * 0x1p-24 + 1e-37};
}

/// What a path that rounds its operands multiplies instead of `values`.
void round_all(std::vector<float>& values) {
  for (float& value : values) value = rounded(value);
}

/// One addition after the other, from `sum` on.
float chain(const float* a, const StoredMatrix& weight, bool units_are_rows, int64_t unit,
            float sum) {
  const int64_t depth = units_are_rows ? weight.columns : weight.rows;
  const bool fused = fuses_multiply_add();
  for (int64_t k = 0; k < depth; ++k) {
    const float w = units_are_rows ? weight.values[unit * weight.columns + k]
                                   : weight.values[k * weight.columns + unit];
    sum = fused ? std::fma(a[k], w, sum) : sum + a[k] * w;
  }
  return sum;
}

void check_product(Random& random, const ProductCase& size, Stored stored, bool units_are_rows,
                   bool accumulate) {
  CAPTURE(size.rows, size.units, size.depth, static_cast<int>(stored), units_are_rows, accumulate);
  StoredMatrix weight = units_are_rows ? random_matrix(random, size.units, size.depth, stored)
                                       : random_matrix(random, size.depth, size.units, stored);
  const int64_t stride = size.units + 3;
  std::vector<std::vector<float>> a;
  std::vector<const float*> rows;
  for (int64_t r = 0; r < size.rows; ++r) a.push_back(random_floats(random, size.depth));
  for (const auto& row : a) rows.push_back(row.data());
  std::vector<float> out = random_floats(random, size.rows * stride);
  const std::vector<float> before = out;
  path_under_test().product({rows.data(), size.rows, size.units, size.depth, weight.view(),
                             units_are_rows, out.data(), stride, accumulate},
                            kernels::scratch(Scratch::kProduct, path_under_test().product_scratch));
  if (rounds_operands(stored)) {
    round_all(weight.values);
    for (auto& row : a) round_all(row);
  }
  size_t num_wrong = 0;
  for (int64_t r = 0; r < size.rows; ++r) {
    for (int64_t u = 0; u < stride; ++u) {
      const float was = before[static_cast<size_t>(r * stride + u)];
      const float actual = out[static_cast<size_t>(r * stride + u)];
      if (u < size.units && multiplies_tiles(stored)) {
        const Sum sum = exact_sum(rows[static_cast<size_t>(r)], weight, units_are_rows, u,
                                  accumulate ? was : 0.0F);
        num_wrong += !(std::abs(actual - sum.value) <= sum.tolerance);
        continue;
      }
      const float expected = u >= size.units ? was
                                             : chain(rows[static_cast<size_t>(r)], weight,
                                                     units_are_rows, u, accumulate ? was : 0.0F);
      num_wrong += std::memcmp(&expected, &actual, 4) != 0;
    }
  }
  REQUIRE(num_wrong == 0);
}

std::vector<float> edges() {
  return {0.0F,  -0.0F,  1e-30F, -1.0F,   1.0F,  20.0F, -20.0F,
          80.0F, -80.0F, 100.0F, -100.0F, 1e30F, -1e30F};
}

double silu(double x) { return x / (1 + std::exp(-x)); }

}  // namespace

TEST_CASE("a product is one chain of additions, whatever its shape", "[kernels][product]") {
  Random random(1);
  const Stored stored = GENERATE(Stored::kF32, Stored::kBF16, Stored::kF16);
  const bool units_are_rows = GENERATE(true, false);
  std::vector<ProductCase> sizes = {{0, 5, 7},      {1, 1, 1},      {1, 64, 256}, {1, 200, 300},
                                    {2, 70, 40},    {3, 33, 9},     {5, 128, 8},  {6, 16, 16},
                                    {13, 31, 63},   {25, 131, 513}, {4, 9, 0},    {270, 210, 530},
                                    {70, 20, 5500}, {18, 33, 16500}};
  for (int i = 0; i < 12; ++i) {
    sizes.push_back({static_cast<int64_t>(random() % 30), 1 + static_cast<int64_t>(random() % 150),
                     1 + static_cast<int64_t>(random() % 600)});
  }
  for (const ProductCase& size : sizes) {
    check_product(random, size, stored, units_are_rows, false);
    check_product(random, size, stored, units_are_rows, true);
  }
}

TEST_CASE("what is not finite stays in its own row and unit", "[kernels][product]") {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> a = {1, 2, infinity, 3}, weight = {1, 1, 1, 0, 2, 1};  // [3 units, 2]
  const float* rows[] = {a.data(), a.data() + 2};
  std::vector<float> out(6, 0);
  const kernels::Matrix matrix{reinterpret_cast<const char*>(weight.data()), Stored::kF32, 8};
  path_under_test().product({rows, 2, 3, 2, matrix, true, out.data(), 3},
                            kernels::scratch(Scratch::kProduct, path_under_test().product_scratch));
  REQUIRE(out[0] == 3);
  REQUIRE(out[1] == 1);
  REQUIRE(out[2] == 4);
  REQUIRE(out[3] == infinity);
  REQUIRE(out[5] == infinity);
}

TEST_CASE("SwiGLU within a few units in the last place of float64", "[kernels]") {
  Random random(2);
  std::vector<float> gate = random_floats(random, 1000, 4);
  const std::vector<float> extreme = edges();
  gate.insert(gate.end(), extreme.begin(), extreme.end());
  const std::vector<float> up = random_floats(random, static_cast<int64_t>(gate.size()));
  std::vector<float> h(gate.size());
  path_under_test().swiglu(gate.data(), up.data(), static_cast<int64_t>(gate.size()), h.data());
  for (size_t i = 0; i < gate.size(); ++i) {
    CAPTURE(gate[i], up[i]);
    const double expected = silu(gate[i]) * up[i];
    REQUIRE(std::abs(h[i] - expected) <= 1e-6 * std::abs(expected) + 1e-35);
  }
  const float nan = std::numeric_limits<float>::quiet_NaN(), one = 1;
  path_under_test().swiglu(&nan, &one, 1, h.data());
  REQUIRE(std::isnan(h[0]));
}

TEST_CASE("SwiGLU backward agrees with float64", "[kernels]") {
  Random random(3);
  const int64_t width = GENERATE(1, 3, 8, 16, 17, 100, 128);
  const auto gate = random_floats(random, width, 3), up = random_floats(random, width);
  const auto p = random_floats(random, width);
  std::vector<float> d_gate(gate.size()), d_up(gate.size()), weighted_h(gate.size());
  const float weight = 0.7F;
  const float d_weight =
      path_under_test().swiglu_backward({gate.data(), up.data(), p.data(), weight, width,
                                         d_gate.data(), d_up.data(), weighted_h.data()});
  double sum = 0;
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i], s = 1 / (1 + std::exp(-g)), h = g * s * up[i];
    sum += p[i] * h;
    REQUIRE(d_up[i] == Approx(weight * p[i] * g * s).epsilon(1e-5));
    REQUIRE(d_gate[i] ==
            Approx(weight * p[i] * up[i] * s * (1 + g * (1 - s))).epsilon(1e-5).margin(1e-6));
    REQUIRE(weighted_h[i] == Approx(weight * h).epsilon(1e-5));
  }
  REQUIRE(d_weight == Approx(sum).epsilon(1e-4).margin(1e-5));
}

TEST_CASE("transposing and widening are exact, rounding goes to the nearest even", "[kernels]") {
  Random random(4);
  const auto& operations = path_under_test();
  for (const auto& [rows, columns] : {std::pair{1, 1}, {8, 8}, {9, 17}, {40, 23}, {3, 100}}) {
    const auto in = random_floats(random, rows * (columns + 2));
    std::vector<float> out(static_cast<size_t>(columns * (rows + 1)), 7);
    operations.transpose(in.data(), columns + 2, rows, columns, out.data(), rows + 1);
    size_t num_wrong = 0;
    for (int c = 0; c < columns; ++c) {
      for (int r = 0; r < rows; ++r) {
        num_wrong += out[c * (rows + 1) + r] != in[r * (columns + 2) + c];
      }
      num_wrong += out[c * (rows + 1) + rows] != 7;
    }
    REQUIRE(num_wrong == 0);
  }
  for (const Stored stored : {Stored::kF32, Stored::kBF16, Stored::kF16}) {
    const StoredMatrix matrix = random_matrix(random, 1, 37, stored, 1e-4);
    std::vector<float> wide(37);
    operations.widen(matrix.view().data, stored, 37, wide.data());
    REQUIRE(wide == matrix.values);
  }
  const std::vector<float> in = {1.0F, 1.00390625F, 1.01171875F, -1.001F, 1e38F};
  std::vector<char> narrow(2 * in.size());
  operations.round_bf16(in.data(), static_cast<int64_t>(in.size()), narrow.data());
  const std::vector<float> expected = {1.0F, 1.0F, 1.015625F, -1.0F, 9.9692e37F};
  for (size_t i = 0; i < in.size(); ++i) {
    REQUIRE(stored_value(narrow.data() + 2 * i, Stored::kBF16) ==
            Approx(expected[i]).epsilon(1e-4));
  }
}

}  // namespace polygraft::testing
