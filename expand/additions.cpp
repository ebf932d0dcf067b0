// expand/additions.cpp: additions as a map of tensors: checked, taken out of weights, put into
// weights.
#include "expand/additions.h"

#include <ATen/core/grad_mode.h>

#include "core/error.h"
#include "core/text.h"
#include "expand/addition_names.h"

namespace polygraft::expand {

namespace {

using Shape = std::vector<int64_t>;

/// Shape of one added row of each tensor, by name.
std::map<std::string, Shape> row_shapes(const AdditionShapes& shapes) {
  const int64_t width = shapes.hidden_size, expert_width = shapes.expert_width;
  std::map<std::string, Shape> rows{{kAddedEmbedding, {width}}, {kAddedHead, {width}}};
  for (const int64_t layer : shapes.moe_layers) {
    rows[added_router(layer)] = {width};
    rows[added_gate_up(layer)] = {2 * expert_width, width};
    rows[added_down(layer)] = {width, expert_width};
  }
  return rows;
}

void check_shape(const std::string& name, const at::Tensor& tensor,
                 const std::map<std::string, Shape>& rows) {
  const auto row = rows.find(name);
  if (row == rows.end()) {
    throw NotComparable(name, "the base has no tensor that this addition extends")
        .hint("the additions belong to another model");
  }
  if (!tensor.defined()) throw NotComparable(name, "the addition is undefined");
  Shape expected = row->second;
  expected.insert(expected.begin(), tensor.dim() > 0 ? tensor.size(0) : 0);
  if (tensor.sizes() != at::IntArrayRef(expected) || tensor.size(0) < 1) {
    expected[0] = -1;
    throw NotComparable(name, "an addition does not fit the base")
        .expected(concat("shape ", model::shape_text(expected), " with any number of rows"))
        .found(model::shape_text(tensor.sizes().vec()));
  }
}

/// Rows of `name`, which must be as many as `expected` unless that is still unknown (-1).
void count_rows(const Additions& additions, const std::string& name, int64_t& expected) {
  const auto found = additions.find(name);
  const int64_t rows = found == additions.end() ? 0 : found->second.size(0);
  if (expected == -1) expected = rows;
  if (rows != expected) {
    throw NotComparable(name, "additions disagree on the number of rows")
        .expected(concat(expected, " rows"))
        .found(concat(rows));
  }
}

}  // namespace

AdditionShapes AdditionShapes::of(const model::ModelConfig& config) {
  AdditionShapes shapes{config.hidden_size, config.expert_width, {}, config.tied_embeddings};
  for (size_t layer = 0; layer < config.layer_is_moe.size(); ++layer) {
    if (config.layer_is_moe[layer]) shapes.moe_layers.push_back(static_cast<int64_t>(layer));
  }
  return shapes;
}

AdditionShapes AdditionShapes::of(const model::Weights& weights) {
  AdditionShapes shapes{weights.embedding.base.size(1), 0, {}, weights.tied};
  for (size_t layer = 0; layer < weights.layers.size(); ++layer) {
    if (!weights.layers[layer].is_moe) continue;
    shapes.moe_layers.push_back(static_cast<int64_t>(layer));
    shapes.expert_width = weights.layers[layer].moe.down.base.size(2);
  }
  return shapes;
}

AdditionCounts check_additions(const Additions& additions, const AdditionShapes& shapes) {
  const std::map<std::string, Shape> rows = row_shapes(shapes);
  for (const auto& [name, tensor] : additions) check_shape(name, tensor, rows);
  int64_t num_experts = -1, num_vocab_rows = -1;
  for (const int64_t layer : shapes.moe_layers) {
    count_rows(additions, added_router(layer), num_experts);
    count_rows(additions, added_gate_up(layer), num_experts);
    count_rows(additions, added_down(layer), num_experts);
  }
  count_rows(additions, kAddedEmbedding, num_vocab_rows);
  const bool has_head = additions.count(kAddedHead) != 0;
  if (has_head || !shapes.tied) count_rows(additions, kAddedHead, num_vocab_rows);
  return {std::max<int64_t>(num_experts, 0), num_vocab_rows, has_head};
}

Additions get_additions(const model::Weights& weights) {
  Additions additions;
  const auto get = [&](const std::string& name, const model::SplitRows& rows) {
    if (!rows.added.defined()) return;
    if (!rows.added.is_meta()) {
      additions[name] = rows.added.detach().to(at::TensorOptions(at::kCPU).dtype(at::kFloat),
                                               /*non_blocking=*/false, /*copy=*/true);
      return;
    }
    std::vector<at::Tensor> experts;
    for (int64_t i = 0; i < rows.num_added(); ++i) {
      experts.push_back(rows.row(rows.num_base() + i, at::kFloat));
    }
    additions[name] = at::stack(experts);
  };
  get(kAddedEmbedding, weights.embedding);
  if (!weights.tied) get(kAddedHead, weights.head);
  for (size_t layer = 0; layer < weights.layers.size(); ++layer) {
    if (!weights.layers[layer].is_moe) continue;
    const model::MoeWeights& moe = weights.layers[layer].moe;
    get(added_router(static_cast<int64_t>(layer)), moe.router);
    get(added_gate_up(static_cast<int64_t>(layer)), moe.gate_up);
    get(added_down(static_cast<int64_t>(layer)), moe.down);
  }
  return additions;
}

namespace {

/// Into memory of their own: what was there before may lie in a mapped file.
void set_rows(model::SplitRows& rows, const Additions& additions, const std::string& name,
              at::ScalarType dtype) {
  const auto found = additions.find(name);
  rows.set_added(found == additions.end() ? at::Tensor()
                                          : found->second.detach().to(dtype, /*non_blocking=*/false,
                                                                      /*copy=*/true));
}

/// Added experts are used in the dtype that the base's are: one that lies in a file in that of the
/// file.
at::ScalarType dtype_of(const model::SplitRows& bank) {
  return bank.pieces.empty() ? bank.base.scalar_type() : bank.pieces.front().scalar_type();
}

}  // namespace

void set_additions(model::Weights& weights, const Additions& additions) {
  const AdditionShapes shapes = AdditionShapes::of(weights);
  const AdditionCounts counts = check_additions(additions, shapes);
  const at::NoGradGuard no_grad;
  const at::ScalarType dtype = weights.compute_dtype();
  if (weights.tied && counts.has_head) {
    weights.tied = false;
    weights.head = {weights.embedding.base, {}, weights.embedding.placement};
  }
  set_rows(weights.embedding, additions, kAddedEmbedding, dtype);
  if (weights.tied) {
    weights.head = weights.embedding;
  } else {
    set_rows(weights.head, additions, kAddedHead, dtype);
  }
  for (const int64_t layer : shapes.moe_layers) {
    model::MoeWeights& moe = weights.layers[static_cast<size_t>(layer)].moe;
    set_rows(moe.router, additions, added_router(layer), dtype);
    set_rows(moe.gate_up, additions, added_gate_up(layer), dtype_of(moe.gate_up));
    set_rows(moe.down, additions, added_down(layer), dtype_of(moe.down));
  }
}

}  // namespace polygraft::expand
