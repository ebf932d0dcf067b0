// trainer/optim/adamw.cpp: see adamw.h.
#include "trainer/optim/adamw.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <map>

namespace polygraft::trainer {
namespace {

std::vector<at::Tensor> gradients(const Parameters& parameters) {
  std::vector<at::Tensor> found;
  for (const Parameter& parameter : parameters) {
    if (parameter.value.grad().defined()) found.push_back(parameter.value.grad());
  }
  return found;
}

std::vector<at::Tensor> blocks_of(const at::Tensor& gradient) {
  if (!gradient.defined()) return {};
  if (gradient.numel() <= kBlockElements) return {gradient};
  return gradient.reshape({-1}).split(kBlockElements);
}

/// Tensors that share a learning rate and a decay go through one call of the fused kernel.
struct Group {
  std::vector<at::Tensor> values, grads, first, second, steps;
};

}  // namespace

std::vector<double> block_norms(const Parameters& parameters) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> blocks;
  std::vector<size_t> places;
  size_t num_blocks = 0;
  for (const Parameter& parameter : parameters) {
    size_t place = num_blocks;
    for (const at::Tensor& block : blocks_of(parameter.value.grad())) {
      blocks.push_back(block);
      places.push_back(place++);
    }
    num_blocks += static_cast<size_t>(count_blocks(parameter.value.numel()));
  }
  std::vector<double> norms(num_blocks, 0.0);
  if (blocks.empty()) return norms;
  const at::Tensor found = at::stack(at::_foreach_norm(blocks)).to(at::kCPU, at::kDouble);
  for (size_t i = 0; i < places.size(); ++i) norms[places[i]] = found.const_data_ptr<double>()[i];
  return norms;
}

double global_norm(const std::vector<double>& block_norms) {
  double sum_of_squares = 0;
  for (const double norm : block_norms) sum_of_squares += std::pow(norm, 2);
  return std::sqrt(sum_of_squares);
}

void limit_gradients(const Parameters& parameters, double norm, double max_norm) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> grads = gradients(parameters);
  const double scale = max_norm / (norm + 1e-6);  // the reference's guard against a zero norm
  const bool is_beyond = max_norm > 0 && std::isfinite(norm) && scale < 1;
  if (is_beyond && !grads.empty()) at::_foreach_mul_(grads, scale);
}

double clip_gradients(const Parameters& parameters, double max_norm) {
  const double norm = global_norm(block_norms(parameters));
  limit_gradients(parameters, norm, max_norm);
  return norm;
}

void clear_gradients(const Parameters& parameters) {
  for (const Parameter& parameter : parameters) parameter.value.mutable_grad() = at::Tensor();
}

AdamW::AdamW(const Parameters& parameters, const OptimizerConfig& config)
    : parameters_(parameters), config_(config) {
  for (const Parameter& parameter : parameters_) {
    first_.push_back(at::zeros_like(parameter.value));
    second_.push_back(at::zeros_like(parameter.value));
  }
}

void AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  ++num_updates_;
  std::map<std::pair<double, bool>, Group> groups;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    if (!parameter.value.grad().defined()) continue;
    Group& group = groups[{parameter.learning_rate_scale, parameter.decays}];
    group.values.push_back(parameter.value);
    group.grads.push_back(parameter.value.grad().contiguous());
    group.first.push_back(first_[i]);
    group.second.push_back(second_[i]);
    group.steps.push_back(group.steps.empty()
                              ? at::full({}, static_cast<double>(num_updates_),
                                         parameter.value.options().requires_grad(false))
                              : group.steps.front());
  }
  for (auto& [key, group] : groups) {
    const auto& [scale, decays] = key;
    at::_fused_adamw_(group.values, group.grads, group.first, group.second, {}, group.steps,
                      learning_rate * scale, config_.betas[0], config_.betas[1],
                      decays ? config_.weight_decay : 0.0, config_.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
  }
}

void AdamW::reset() {
  for (at::Tensor& moment : first_) moment.zero_();
  for (at::Tensor& moment : second_) moment.zero_();
  num_updates_ = 0;
}

}  // namespace polygraft::trainer
