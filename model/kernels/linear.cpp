// model/kernels/linear.cpp: see linear.h.
#include "model/kernels/linear.h"

#include <algorithm>

#include "model/kernels/piece_rows.h"

namespace polygraft::kernels {
namespace {

constexpr int64_t kUnitStep = 128;  // whole blocks of all paths but AMX
constexpr int64_t kTasksPerThread = 4;
constexpr double kPack = 128;   // multiplications in the time that packing an element takes
constexpr double kFetch = 384;  // likewise, more for one that comes from memory every time
constexpr int64_t kCachedFloats = int64_t{4} << 20;  // rows that a cache holds
constexpr double kWait = 0.5;  // of a task: how long threads wait for the last one

int64_t steps_of(int64_t count, int64_t step) { return (count + step - 1) / step; }

/// How a product's rows and units are cut into tasks. Each packs, or widens, its own rows and
/// weights: many tasks do that over and over, few leave threads without work.
struct Grid {
  int64_t num_rows, num_units, depth;
  int64_t row_parts = 1, unit_parts = 1;

  int64_t num_tasks() const { return row_parts * unit_parts; }
  int64_t first_row(int64_t part) const { return num_rows * part / row_parts; }
  int64_t first_unit(int64_t part) const {
    return std::min(steps_of(num_units, kUnitStep) * part / unit_parts * kUnitStep, num_units);
  }

  /// The time until all threads are done, in multiplications of one depth.
  double cost(int64_t threads) const {
    const auto rows = static_cast<double>(steps_of(num_rows, row_parts));
    const auto units =
        static_cast<double>(steps_of(steps_of(num_units, kUnitStep), unit_parts) * kUnitStep);
    const auto turns = static_cast<double>(steps_of(num_tasks(), threads));
    const double fetch = num_rows * depth > kCachedFloats ? kFetch : 0;
    return (turns + kWait) * (rows * units + kPack * (rows + units) + fetch * rows);
  }
};

/// The cheapest one.
Grid cut(const Runner& runner, int64_t num_rows, int64_t num_units, int64_t depth) {
  const int64_t threads = runner.threads.count;
  const Operations& operations = runner.operations;
  const int64_t fewest_rows = std::max<int64_t>(steps_of(num_rows, operations.rows_at_once), 1);
  const int64_t most_rows = std::min(
      std::max(steps_of(num_rows, operations.tile_rows), fewest_rows), fewest_rows * threads);
  const int64_t most_units =
      std::clamp<int64_t>(steps_of(num_units, kUnitStep), 1, kTasksPerThread * threads);
  Grid best{num_rows, num_units, depth, fewest_rows, 1};
  for (int64_t rows = fewest_rows; rows <= most_rows; rows *= 2) {
    for (int64_t units = 1; units <= most_units; ++units) {
      const Grid grid{num_rows, num_units, depth, rows, units};
      if (grid.cost(threads) < best.cost(threads)) best = grid;
    }
  }
  return best;
}

/// What a product is made of, forward and backward alike: out [T, units] from in [T, depth].
struct RowProduct {
  const Rows &in, &out;
  int64_t depth;
  const Matrix& weight;
  bool units_are_rows;
  const float* bias;
  bool accumulate;
};

void run_part(const Operations& operations, const RowProduct& whole, const Grid& grid,
              int64_t task) {
  const int64_t row_part = task % grid.row_parts, unit_part = task / grid.row_parts;
  const int64_t row = grid.first_row(row_part), num_rows = grid.first_row(row_part + 1) - row;
  const int64_t unit = grid.first_unit(unit_part);
  const int64_t num_units = grid.first_unit(unit_part + 1) - unit;
  RowPointers rows;
  for (int64_t r = 0; r < num_rows; ++r) rows[static_cast<size_t>(r)] = whole.in.row(row + r);
  float* out = whole.out.row(row) + unit;
  const int64_t stride = whole.out.stride;
  for (int64_t r = 0; r < num_rows && whole.bias != nullptr; ++r) {
    std::copy(whole.bias + unit, whole.bias + unit + num_units, out + r * stride);
  }
  const Matrix weight =
      whole.units_are_rows ? whole.weight.from(unit, 0) : whole.weight.from(0, unit);
  operations.product({rows.data(), num_rows, num_units, whole.depth, weight, whole.units_are_rows,
                      out, stride, whole.accumulate || whole.bias != nullptr},
                     scratch(Scratch::kProduct, operations.product_scratch));
}

void multiply_rows(const Runner& runner, int64_t num_rows, int64_t num_units,
                   const RowProduct& product) {
  const Grid grid = cut(runner, num_rows, num_units, product.depth);
  runner.threads.run(grid.num_tasks(),
                     [&](int64_t task) { run_part(runner.operations, product, grid, task); });
}

/// Rows [first, first + count) of the weight's gradient.
void add_outputs(const Operations& operations, const LinearShape& shape, const Rows& d_out,
                 const Rows& x, int64_t first, int64_t count, float* d_weight, bool accumulate) {
  float* out = d_weight + first * shape.width_in;
  for (int64_t row = 0; row < shape.num_rows; row += kDepthRows) {
    const int64_t depth = std::min(kDepthRows, shape.num_rows - row);
    float* left = scratch(Scratch::kTranspose, count * depth);
    operations.transpose(d_out.row(row) + first, d_out.stride, depth, count, left, depth);
    RowPointers left_rows;
    for (int64_t o = 0; o < count; ++o) left_rows[static_cast<size_t>(o)] = left + o * depth;
    const Matrix right{reinterpret_cast<const char*>(x.row(row)), Stored::kF32,
                       x.stride * bytes_of(Stored::kF32)};
    operations.product({left_rows.data(), count, shape.width_in, depth, right, false, out,
                        shape.width_in, accumulate || row > 0},
                       scratch(Scratch::kProduct, operations.product_scratch));
  }
  if (shape.num_rows == 0 && !accumulate) std::fill(out, out + count * shape.width_in, 0.0F);
}

}  // namespace

void linear_forward(const Runner& runner, const LinearShape& shape, const Rows& x,
                    const Matrix& weight, const float* bias, const Rows& out) {
  multiply_rows(runner, shape.num_rows, shape.width_out,
                {x, out, shape.width_in, weight, true, bias, false});
}

void linear_input_gradient(const Runner& runner, const LinearShape& shape, const Rows& d_out,
                           const Matrix& weight, const Rows& d_x, bool accumulate) {
  multiply_rows(runner, shape.num_rows, shape.width_in,
                {d_out, d_x, shape.width_out, weight, false, nullptr, accumulate});
}

void linear_weight_gradient(const Runner& runner, const LinearShape& shape, const Rows& d_out,
                            const Rows& x, float* d_weight, bool accumulate) {
  const int64_t share = shape.width_out / (kTasksPerThread * runner.threads.count);
  const int64_t step = std::clamp<int64_t>(share / 12 * 12, 96, kPieceRows);
  const int64_t num_tasks = (shape.width_out + step - 1) / step;
  runner.threads.run(num_tasks, [&](int64_t task) {
    const int64_t first = task * step;
    add_outputs(runner.operations, shape, d_out, x, first, std::min(step, shape.width_out - first),
                d_weight, accumulate);
  });
}

}  // namespace polygraft::kernels
