// tests/model/device/problem.h: random inputs for kernel bodies, launches in every thread order,
// and comparisons with plain double-precision references.
#pragma once
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <tuple>
#include <vector>

#include "model/device/host_launch.h"
#include "model/device/number.h"

namespace polygraft::testing {

using device::BFloat16;
using device::Lanes;
using device::View;

template <class T>
View<const T> view(const std::vector<T>& values) {
  return {values.data(), static_cast<int64_t>(values.size())};
}
template <class T>
View<T> writable(std::vector<T>& values) {
  return {values.data(), static_cast<int64_t>(values.size())};
}

/// What a body that forgets to write an element leaves there.
template <class T>
std::vector<T> unwritten(int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  if (count > 0) std::memset(static_cast<void*>(values.data()), 0xFF, values.size() * sizeof(T));
  return values;
}

inline std::vector<float> random_floats(int64_t count, std::mt19937_64& random, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

inline std::vector<Lanes> to_lanes(const std::vector<float>& values) {
  std::vector<Lanes> lanes(values.size() / device::kLanes);
  for (size_t i = 0; i < lanes.size(); ++i) {
    device::Floats floats;
    std::copy_n(values.data() + i * device::kLanes, device::kLanes, floats.values);
    lanes[i] = device::to_lanes(floats);
  }
  return lanes;
}
inline std::vector<Lanes> random_lanes(int64_t count, std::mt19937_64& random) {
  return to_lanes(random_floats(count, random));
}
inline std::vector<double> to_doubles(const std::vector<Lanes>& lanes) {
  std::vector<double> values;
  for (const Lanes& one : lanes) {
    const device::Floats floats = device::to_floats(one);
    values.insert(values.end(), floats.values, floats.values + device::kLanes);
  }
  return values;
}
template <class T>
std::vector<double> to_doubles(const std::vector<T>& values) {
  return std::vector<double>(values.begin(), values.end());
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// Calls run(order), which launches and returns a tuple of vectors, in every order of threads;
/// their bits must agree. @return the result.
template <class Run>
auto in_all_orders(const Run& run) {
  const auto result = run(device::ThreadOrder::kForward);
  for (const auto order : {device::ThreadOrder::kReverse, device::ThreadOrder::kShuffled}) {
    const auto other = run(order);
    std::apply(
        [&](const auto&... a) {
          std::apply([&](const auto&... b) { REQUIRE((same_bits(a, b) && ...)); }, other);
        },
        result);
  }
  return result;
}

/// How far a result may be from the double-precision reference, relative to the largest value of
/// it.
constexpr double kFloatTolerance = 2e-6;          // a few roundings to 24 bits
constexpr double kBFloat16Tolerance = 1.0 / 256;  // one rounding to 8 bits

inline void require_close(const std::vector<double>& found, const std::vector<double>& expected,
                          double tolerance) {
  REQUIRE(found.size() == expected.size());
  double largest = 1e-30;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < found.size(); ++i) {
    INFO("element " << i);
    REQUIRE(std::abs(found[i] - expected[i]) <= tolerance * largest);
  }
}

/// Experts of T tokens, K different ones each. `crowd`: all tokens choose the same ones.
inline std::vector<int32_t> random_choices(int64_t num_tokens, int32_t num_experts, int32_t top_k,
                                           bool crowd, std::mt19937_64& random) {
  std::vector<int32_t> ids(static_cast<size_t>(num_experts));
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<int32_t> chosen;
  for (int64_t t = 0; t < num_tokens; ++t) {
    if (t == 0 || !crowd) std::shuffle(ids.begin(), ids.end(), random);
    chosen.insert(chosen.end(), ids.begin(), ids.begin() + top_k);
  }
  return chosen;
}

}  // namespace polygraft::testing
