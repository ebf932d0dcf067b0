// tests/core/random_test.cpp: Philox against Random123's published vectors, streams against an
// independent computation.
#include "core/random.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>
#include <numeric>
#include <set>

#include "core/box_muller.h"
#include "core/philox.h"

using namespace polygraft;
using Block = std::array<uint32_t, 4>;

TEST_CASE("Philox 4x32-10 gives Random123's known answers", "[core][random]") {
  // Random123, tests/kat_vectors, "philox4x32 10".
  CHECK(philox_4x32_10({0, 0, 0, 0}, {0, 0}) ==
        Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox_4x32_10({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(
      philox_4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
      Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a stream is the head of SHA-256(seed/name) as key and the block number as counter",
          "[core][random]") {
  // Computed by Python's hashlib and math with Philox written out.
  RandomStream words(17, "router");
  for (const uint32_t expected :
       {0x91b6c21bu, 0xa51d0658u, 0x68fb26d8u, 0x99785192u, 0xd1ff262fu, 0xe11c5709u}) {
    CHECK(words.next_u32() == expected);
  }
  RandomStream uniform(17, "router");
  CHECK(uniform.uniform() == 0.6449741331323038);
  RandomStream normal(17, "router");
  for (const double expected : {-0.6508186968647646, -1.0827090766359213, 0.45703427007985575}) {
    CHECK(normal.normal() == Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("another seed or another name is another stream", "[core][random]") {
  std::set<uint64_t> first_draws;
  for (uint64_t seed : {0, 1, 2, 11}) {
    for (const char* name : {"", "a", "b", "1/a"})
      first_draws.insert(RandomStream(seed, name).next_u64());
  }
  CHECK(first_draws.size() == 16);
}

TEST_CASE("seek returns to a position exactly, from anywhere", "[core][random]") {
  RandomStream stream(3, "seek");
  for (int i = 0; i < 5; ++i) stream.next_u32();  // an odd position, within a block
  const uint64_t position = stream.position();
  CHECK(position == 5);
  const std::vector<int64_t> order = stream.permutation(20);
  const float normal = stream.normal();
  const uint64_t after = stream.position();

  RandomStream fresh(3, "seek");
  for (RandomStream* again : {&stream, &fresh}) {
    again->seek(position);
    CHECK(again->permutation(20) == order);
    CHECK(again->normal() == normal);
    CHECK(again->position() == after);
  }
}

TEST_CASE("many normal numbers at once are those of the stream's words", "[core][random]") {
  for (const uint64_t position : {0, 2, 64, 65}) {
    for (const size_t count : {1, 64, 77, 2048, 5000}) {
      RandomStream stream(3, "many"), words(3, "many");
      stream.seek(position);
      words.seek((position + 63) / 64 * 64);
      std::vector<float> values(count), expected((count + 63) / 64 * 64);
      stream.fill_normal(values, 0.5F, 0.02F);
      for (size_t group = 0; group < expected.size(); group += 64) {
        for (size_t place = 0; place < 32; ++place) {
          const double u = (words.next_u32() + 0.5) * 0x1p-32, turn = words.next_u32() * 0x1p-32;
          const double radius = std::sqrt(-2 * std::log(u)), angle = 2 * std::numbers::pi * turn;
          const size_t at = group + place / 2 + (place % 2) * 32;
          expected[at] = static_cast<float>(0.5 + 0.02 * radius * std::cos(angle));
          expected[at + 16] = static_cast<float>(0.5 + 0.02 * radius * std::sin(angle));
        }
      }
      double worst = 0;
      for (size_t i = 0; i < count; ++i) {
        worst = std::max(worst, std::abs(double{values[i]} - double{expected[i]}));
      }
      CHECK(worst < 2e-7);
      CHECK(stream.position() == words.position());
    }
  }
}

TEST_CASE("our logarithm, cosine and sine are the mathematical ones", "[core][random]") {
  RandomStream bits(5, "accuracy");
  double worst = 0;
  const auto compare = [&worst](uint32_t radius_bits, uint32_t angle_bits) {
    const double u = (radius_bits + 0.5) * 0x1p-32;
    const double angle = 2 * std::numbers::pi * angle_bits * 0x1p-32;
    // Near u = 1 what counts is u as float32 holds it.
    const double radius = std::sqrt(-2 * std::log(double{box_muller::uniform(radius_bits)}));
    CHECK(std::abs(box_muller::uniform(radius_bits) - u) <= 0x1p-25);
    const auto [cosine, sine] = box_muller::normal(radius_bits, angle_bits);
    worst = std::max({worst, std::abs(cosine - radius * std::cos(angle)),
                      std::abs(sine - radius * std::sin(angle))});
  };
  for (int i = 0; i < 200000; ++i) {
    const uint32_t radius_bits = bits.next_u32();
    compare(radius_bits, bits.next_u32());
  }
  for (const uint32_t end : {0u, 1u, 1u << 29, (1u << 29) - 1, 1u << 31, ~0u}) compare(end, end);
  CHECK(worst < 2e-6);
}

TEST_CASE("uniform and normal numbers have the right moments", "[core][random]") {
  constexpr int kDraws = 400000;
  RandomStream stream(1, "moments");
  double sum = 0, sum2 = 0, sum4 = 0, uniform_sum = 0;
  int beyond_two = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = stream.uniform();
    REQUIRE((u >= 0 && u < 1));
    uniform_sum += u;
    const double x = stream.normal();
    sum += x, sum2 += x * x, sum4 += x * x * x * x;
    beyond_two += std::abs(x) > 2;
  }
  // Margins of four to five standard errors.
  CHECK(uniform_sum / kDraws == Approx(0.5).margin(0.002));
  CHECK(sum / kDraws == Approx(0).margin(0.007));
  CHECK(sum2 / kDraws == Approx(1).margin(0.01));
  CHECK(sum4 / kDraws == Approx(3).margin(0.08));
  CHECK(beyond_two / double{kDraws} == Approx(0.0455).margin(0.0015));
}

TEST_CASE("below is uniform, also for bounds that do not divide 2^64", "[core][random]") {
  RandomStream stream(9, "below");
  std::array<int, 7> counts{};
  for (int i = 0; i < 70000; ++i) ++counts[stream.below(7)];
  double chi_squared = 0;
  for (const int count : counts) chi_squared += (count - 10000.0) * (count - 10000.0) / 10000.0;
  CHECK(chi_squared < 22.5);  // 6 degrees of freedom, p = 0.001
  // A plain remainder would put two thirds of the draws below 2^63 - 1 here.
  constexpr uint64_t kBound = (uint64_t{3} << 62) - 1;
  int in_lower_half = 0;
  for (int i = 0; i < 10000; ++i) {
    const uint64_t drawn = stream.below(kBound);
    REQUIRE(drawn < kBound);
    in_lower_half += drawn < kBound / 2;
  }
  CHECK(in_lower_half == Approx(5000).margin(250));
  CHECK(stream.below(1) == 0);
}

TEST_CASE("a permutation holds each number once, each place as likely", "[core][random]") {
  RandomStream stream(2, "order");
  std::vector<int64_t> sorted = stream.permutation(1000);
  CHECK_FALSE(std::is_sorted(sorted.begin(), sorted.end()));
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < 1000; ++i) REQUIRE(sorted[static_cast<size_t>(i)] == i);
  CHECK(stream.permutation(0).empty());
  CHECK(stream.permutation(1) == std::vector<int64_t>{0});

  std::array<std::array<int, 4>, 4> counts{};  // [place][number]
  for (int i = 0; i < 40000; ++i) {
    const std::vector<int64_t> order = stream.permutation(4);
    for (size_t place = 0; place < 4; ++place) ++counts[place][static_cast<size_t>(order[place])];
  }
  for (const auto& row : counts) {
    for (const int count : row) CHECK(count == Approx(10000).margin(400));
  }
}
