// core/box_muller.h: two uniform numbers to a normal one (Box and Muller 1958), the same bits on
// every machine: the C library's log and cos pick an FMA or a plain variant by processor and differ
// in the last bit, so the series below use IEEE + - * / and sqrt alone. Nothing branches, so that
// compilers can take several numbers at once. (core/CMakeLists.txt turns off contraction to FMA
// where this is included.)
#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

namespace polygraft::box_muller {

/// c[0] + c[1] x + c[2] x^2 + ..., by Horner's rule.
template <size_t kTerms>
inline double polynomial(const std::array<double, kTerms>& coefficients, double x) {
  double sum = coefficients[kTerms - 1];
  for (size_t i = kTerms - 1; i-- > 0;) sum = sum * x + coefficients[i];
  return sum;
}

/// artanh(f) / f in powers of f^2: 1, 1/3, 1/5, ...
constexpr std::array<double, 11> make_artanh_series() {
  std::array<double, 11> series{};
  for (size_t k = 0; k < series.size(); ++k) series[k] = 1.0 / static_cast<double>(2 * k + 1);
  return series;
}

/// Taylor series of cos(a) (`first` = 0) or sin(a) / a (`first` = 1) in powers of a^2.
constexpr std::array<double, 9> make_circle_series(int first) {
  std::array<double, 9> series{};
  double factorial = 1;  // exact: 17! < 2^53
  for (int k = 0; k < 9; ++k) {
    series[static_cast<size_t>(k)] = (k % 2 == 0 ? 1 : -1) / factorial;
    factorial *= (2 * k + first + 1) * (2 * k + first + 2);
  }
  return series;
}

inline constexpr auto kArtanhSeries = make_artanh_series();
inline constexpr auto kCosSeries = make_circle_series(0);
inline constexpr auto kSinSeries = make_circle_series(1);

/// An integer below 2^52 as a double, by its place in 2^52's mantissa: vector units before AVX-512
/// convert 32-bit integers only.
inline double small_to_double(uint64_t integer) {
  return std::bit_cast<double>(integer | std::bit_cast<uint64_t>(0x1p52)) - 0x1p52;
}

/// [0, 1) from the upper 53 of 64 random bits.
inline double uniform(uint64_t bits) {
  return small_to_double(bits >> 32) * 0x1p-32 +
         small_to_double((bits & 0xFFFFFFFF) >> 11) * 0x1p-53;
}

/// Natural logarithm of x in [2^-53, 1]: x = m 2^e with m near 1, and log m = 2 artanh((m - 1) / (m
/// + 1)).
inline double log(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  const double below_one =  // [0.5, 1)
      std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFF) | std::bit_cast<uint64_t>(0.5));
  const bool small = below_one < std::numbers::sqrt2 / 2;
  const double mantissa = small ? 2 * below_one : below_one;
  const double exponent = small_to_double(bits >> 52) - (small ? 1023 : 1022);
  const double f = (mantissa - 1) / (mantissa + 1);  // |f| < 0.172
  return exponent * std::numbers::ln2 + 2 * f * polynomial(kArtanhSeries, f * f);
}

/// cos(2 pi x) for x in [0, 1): nearest quarter turn, then a series on [-pi/4, pi/4].
inline double cos_turns(double x) {
  const auto quarter = static_cast<int32_t>(4 * x + 0.5);  // exact: x is a multiple of 2^-53
  const double angle = (4 * x - quarter) * (std::numbers::pi / 2);
  // cos(a), cos(a + pi/2) = -sin(a), -cos(a), sin(a), and cos(a) again
  const double cosine = polynomial(kCosSeries, angle * angle);
  const double minus_sine = -angle * polynomial(kSinSeries, angle * angle);
  const double value = (quarter & 1) == 0 ? cosine : minus_sine;
  return (quarter & 2) != 0 ? -value : value;
}

/// Mean 0, variance 1, from 128 random bits. The sine half is dropped: keeping it would be state
/// that a stream's position does not tell.
inline double normal(uint64_t radius_bits, uint64_t angle_bits) {
  const double radius = std::sqrt(-2 * log(1 - uniform(radius_bits)));  // 1 - u is in (0, 1]
  return radius * cos_turns(uniform(angle_bits));
}

}  // namespace polygraft::box_muller
