// model/architecture/device_weights.cpp: see device_weights.h.
#include "model/architecture/device_weights.h"

#include <ATen/core/grad_mode.h>

namespace polygraft::model {
namespace {

bool is_added(const std::string& name) {
  constexpr std::string_view kSuffix = ".added";
  return name.size() > kSuffix.size() && name.ends_with(kSuffix);
}

}  // namespace

SplitRows banked(at::Device device, const SplitRows& rows) {
  const at::NoGradGuard no_grad;
  SplitRows moved;
  const at::IntArrayRef shape = rows.base.sizes();
  moved.bank = at::empty({rows.num_added() + rows.num_base(), shape[1], shape[2]},
                         at::TensorOptions(device).dtype(at::kBFloat16));
  if (rows.added.defined()) {
    moved.added = at::empty(rows.added.sizes(), at::TensorOptions(device).dtype(at::kFloat));
    for (int64_t i = 0; i < rows.num_added(); ++i) {
      moved.added.select(0, i).copy_(rows.row(rows.num_base() + i, at::kFloat));
    }
    moved.bank.narrow(0, 0, rows.num_added()).copy_(moved.added);
  }
  moved.base = moved.bank.narrow(0, rows.num_added(), rows.num_base());
  for (int64_t i = 0; i < rows.num_base(); ++i) {  // a file may keep them one by one
    moved.base.select(0, i).copy_(rows.row(i, at::kBFloat16));
  }
  return moved;
}

void Weights::fill_banks() {
  const at::NoGradGuard no_grad;
  for (LayerWeights& layer : layers) {
    for (SplitRows* rows : {&layer.moe.gate_up, &layer.moe.down}) {
      if (!rows->bank.defined() || !rows->added.defined()) continue;
      rows->bank.narrow(0, 0, rows->num_added()).copy_(rows->added);
    }
  }
}

Weights weights_on(at::Device device, const Weights& weights) {
  const at::NoGradGuard no_grad;
  Weights moved = weights;
  for (LayerWeights& layer : moved.layers) {
    if (!layer.is_moe) continue;
    layer.moe.gate_up = banked(device, layer.moe.gate_up);
    layer.moe.down = banked(device, layer.moe.down);
  }
  moved.for_each([&](const std::string& name, at::Tensor& tensor) {
    tensor = tensor.to(device, is_added(name) ? at::kFloat : at::kBFloat16);
  });
  return moved;
}

int64_t bytes_on_device(const Weights& weights) {
  int64_t bytes = 0;
  Weights copy = weights;
  copy.for_each([&](const std::string& name, at::Tensor& tensor) {
    bytes += tensor.numel() * (is_added(name) ? 4 + 2 : 2);
  });
  return bytes;
}

}  // namespace polygraft::model
