// model/kernels/moe_backward.cpp: see moe.h.
#include <algorithm>

#include "model/kernels/moe_pieces.h"

namespace polygraft::kernels {
namespace {

constexpr int64_t kFewestOutputs = 96;  // rows of a weight's gradient that are worth a task

/// What all rows leave behind for the later steps.
struct RowGradients {
  float* d_gate_up = nullptr;   // [R, 2F]
  float* weighted_h = nullptr;  // [R, F]; null: no down matrix trains
};

/// One row of [g | u]: where it lies, or widened into `wide`.
const float* gate_up_row(const Operations& operations, const GateUp& gate_up, int64_t row,
                         int64_t row_width, float* wide) {
  const char* kept = gate_up.data + row * row_width * bytes_of(gate_up.stored);
  if (gate_up.stored == Stored::kF32) return reinterpret_cast<const float*>(kept);
  operations.widen(kept, gate_up.stored, row_width, wide);
  return wide;
}

void row_gradients(const Runner& runner, const MoeLayer& layer, const MoeBackward& backward,
                   const Piece& piece, const RowGradients& to) {
  const Operations& operations = runner.operations;
  const int64_t width = layer.expert_width;
  RowPointers rows;
  gather_rows(layer, piece, backward.d_out, rows);
  float* d_h = scratch(Scratch::kUnits, (piece.num_rows + 2) * width);
  float* wide = d_h + piece.num_rows * width;
  const ExpertMatrices& expert = layer.experts[static_cast<size_t>(piece.expert)];
  operations.product(
      {rows.data(), piece.num_rows, width, layer.width, expert.down, false, d_h, width},
      scratch(Scratch::kProduct, operations.product_scratch));
  for (int64_t i = 0; i < piece.num_rows; ++i) {
    const int64_t row = piece.first_row + i, slot = layer.slot_of_row[row];
    const float* gate = gate_up_row(operations, backward.gate_up, row, 2 * width, wide);
    float* d_gate = to.d_gate_up + row * 2 * width;
    const float d_weight = operations.swiglu_backward(
        {gate, gate + width, d_h + i * width, layer.weight[slot], width, d_gate, d_gate + width,
         to.weighted_h == nullptr ? nullptr : to.weighted_h + row * width});
    if (backward.d_weight != nullptr) backward.d_weight[slot] = d_weight;
  }
}

void input_gradient(const Runner& runner, const MoeLayer& layer, const MoeBackward& backward,
                    const std::vector<Piece>& pieces, const float* d_gate_up) {
  const int64_t width = layer.expert_width;
  const auto multiply = [&](const Piece& piece, ColumnRange columns, float* to, int64_t stride) {
    RowPointers rows;
    const float* first = d_gate_up + piece.first_row * 2 * width;
    const ExpertMatrices& expert = layer.experts[static_cast<size_t>(piece.expert)];
    float* work = scratch(Scratch::kProduct, runner.operations.product_scratch);
    Product product{rows.data(),
                    piece.num_rows,
                    columns.count,
                    2 * width,
                    expert.gate.from(0, columns.first),
                    false,
                    to,
                    stride};
    consecutive_rows(first, 2 * width, piece.num_rows, rows);
    if (expert.is_one_matrix(width)) return runner.operations.product(product, work);
    product.depth = width;
    runner.operations.product(product, work);
    product.weight = expert.up.from(0, columns.first);
    product.accumulate = true;
    consecutive_rows(first + width, 2 * width, piece.num_rows, rows);
    runner.operations.product(product, work);
  };
  multiply_and_combine(runner, layer, pieces, multiply, nullptr, backward.d_x);
}

/// Some rows of one expert's matrix gradient: out[o, i] = sum over the expert's rows, in order, of
/// left[row, o] * right[row, i].
struct GradientTask {
  int64_t expert = 0;
  bool is_down = false;  // left = dO, right = weight h; otherwise left = [dg | du], right = x
  int64_t first_output = 0, num_outputs = 0;
};

std::vector<GradientTask> gradient_tasks(const Runner& runner, const MoeLayer& layer,
                                         const MoeBackward& backward) {
  int64_t num_matrices = 0;
  for (const ExpertGradients& expert : backward.experts) {
    num_matrices += (expert.gate_up != nullptr ? 1 : 0) + (expert.down != nullptr ? 1 : 0);
  }
  const int64_t parts =
      std::max<int64_t>(8 * runner.threads.count / std::max<int64_t>(num_matrices, 1), 1);
  std::vector<GradientTask> tasks;
  const auto cut = [&](int64_t expert, bool is_down, int64_t outputs) {
    const int64_t tile = 12;
    const int64_t share = (outputs / parts + tile - 1) / tile * tile;
    const int64_t step = std::max(share, kFewestOutputs);
    for (int64_t first = 0; first < outputs; first += step) {
      tasks.push_back({expert, is_down, first, std::min(step, outputs - first)});
    }
  };
  for (size_t e = 0; e < backward.experts.size(); ++e) {
    const auto expert = static_cast<int64_t>(e);
    if (backward.experts[e].gate_up != nullptr) cut(expert, false, 2 * layer.expert_width);
    if (backward.experts[e].down != nullptr) cut(expert, true, layer.width);
  }
  return tasks;
}

/// Some columns of an expert's tokens: [rows, columns].
const float* gather_columns(const MoeLayer& layer, const Piece& rows, const float* from,
                            ColumnRange columns) {
  float* gathered = scratch(Scratch::kRows, rows.num_rows * columns.count);
  for (int64_t i = 0; i < rows.num_rows; ++i) {
    const float* row = from + layer.token_of_row[rows.first_row + i] * layer.width + columns.first;
    std::copy(row, row + columns.count, gathered + i * columns.count);
  }
  return gathered;
}

Matrix float_matrix(const float* data, int64_t stride) {
  return {reinterpret_cast<const char*>(data), Stored::kF32, stride * bytes_of(Stored::kF32)};
}

/// Adds up to kDepthRows rows of an expert.
void add_rows(const Runner& runner, const MoeLayer& layer, const MoeBackward& backward,
              const RowGradients& from, const GradientTask& task, const Piece& rows,
              bool accumulate) {
  const Operations& operations = runner.operations;
  const int64_t width = layer.expert_width;
  float* left = scratch(Scratch::kTranspose, task.num_outputs * rows.num_rows);
  const ExpertGradients& to = backward.experts[static_cast<size_t>(task.expert)];
  Product product{};
  if (task.is_down) {
    const float* d_out =
        gather_columns(layer, rows, backward.d_out, {task.first_output, task.num_outputs});
    operations.transpose(d_out, task.num_outputs, rows.num_rows, task.num_outputs, left,
                         rows.num_rows);
    product.weight = float_matrix(from.weighted_h + rows.first_row * width, width);
    product.num_units = product.out_stride = width;
    product.out = to.down;
  } else {
    const float* d_gate_up = from.d_gate_up + rows.first_row * 2 * width + task.first_output;
    operations.transpose(d_gate_up, 2 * width, rows.num_rows, task.num_outputs, left,
                         rows.num_rows);
    const float* x = gather_columns(layer, rows, backward.x, {0, layer.width});
    product.weight = float_matrix(x, layer.width);
    product.num_units = product.out_stride = layer.width;
    product.out = to.gate_up;
  }
  product.out += task.first_output * product.out_stride;
  product.units_are_rows = false;
  product.num_rows = task.num_outputs;
  product.depth = rows.num_rows;
  product.accumulate = accumulate;
  std::vector<const float*> left_rows;
  for (int64_t o = 0; o < task.num_outputs; ++o) left_rows.push_back(left + o * rows.num_rows);
  product.a_rows = left_rows.data();
  operations.product(product, scratch(Scratch::kProduct, operations.product_scratch));
}

void run_gradient_task(const Runner& runner, const MoeLayer& layer, const MoeBackward& backward,
                       const RowGradients& from, const GradientTask& task) {
  const int64_t begin = layer.first_row[task.expert];
  const int64_t end = task.expert < layer.num_active ? layer.first_row[task.expert + 1] : begin;
  for (int64_t row = begin; row < end; row += kDepthRows) {
    const Piece rows{task.expert, row, std::min(kDepthRows, end - row)};
    add_rows(runner, layer, backward, from, task, rows, row > begin);
  }
  if (begin < end) return;
  const ExpertGradients& to = backward.experts[static_cast<size_t>(task.expert)];
  const int64_t stride = task.is_down ? layer.expert_width : layer.width;
  float* out = (task.is_down ? to.down : to.gate_up) + task.first_output * stride;
  std::fill(out, out + task.num_outputs * stride, 0.0F);
}

}  // namespace

void moe_backward(const Runner& runner, const MoeLayer& layer, const MoeBackward& backward) {
  const std::vector<Piece> pieces = cut_pieces(layer, runner);
  const int64_t num_rows = layer.num_active_rows(), width = layer.expert_width;
  const bool down_trains = std::any_of(backward.experts.begin(), backward.experts.end(),
                                       [](const auto& expert) { return expert.down != nullptr; });
  RowGradients rows;
  rows.d_gate_up = scratch(Scratch::kGateUp, num_rows * 2 * width);
  if (down_trains) rows.weighted_h = scratch(Scratch::kHidden, num_rows * width);
  if (backward.d_weight != nullptr) {
    std::fill(backward.d_weight, backward.d_weight + layer.num_tokens * layer.top_k, 0.0F);
  }
  runner.threads.run(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    row_gradients(runner, layer, backward, pieces[static_cast<size_t>(i)], rows);
  });
  if (backward.d_x != nullptr) input_gradient(runner, layer, backward, pieces, rows.d_gate_up);
  const std::vector<GradientTask> tasks = gradient_tasks(runner, layer, backward);
  runner.threads.run(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    run_gradient_task(runner, layer, backward, rows, tasks[static_cast<size_t>(i)]);
  });
}

}  // namespace polygraft::kernels
