// tests/model/device/rms_norm_test.cpp: the norm of rows and its gradient against float64.
#include "model/device/rms_norm.h"

#include "tests/model/device/problem.h"

namespace polygraft::testing {
namespace {

using device::kLanes;
using device::ThreadOrder;

constexpr double kEps = 1e-5;

struct NormCase {
  int64_t num_rows, width;
};

struct NormReference {
  std::vector<double> y, inverse, d_x;
};

NormReference norm_plainly(const NormCase& c, const std::vector<double>& x,
                           const std::vector<double>& weight, const std::vector<double>& d_y) {
  NormReference r;
  const auto width = static_cast<size_t>(c.width);
  for (size_t first = 0; first < x.size(); first += width) {
    double squares = 0, projection = 0;
    for (size_t i = 0; i < width; ++i) squares += x[first + i] * x[first + i];
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(width) + kEps);
    for (size_t i = 0; i < width; ++i) projection += d_y[first + i] * weight[i] * x[first + i];
    projection *= std::pow(inverse, 3) / static_cast<double>(width);
    for (size_t i = 0; i < width; ++i) {
      r.y.push_back(x[first + i] * inverse * weight[i]);
      r.d_x.push_back(d_y[first + i] * weight[i] * inverse - x[first + i] * projection);
    }
    r.inverse.push_back(inverse);
  }
  return r;
}

}  // namespace

TEST_CASE("the norm on the device and its gradient agree with float64", "[device]") {
  const auto c =
      GENERATE(NormCase{0, 16}, NormCase{1, 8}, NormCase{37, 8}, NormCase{13, 24}, NormCase{9, 128},
               NormCase{5, 1024}, NormCase{3, 1032}, NormCase{2, 2048});
  std::mt19937_64 random(7);
  const auto x = to_lanes(random_floats(c.num_rows * c.width, random, 2));
  const auto d_y = to_lanes(random_floats(c.num_rows * c.width, random, 1));
  const auto weight = to_lanes(random_floats(c.width, random, 1));
  const device::RowTeams teams{c.num_rows, c.width / kLanes};
  const auto [y, inverse, d_x] = in_all_orders([&](ThreadOrder order) {
    auto y = unwritten<Lanes>(std::ssize(x)), d_x = unwritten<Lanes>(std::ssize(x));
    auto inverse = unwritten<float>(c.num_rows);
    launch_on_host(device::RmsNorm{view(x), view(weight), writable(y), writable(inverse), teams,
                                   static_cast<float>(kEps)},
                   order);
    launch_on_host(device::RmsNormBackward{view(x), view(weight), view(d_y), view(inverse),
                                           writable(d_x), teams},
                   order);
    return std::tuple(y, inverse, d_x);
  });
  const NormReference r = norm_plainly(c, to_doubles(x), to_doubles(weight), to_doubles(d_y));
  require_close(to_doubles(y), r.y, 2 * kBFloat16Tolerance);  // rounded twice
  require_close(to_doubles(inverse), r.inverse, kFloatTolerance);
  require_close(to_doubles(d_x), r.d_x, kBFloat16Tolerance);
}

}  // namespace polygraft::testing
