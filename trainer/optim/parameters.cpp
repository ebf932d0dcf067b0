// trainer/optim/parameters.cpp: see parameters.h.
#include "trainer/optim/parameters.h"

#include <functional>

#include "core/error.h"

namespace polygraft::trainer {
namespace {

bool is_router(const std::string& name) { return name.find(".router.") != std::string::npos; }

bool has_additions(model::Weights& weights) {
  bool found = false;
  weights.for_each_added([&](const std::string&, at::Tensor&) { found = true; });
  return found;
}

using Visit = std::function<void(const std::string&, at::Tensor&)>;

void for_each_candidate(model::Weights& weights, const TrainConfig& config, const Visit& visit) {
  if (config.trainable == "all") {
    weights.for_each(visit);
  } else if (config.trainable == "additions" || config.trainable == "lora") {
    weights.for_each_added(visit);
  } else {
    const Visit routers = [&](const std::string& name, at::Tensor& tensor) {
      if (is_router(name)) visit(name, tensor);
    };
    has_additions(weights) ? weights.for_each_added(routers) : weights.for_each(routers);
  }
}

}  // namespace

Parameters select_parameters(model::Weights& weights, const TrainConfig& config) {
  weights.for_each([](const std::string&, at::Tensor& tensor) { tensor.set_requires_grad(false); });
  Parameters parameters;
  for_each_candidate(weights, config, [&](const std::string& name, at::Tensor& tensor) {
    tensor.set_requires_grad(true);
    const double scale = is_router(name) ? config.optimizer.router_learning_rate_scale : 1.0;
    parameters.push_back({name, tensor, scale, tensor.dim() >= 2});
  });
  if (parameters.empty() && config.trainable != "lora") {
    throw ConfigError("train.trainable", "the model has no tensor of this kind")
        .expected(config.trainable == "additions" ? "an expanded model (polygraft expand graft)"
                                                  : "a mixture-of-experts model")
        .found(config.trainable);
  }
  return parameters;
}

int64_t num_elements(const Parameters& parameters) {
  int64_t sum = 0;
  for (const Parameter& parameter : parameters) sum += parameter.value.numel();
  return sum;
}

std::vector<at::Tensor> values(const Parameters& parameters) {
  std::vector<at::Tensor> tensors;
  for (const Parameter& parameter : parameters) tensors.push_back(parameter.value);
  return tensors;
}

}  // namespace polygraft::trainer
