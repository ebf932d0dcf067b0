// tests/model/architecture/device_model_case.cpp: see device_model_case.h.
#include "tests/model/architecture/device_model_case.h"

#include <ATen/core/grad_mode.h>

#include "model/architecture/head_loss.h"
#include "model/architecture/token_nll.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/tiny_model.h"

namespace polygraft::testing {
namespace {

constexpr int64_t kAddedExperts = 3, kAddedRows = 5;

struct Case {
  model::ModelConfig config = tiny_config();
  model::Weights base, expanded;
  model::Batch batch;
  at::Tensor targets_T;

  Case() {
    config.expert_width = 24;
    base = lively_weights(config, 5);
    expanded = grown(base, kAddedExperts, kAddedRows);
    const int64_t num_ids = config.vocab_rows + kAddedRows;
    batch = random_batch({9, 5, 14, 4}, num_ids);
    targets_T = at::randint(0, num_ids, {32}, at::kLong);
    targets_T.narrow(0, 3, 2).fill_(-1);
  }
};

/// The reference: everything in bfloat16, through plain ATen.
model::Weights rounded(const model::Weights& weights) {
  model::Weights copy = weights;
  copy.for_each([](const std::string&, at::Tensor& tensor) { tensor = tensor.to(at::kBFloat16); });
  return copy;
}

std::vector<at::Tensor> train_once(model::Transformer& model, const Case& c) {
  std::vector<at::Tensor> results;
  model.weights().for_each_added([](const std::string&, at::Tensor& tensor) {
    tensor = tensor.detach().clone().set_requires_grad(true);
  });
  const auto hidden_TD = model.hidden(c.batch);
  auto loss = model::cross_entropy_sum(hidden_TD, c.targets_T, model.weights().head);
  loss.backward();
  results.push_back(hidden_TD.detach());
  results.push_back(loss.detach());
  model.weights().for_each_added(
      [&](const std::string&, at::Tensor& tensor) { results.push_back(tensor.grad()); });
  return results;
}

std::vector<at::Tensor> score_masked(const model::Transformer& model, const Case& c) {
  const at::NoGradGuard no_grad;
  const auto base_targets_T = c.targets_T.clamp_max(c.config.vocab_rows - 1);
  std::vector<at::Tensor> results;
  for (const model::Mask mask :
       {model::Mask::all_but_embedding(), model::Mask{.head = true, .silence_experts = true},
        model::Mask{.experts = true}}) {
    const auto hidden_TD = model.hidden(c.batch, mask);
    results.push_back(hidden_TD);
    results.push_back(model::token_nll(hidden_TD, base_targets_T, model.weights().head, mask.head));
  }
  return results;
}

double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  const auto reference = expected.to(at::kDouble);
  const double size = reference.norm().item<double>();
  return (found.to(at::kCPU, at::kDouble) - reference).norm().item<double>() / size;
}

}  // namespace

std::vector<at::Tensor> check_device_model(std::shared_ptr<device::Executor> executor,
                                           at::Device device, double most_error) {
  const Case c;
  auto on_device = model::Transformer(c.config, c.expanded).on_device(device, executor);
  model::Transformer reference(c.config, rounded(c.expanded));
  auto found = train_once(on_device, c);
  auto expected = train_once(reference, c);
  on_device.weights().fill_banks();
  for (const auto& tensor : score_masked(on_device, c)) found.push_back(tensor);
  for (const auto& tensor : score_masked(reference, c)) expected.push_back(tensor);
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    INFO("result " << i << " of shape " << expected[i].sizes());
    REQUIRE(found[i].device().type() == device.type());
    CHECK(relative_error(found[i], expected[i]) <= most_error);
    found[i] = found[i].cpu();
  }
  const auto base = model::Transformer(c.config, c.base).on_device(device, executor);
  const at::NoGradGuard no_grad;
  const model::Batch base_batch{c.batch.ids_T.clamp_max(c.config.vocab_rows - 1), c.batch.lengths};
  REQUIRE(bitwise_equal(on_device.hidden(base_batch, model::Mask::all()).cpu(),
                        base.hidden(base_batch).cpu()));
  return found;
}

}  // namespace polygraft::testing
