// trainer/optim/lora.cpp: see lora.h.
#include "trainer/optim/lora.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "core/random.h"

namespace polygraft::trainer {
namespace {

bool contains(const std::string& name, std::string_view part) {
  return name.find(part) != std::string::npos;
}

/// A base's matrix of attention or of an FFN; rows that were added train whole.
bool is_adapted(const std::string& name, const at::Tensor& tensor) {
  if (tensor.dim() < 2 || contains(name, ".added")) return false;
  return contains(name, ".attention.") || contains(name, ".gate") || contains(name, ".up") ||
         contains(name, ".down");
}

at::Tensor small_uniform(at::IntArrayRef shape, RandomStream random) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(shape.back()));
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(bound * (2.0 * random.uniform() - 1.0));
  }
  return tensor;
}

}  // namespace

LowRankAdapters::LowRankAdapters(model::Weights& weights, const LoraConfig& config, uint64_t seed)
    : scale_(config.alpha / static_cast<double>(config.rank)) {
  weights.for_each([&](const std::string& name, at::Tensor& tensor) {
    if (!is_adapted(name, tensor)) return;
    std::vector<int64_t> shape_a = tensor.sizes().vec(), shape_b = shape_a;
    shape_a[shape_a.size() - 2] = config.rank;
    shape_b.back() = config.rank;
    Adapter adapter;
    adapter.name = name;
    adapter.frozen = tensor;
    adapter.in_use = tensor.clone().set_requires_grad(true);
    adapter.a =
        small_uniform(shape_a, RandomStream(seed, name + ".lora_a")).set_requires_grad(true);
    adapter.b = at::zeros(shape_b, at::kFloat).set_requires_grad(true);
    tensor = adapter.in_use;
    adapters_.push_back(std::move(adapter));
  });
}

Parameters LowRankAdapters::parameters() const {
  Parameters parameters;
  for (const Adapter& adapter : adapters_) {
    parameters.push_back({adapter.name + ".lora_a", adapter.a, 1.0, true, adapter.in_use});
    parameters.push_back({adapter.name + ".lora_b", adapter.b, 1.0, true, adapter.in_use});
  }
  return parameters;
}

void LowRankAdapters::take_gradients() const {
  const at::NoGradGuard no_grad;
  for (const Adapter& adapter : adapters_) {
    at::Tensor& gradient = adapter.in_use.mutable_grad();
    if (!gradient.defined()) continue;
    adapter.a.mutable_grad() = at::matmul(adapter.b.transpose(-2, -1), gradient).mul_(scale_);
    adapter.b.mutable_grad() = at::matmul(gradient, adapter.a.transpose(-2, -1)).mul_(scale_);
    gradient.reset();
  }
}

void LowRankAdapters::merge() const {
  const at::NoGradGuard no_grad;
  for (const Adapter& adapter : adapters_) {
    at::Tensor in_use = adapter.in_use;
    at::add_out(in_use, adapter.frozen, at::matmul(adapter.b, adapter.a), scale_);
  }
}

}  // namespace polygraft::trainer
