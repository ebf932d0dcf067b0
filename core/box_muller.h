// core/box_muller.h: two uniform numbers to two normal ones (Box and Muller 1958), the same bits on
// every machine: the C library's log and cos pick an FMA or a plain variant by processor and differ
// in the last bit, so the series below use IEEE + - * / and sqrt of float32 alone. Nothing
// branches, so that compilers can take several numbers at once. (core/CMakeLists.txt turns off
// contraction to FMA where this is included.)
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
inline float polynomial(const std::array<float, kTerms>& coefficients, float x) {
  float sum = coefficients[kTerms - 1];
  for (size_t i = kTerms - 1; i-- > 0;) sum = sum * x + coefficients[i];
  return sum;
}

/// artanh(f) / f in powers of f^2; f^12 / 13 is below 1e-10 where log() uses it.
inline constexpr std::array<float, 6> kArtanhSeries = {1,        1 / 3.0F, 1 / 5.0F,
                                                       1 / 7.0F, 1 / 9.0F, 1 / 11.0F};
/// cos(a) and sin(a) / a in powers of a^2; what is left out is below 2e-9 for |a| <= pi/4.
inline constexpr std::array<float, 6> kCosSeries = {1,           -1 / 2.0F,    1 / 24.0F,
                                                    -1 / 720.0F, 1 / 40320.0F, -1 / 3628800.0F};
inline constexpr std::array<float, 5> kSinSeries = {1, -1 / 6.0F, 1 / 120.0F, -1 / 5040.0F,
                                                    1 / 362880.0F};

/// (bits + 1/2) / 2^32, rounded: in (0, 1], fine near 0, where the large normal numbers come from.
/// In two halves, as vector units before AVX-512 convert signed integers only.
inline float uniform(uint32_t bits) {
  const auto high = static_cast<float>(static_cast<int32_t>(bits >> 8));
  const auto low = static_cast<float>(static_cast<int32_t>(bits & 255));
  return (high * 256 + (low + 0.5F)) * 0x1p-32F;
}

/// Natural logarithm of x in [2^-33, 1]: x = m 2^e with m near 1, and log m = 2 artanh((m - 1) / (m
/// + 1)).
inline float log(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const float below_one =  // [0.5, 1)
      std::bit_cast<float>((bits & 0x007FFFFF) | std::bit_cast<uint32_t>(0.5F));
  const bool small = below_one < std::numbers::sqrt2_v<float> / 2;
  const float mantissa = small ? 2 * below_one : below_one;
  const auto exponent = static_cast<float>(static_cast<int32_t>(bits >> 23) - (small ? 127 : 126));
  const float f = (mantissa - 1) / (mantissa + 1);  // |f| < 0.172
  return exponent * std::numbers::ln2_v<float> + 2 * f * polynomial(kArtanhSeries, f * f);
}

struct Pair {
  float cosine, sine;
};

/// cos and sin of bits / 2^32 turns: nearest quarter turn, then series on [-pi/4, pi/4].
inline Pair circle(uint32_t bits) {
  const uint32_t quarter = (bits + (uint32_t{1} << 29)) >> 30;
  const auto rest = static_cast<float>(static_cast<int32_t>(bits - (quarter << 30)));
  const float angle = rest * (std::numbers::pi_v<float> * 0x1p-31F);
  const float cosine = polynomial(kCosSeries, angle * angle);
  const float sine = angle * polynomial(kSinSeries, angle * angle);
  const bool odd = (quarter & 1) != 0, half = (quarter & 2) != 0;
  const float x = odd ? -sine : cosine, y = odd ? cosine : sine;
  return {half ? -x : x, half ? -y : y};
}

/// Two independent numbers of mean 0 and variance 1, from 64 random bits; none is beyond 6.8.
inline Pair normal(uint32_t radius_bits, uint32_t angle_bits) {
  const float radius = std::sqrt(-2 * log(uniform(radius_bits)));
  const Pair point = circle(angle_bits);
  return {radius * point.cosine, radius * point.sine};
}

}  // namespace polygraft::box_muller
