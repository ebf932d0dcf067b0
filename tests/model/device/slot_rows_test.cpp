// tests/model/device/slot_rows_test.cpp: rows gathered from tokens, and summed back.
#include "model/device/slot_rows.h"

#include "tests/model/device/problem.h"

namespace polygraft::testing {
namespace {

using device::kLanes;
using device::ThreadOrder;

struct RowCase {
  int64_t num_tokens;
  int32_t top_k;
  int64_t width;
};

std::vector<int32_t> random_rows(int64_t count, std::mt19937_64& random) {
  std::vector<int32_t> rows(static_cast<size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  std::shuffle(rows.begin(), rows.end(), random);
  return rows;
}

std::vector<double> sum_plainly(const std::vector<double>& rows,
                                const std::vector<int32_t>& row_of_slot,
                                const std::vector<float>& weight, const RowCase& c) {
  std::vector<double> out(static_cast<size_t>(c.num_tokens * c.width), 0.0);
  for (size_t slot = 0; slot < row_of_slot.size(); ++slot) {
    for (int64_t i = 0; i < c.width; ++i) {
      const double scale = weight.empty() ? 1.0 : weight[slot];
      const int64_t token = static_cast<int64_t>(slot) / c.top_k;
      out[static_cast<size_t>(token * c.width + i)] +=
          scale * rows[static_cast<size_t>(row_of_slot[slot] * c.width + i)];
    }
  }
  return out;
}

}  // namespace

TEST_CASE("rows gathered on the device are their tokens', bit for bit", "[device]") {
  const auto c =
      GENERATE(RowCase{0, 2, 16}, RowCase{1, 1, 8}, RowCase{7, 3, 24}, RowCase{5, 8, 1032});
  const bool wants_all = GENERATE(true, false);
  std::mt19937_64 random(11);
  const auto from = random_lanes(c.num_tokens * c.width, random);
  auto token_of_row = random_rows(c.num_tokens * c.top_k, random);
  for (int32_t& token : token_of_row) token /= c.top_k;
  const std::vector<int32_t> num_wanted(wants_all ? 0 : 1, 2);
  const auto [to] = in_all_orders([&](ThreadOrder order) {
    auto out = unwritten<Lanes>(c.num_tokens * c.top_k * c.width / kLanes);
    launch_on_host(device::GatherRows{view(from), view(token_of_row), view(num_wanted),
                                      writable(out), c.width / kLanes},
                   order);
    return std::tuple(out);
  });
  const auto found = to_doubles(to), tokens = to_doubles(from);
  const auto width = static_cast<size_t>(c.width);
  for (size_t i = 0; i < found.size(); ++i) {
    if (!wants_all && i / width >= 2) {
      REQUIRE(std::isnan(found[i]));  // left alone
      continue;
    }
    REQUIRE(found[i] == tokens[static_cast<size_t>(token_of_row[i / width]) * width + i % width]);
  }
}

TEST_CASE("a token's slots summed on the device agree with float64", "[device]") {
  const auto c =
      GENERATE(RowCase{0, 2, 16}, RowCase{1, 1, 8}, RowCase{7, 3, 24}, RowCase{5, 8, 1032});
  const bool is_weighted = GENERATE(false, true);
  std::mt19937_64 random(12);
  const auto rows = random_lanes(c.num_tokens * c.top_k * c.width, random);
  const auto row_of_slot = random_rows(c.num_tokens * c.top_k, random);
  const auto weight = random_floats(is_weighted ? c.num_tokens * c.top_k : 0, random);
  const auto [out] = in_all_orders([&](ThreadOrder order) {
    auto sums = unwritten<Lanes>(c.num_tokens * c.width / kLanes);
    launch_on_host(device::SumSlots{view(rows), view(row_of_slot), view(weight), writable(sums),
                                    c.width / kLanes, c.top_k},
                   order);
    return std::tuple(sums);
  });
  require_close(to_doubles(out), sum_plainly(to_doubles(rows), row_of_slot, weight, c),
                kBFloat16Tolerance);
}

TEST_CASE("slots are summed in slot order", "[device]") {
  // 2^24 + 1 is lost in float32 and 2^24 - 2^24 + 1 is not.
  const auto rows = to_lanes(
      {0x1p24f, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, -0x1p24f, 0, 0, 0, 0, 0, 0, 0});
  const auto first_of_sum = [&](const std::vector<int32_t>& row_of_slot) {
    auto out = unwritten<Lanes>(1);
    launch_on_host(device::SumSlots{view(rows), view(row_of_slot), {}, writable(out), 1, 3},
                   ThreadOrder::kForward);
    return to_doubles(out)[0];
  };
  REQUIRE(first_of_sum({0, 1, 2}) == 0);
  REQUIRE(first_of_sum({0, 2, 1}) == 1);
}

}  // namespace polygraft::testing
