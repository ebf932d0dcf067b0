// tests/model/device/swiglu_test.cpp: SwiGLU and its backward against float64.
#include "model/device/swiglu.h"

#include "tests/model/device/problem.h"

namespace polygraft::testing {
namespace {

using device::kLanes;
using device::ThreadOrder;

struct SwiGluCase {
  int64_t num_rows, width;
  int32_t num_weighted;  // rows whose weighted H is wanted
};

struct Reference {
  std::vector<double> h, d_gate_up, weighted_h, d_weight;
};

Reference differentiate_plainly(const std::vector<double>& gate_up,
                                const std::vector<double>& product,
                                const std::vector<int32_t>& slot_of_row,
                                const std::vector<float>& weight, int64_t width) {
  Reference r;
  r.d_gate_up.resize(gate_up.size());
  r.d_weight.resize(weight.size());
  for (size_t row = 0; row < slot_of_row.size(); ++row) {
    const auto slot = static_cast<size_t>(slot_of_row[row]);
    for (size_t i = 0; i < static_cast<size_t>(width); ++i) {
      const size_t gate_at = row * 2 * static_cast<size_t>(width) + i;
      const size_t up_at = gate_at + static_cast<size_t>(width);
      const double g = gate_up[gate_at], u = gate_up[up_at];
      const double p = product[row * static_cast<size_t>(width) + i];
      const double rate = 1 / (1 + std::exp(-g));
      r.h.push_back(g * rate * u);
      r.weighted_h.push_back(weight[slot] * r.h.back());
      r.d_weight[slot] += p * r.h.back();
      r.d_gate_up[gate_at] = weight[slot] * p * u * (rate + g * rate * (1 - rate));
      r.d_gate_up[up_at] = weight[slot] * p * g * rate;
    }
  }
  return r;
}

}  // namespace

TEST_CASE("SwiGLU and its backward on the device agree with float64", "[device]") {
  const auto c = GENERATE(SwiGluCase{0, 16, 0}, SwiGluCase{1, 8, 1}, SwiGluCase{13, 24, 5},
                          SwiGluCase{3, 1032, 0}, SwiGluCase{4, 1024, 4});
  std::mt19937_64 random(3);
  const auto gate_up = to_lanes(random_floats(c.num_rows * 2 * c.width, random, 3));
  const auto product = random_lanes(c.num_rows * c.width, random);
  const auto weight = random_floats(c.num_rows, random);
  std::vector<int32_t> slot_of_row(static_cast<size_t>(c.num_rows));
  std::iota(slot_of_row.begin(), slot_of_row.end(), 0);
  std::shuffle(slot_of_row.begin(), slot_of_row.end(), random);
  const std::vector<int32_t> num_weighted{c.num_weighted};
  const int64_t lanes = c.num_rows * c.width / kLanes;
  const auto [h, d_gate_up, weighted_h, d_weight] = in_all_orders([&](ThreadOrder order) {
    auto h = unwritten<Lanes>(lanes), d_gate_up = unwritten<Lanes>(2 * lanes);
    auto weighted_h = unwritten<Lanes>(lanes);
    auto d_weight = unwritten<float>(c.num_rows);
    launch_on_host(device::SwiGlu{view(gate_up), writable(h), c.width / kLanes}, order);
    launch_on_host(
        device::SwiGluBackward{view(gate_up), view(product), view(slot_of_row), view(weight),
                               view(num_weighted), writable(d_gate_up), writable(weighted_h),
                               writable(d_weight), c.width / kLanes},
        order);
    return std::tuple(h, d_gate_up, weighted_h, d_weight);
  });
  Reference r =
      differentiate_plainly(to_doubles(gate_up), to_doubles(product), slot_of_row, weight, c.width);
  require_close(to_doubles(h), r.h, kBFloat16Tolerance);
  require_close(to_doubles(d_gate_up), r.d_gate_up, kBFloat16Tolerance);
  require_close(to_doubles(d_weight), r.d_weight, kFloatTolerance);
  auto found = to_doubles(weighted_h);
  const size_t num_wanted = static_cast<size_t>(c.num_weighted * c.width);
  for (size_t i = num_wanted; i < found.size(); ++i) REQUIRE(std::isnan(found[i]));  // left alone
  found.resize(num_wanted);
  r.weighted_h.resize(num_wanted);
  require_close(found, r.weighted_h, kBFloat16Tolerance);
}

TEST_CASE("SwiGLU keeps to its limits where exp() overflows", "[device]") {
  const auto gate_up = to_lanes({-200, 200, 0, -1e30f, 1e30f, -90, 90, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  auto h = unwritten<Lanes>(1);
  launch_on_host(device::SwiGlu{view(gate_up), writable(h), 1}, ThreadOrder::kForward);
  const auto found = to_doubles(h);
  REQUIRE(found[0] == 0);
  REQUIRE(found[1] == 200);
  REQUIRE(found[2] == 0);
  REQUIRE(found[3] == 0);
  REQUIRE(found[4] == Approx(1e30).epsilon(kBFloat16Tolerance));
}

}  // namespace polygraft::testing
