// tests/model/device/adamw_test.cpp: ten updates against float64, and rows that must not move.
#include "model/device/adamw.h"

#include "tests/model/device/problem.h"

namespace polygraft::testing {
namespace {

using device::AdamWRows;
using device::AdamWStep;
using device::ThreadOrder;

constexpr double kRate = 1e-2, kDecay = 0.1, kBeta1 = 0.9, kBeta2 = 0.95, kEpsilon = 1e-8;
constexpr int kNumSteps = 10;
constexpr int64_t kNumRows = 4, kWidth = 300, kMatrixRows = 9;
const std::vector<int32_t> kRowOf = {7, -1, 0, 3};  // of the matrix; the second row is frozen

AdamWStep numbers_of(int step) {
  return {static_cast<float>(kRate / (1 - std::pow(kBeta1, step))),
          static_cast<float>(1 - kRate * kDecay),
          static_cast<float>(std::sqrt(1 - std::pow(kBeta2, step))),
          static_cast<float>(kBeta1),
          static_cast<float>(kBeta2),
          static_cast<float>(kEpsilon)};
}

template <class Gradient>
std::vector<Gradient> random_gradient(int step) {
  std::mt19937_64 random(static_cast<uint64_t>(step));
  std::vector<Gradient> gradient;
  for (const float value : random_floats(kNumRows * kWidth, random)) {
    if constexpr (std::is_same_v<Gradient, float>) {
      gradient.push_back(value);
    } else {
      gradient.push_back(device::to_bfloat16(value));
    }
  }
  return gradient;
}

std::vector<float> starting_values() {
  std::mt19937_64 random(77);
  return random_floats(kNumRows * kWidth, random);
}

/// Master copy and working matrix after all steps.
template <class Gradient>
auto train(ThreadOrder order) {
  auto master = starting_values();
  std::vector<float> first(master.size(), 0.0f), second = first;
  std::vector<BFloat16> matrix(kMatrixRows * kWidth, BFloat16{0x1234});
  for (int step = 1; step <= kNumSteps; ++step) {
    const auto gradient = random_gradient<Gradient>(step);
    launch_on_host(
        AdamWRows<Gradient>{view(gradient), writable(master), writable(first), writable(second),
                            writable(matrix), view(kRowOf), kWidth, numbers_of(step)},
        order);
  }
  return std::tuple(master, matrix);
}

template <class Gradient>
std::vector<double> train_plainly() {
  auto value = to_doubles(starting_values());
  std::vector<double> first(value.size(), 0.0), second = first;
  for (int step = 1; step <= kNumSteps; ++step) {
    const auto gradient = random_gradient<Gradient>(step);
    for (size_t i = 0; i < value.size(); ++i) {
      if (kRowOf[i / kWidth] < 0) continue;
      const double g = device::to_float(gradient[i]);
      first[i] = kBeta1 * first[i] + (1 - kBeta1) * g;
      second[i] = kBeta2 * second[i] + (1 - kBeta2) * g * g;
      const double m = first[i] / (1 - std::pow(kBeta1, step));
      const double v = second[i] / (1 - std::pow(kBeta2, step));
      value[i] = value[i] * (1 - kRate * kDecay) - kRate * m / (std::sqrt(v) + kEpsilon);
    }
  }
  return value;
}

}  // namespace

TEMPLATE_TEST_CASE("AdamW on the device agrees with float64 and leaves frozen rows alone",
                   "[device]", float, device::BFloat16) {
  const auto [master, matrix] =
      in_all_orders([](ThreadOrder order) { return train<TestType>(order); });
  require_close(to_doubles(master), train_plainly<TestType>(), kFloatTolerance);
  for (int64_t row = 0; row < kMatrixRows; ++row) {
    const auto found = std::find(kRowOf.begin(), kRowOf.end(), row);
    for (int64_t column = 0; column < kWidth; ++column) {
      const uint16_t bits = matrix[static_cast<size_t>(row * kWidth + column)].bits;
      if (found == kRowOf.end()) {
        REQUIRE(bits == 0x1234);
        continue;
      }
      const auto i = (found - kRowOf.begin()) * kWidth + column;
      REQUIRE(bits == device::to_bfloat16(master[static_cast<size_t>(i)]).bits);
    }
  }
  const auto start = starting_values();
  REQUIRE(std::equal(start.begin() + kWidth, start.begin() + 2 * kWidth, master.begin() + kWidth));
}

}  // namespace polygraft::testing
