// core/random.cpp: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011; reference implementation: Random123, philox.h). The key is the head of
// SHA-256(seed, name); the counter is the block.
//
// normal() does not use the C library's log and cos: those pick an FMA or a plain variant by
// processor and differ in the last bit. The series below use IEEE + - * / and sqrt alone, so every
// machine draws the same numbers. (core/CMakeLists.txt turns off contraction to FMA for this file
// for the same reason.)
#include "core/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <string>

#include "core/hash.h"
#include "core/philox.h"

namespace polygraft {
namespace {

/// c[0] + c[1] x + c[2] x^2 + ..., by Horner's rule.
template <size_t kTerms>
double polynomial(const std::array<double, kTerms>& coefficients, double x) {
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

constexpr auto kArtanhSeries = make_artanh_series();
constexpr auto kCosSeries = make_circle_series(0);
constexpr auto kSinSeries = make_circle_series(1);

/// Natural logarithm of x in (0, 1]: x = m 2^e with m near 1, and log m = 2 artanh((m - 1) / (m +
/// 1)).
double portable_log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // [0.5, 1)
  if (mantissa < std::numbers::sqrt2 / 2) {
    mantissa *= 2;
    --exponent;
  }
  const double f = (mantissa - 1) / (mantissa + 1);  // |f| < 0.172
  return exponent * std::numbers::ln2 + 2 * f * polynomial(kArtanhSeries, f * f);
}

/// cos(2 pi x) for x in [0, 1): nearest quarter turn, then a series on [-pi/4, pi/4].
double portable_cos_turns(double x) {
  const int quarter = static_cast<int>(std::lround(4 * x));
  const double angle = (4 * x - quarter) * (std::numbers::pi / 2);
  // cos(a), cos(a + pi/2) = -sin(a), -cos(a), sin(a), and cos(a) again
  const double value = quarter % 2 == 0 ? polynomial(kCosSeries, angle * angle)
                                        : -angle * polynomial(kSinSeries, angle * angle);
  return quarter == 2 || quarter == 3 ? -value : value;
}

std::array<uint32_t, 2> make_key(uint64_t seed, std::string_view name) {
  const std::string digest = sha256(std::to_string(seed) + "/" + std::string(name));
  return {static_cast<uint32_t>(std::stoul(digest.substr(0, 8), nullptr, 16)),
          static_cast<uint32_t>(std::stoul(digest.substr(8, 8), nullptr, 16))};
}

}  // namespace

RandomStream::RandomStream(uint64_t seed, std::string_view name) : key_(make_key(seed, name)) {}

void RandomStream::refill() {
  block_index_ = position_ / 4;
  const std::array<uint32_t, 4> counter = {static_cast<uint32_t>(block_index_),
                                           static_cast<uint32_t>(block_index_ >> 32), 0, 0};
  block_ = philox_4x32_10(counter, key_);
}

uint32_t RandomStream::next_u32() {
  if (position_ / 4 != block_index_) refill();
  return block_[position_++ % 4];
}

uint64_t RandomStream::next_u64() {
  const uint64_t low = next_u32();
  return low | uint64_t{next_u32()} << 32;
}

double RandomStream::uniform() { return static_cast<double>(next_u64() >> 11) * 0x1p-53; }

double RandomStream::normal() {
  // The sine half of Box-Muller is dropped: keeping it would be state that position() does not
  // tell.
  const double radius = std::sqrt(-2 * portable_log(1 - uniform()));  // 1 - u is in (0, 1]
  return radius * portable_cos_turns(uniform());
}

uint64_t RandomStream::below(uint64_t bound) {
  const uint64_t first_fair =
      (0 - bound) % bound;  // 2^64 mod bound: the draws below it are the surplus
  uint64_t drawn = next_u64();
  while (drawn < first_fair) drawn = next_u64();
  return drawn % bound;
}

std::vector<int64_t> RandomStream::permutation(int64_t size) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (size_t left = order.size(); left > 1; --left) {  // Fisher-Yates
    std::swap(order[left - 1], order[below(left)]);
  }
  return order;
}

void RandomStream::seek(uint64_t position) { position_ = position; }

}  // namespace polygraft
