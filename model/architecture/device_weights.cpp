// model/architecture/device_weights.cpp: see device_weights.h.
#include "model/architecture/device_weights.h"

#include <ATen/core/grad_mode.h>

namespace polygraft::model {
namespace {

bool is_added(const std::string& name) {
  constexpr std::string_view kSuffix = ".added";
  return name.size() > kSuffix.size() && name.ends_with(kSuffix);
}

void fill_bank(SplitRows& rows) {
  const int64_t count = rows.num_added_in_bank();
  rows.bank.narrow(0, 0, count).copy_(rows.added.narrow(0, rows.first_in_bank, count));
}

}  // namespace

bool is_expert_matrix(const std::string& name) {
  return name.find(".moe.gate_up.") != std::string::npos ||
         name.find(".moe.down.") != std::string::npos;
}

SplitRows banked(at::Device device, const SplitRows& rows, ExpertShare share) {
  const at::NoGradGuard no_grad;
  const parallel::Slice base = share.of(rows.num_base()), added = share.of(rows.num_added());
  SplitRows moved;
  const at::IntArrayRef shape = rows.base.sizes();
  moved.bank = at::empty({added.count + base.count, shape[1], shape[2]},
                         at::TensorOptions(device).dtype(at::kBFloat16));
  moved.base = moved.bank.narrow(0, added.count, base.count);
  for (int64_t i = 0; i < base.count; ++i) {  // a file may keep them one by one
    moved.base.select(0, i).copy_(rows.row(base.first + i, at::kBFloat16));
  }
  if (!rows.added.defined()) return moved;
  moved.added = at::empty(rows.added.sizes(), at::TensorOptions(device).dtype(at::kFloat));
  for (int64_t i = 0; i < rows.num_added(); ++i) {
    moved.added.select(0, i).copy_(rows.row(rows.num_base() + i, at::kFloat));
  }
  moved.first_in_bank = added.first;
  fill_bank(moved);
  return moved;
}

void Weights::fill_banks() {
  const at::NoGradGuard no_grad;
  for (LayerWeights& layer : layers) {
    for (SplitRows* rows : {&layer.moe.gate_up, &layer.moe.down}) {
      if (rows->bank.defined() && rows->added.defined()) fill_bank(*rows);
    }
  }
}

Weights weights_on(at::Device device, const Weights& weights, ExpertShare share) {
  const at::NoGradGuard no_grad;
  Weights moved = weights;
  for (LayerWeights& layer : moved.layers) {
    if (!layer.is_moe) continue;
    layer.moe.gate_up = banked(device, layer.moe.gate_up, share);
    layer.moe.down = banked(device, layer.moe.down, share);
  }
  moved.for_each([&](const std::string& name, at::Tensor& tensor) {
    tensor = tensor.to(device, is_added(name) ? at::kFloat : at::kBFloat16);
  });
  return moved;
}

int64_t bytes_on_device(const Weights& weights, ExpertShare share) {
  int64_t bytes = 0;
  Weights copy = weights;
  copy.for_each([&](const std::string& name, at::Tensor& tensor) {
    if (tensor.numel() == 0) return;
    const int64_t count = tensor.size(0), each = tensor.numel() / count;
    const int64_t rounded = is_expert_matrix(name) ? share.of(count).count : count;
    const int64_t masters = is_added(name) ? count : 0;
    bytes += each * (2 * rounded + 4 * masters);
  });
  return bytes;
}

}  // namespace polygraft::model
