// tests/model/architecture/expert_parallel_test.cpp: experts shared out over ranks give every rank
// the bits that it would get alone: outputs, input gradients, weight gradients by source.
#include "model/architecture/expert_parallel.h"

#include <catch2/catch.hpp>

#include "model/architecture/moe_kernel_call.h"
#include "model/kernels/dispatch.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/tiny_model.h"
#include "tests/model/parallel/in_process.h"

namespace polygraft::testing {
namespace {

using model::ExpertParallel;
using model::Routing;
using model::SplitRows;
using parallel::Communicator;

constexpr int64_t kWidth = 24, kExpertWidth = 20, kTopK = 3;

struct Layer {
  SplitRows gate_up, down;
};

/// A base in bfloat16, stacked or matrix by matrix, and added experts that train or are frozen too.
Layer random_layer(int64_t num_base, int64_t num_added, bool in_pieces, bool added_train) {
  const auto bank = [&](int64_t rows, int64_t columns) {
    SplitRows split{random_tensor({num_base, rows, columns}, 0.3).to(at::kBFloat16), {}};
    if (num_added > 0) split.added = random_tensor({num_added, rows, columns}, 0.3);
    if (num_added > 0 && added_train) split.added = leaf(split.added);
    if (!in_pieces) return split;
    for (int64_t e = 0; e < num_base; ++e) split.pieces.push_back(split.base.select(0, e).clone());
    split.base = at::empty(split.base.sizes(), split.base.options().device(at::kMeta));
    return split;
  };
  return {bank(2 * kExpertWidth, kWidth), bank(kWidth, kExpertWidth)};
}

/// One rank's tokens, and what comes of them.
struct Batch {
  at::Tensor x_TD, d_out_TD;
  Routing routing;
  at::Tensor out_TD, d_x_TD, d_weight_TK;
  std::vector<at::Tensor> d_banks;  // gate_up.added, down.added
};

/// Tokens of one rank like few experts, so that some experts and some ranks get none.
Batch random_batch_of(int64_t num_tokens, int64_t num_experts, int64_t favourite) {
  Batch batch;
  batch.x_TD = leaf(random_tensor({num_tokens, kWidth}));
  batch.d_out_TD = random_tensor({num_tokens, kWidth});
  auto liking_TE = at::rand({num_tokens, num_experts});
  liking_TE.narrow(1, favourite % num_experts, 1).add_(0.7);
  batch.routing.expert_TK = at::argsort(liking_TE, true, 1, true).narrow(1, 0, kTopK).contiguous();
  batch.routing.weight_TK = leaf(at::rand({num_tokens, kTopK}));
  return batch;
}

void keep_input_gradients(Batch& batch) {
  batch.d_x_TD = batch.x_TD.grad();
  batch.d_weight_TK = batch.routing.weight_TK.grad();
  batch.x_TD.mutable_grad() = batch.routing.weight_TK.mutable_grad() = at::Tensor();
}

/// On this process alone, through the kernels whatever the processor.
void run_alone(Batch& batch, const Layer& layer) {
  const int64_t num_experts = layer.gate_up.num_base() + layer.gate_up.num_added();
  const auto slots = model::sort_slots(batch.routing.expert_TK, num_experts);
  const model::MoeKernelCall call{batch.x_TD,  batch.routing.weight_TK, slots,
                                  num_experts, layer.gate_up,           layer.down};
  at::Tensor gate_up_RG;
  batch.out_TD = model::kernel_experts(call, &gate_up_RG);
  const auto gradients = model::kernel_experts_gradients(call, gate_up_RG, batch.d_out_TD);
  batch.d_x_TD = gradients.d_x_TD;
  batch.d_weight_TK = gradients.d_weight_TK;
  batch.d_banks = {gradients.d_gate_up_added, gradients.d_down_added};
}

/// @param d_banks [bank][source] of this rank's experts.
void run_shared(Batch& batch, const Layer& layer, ExpertParallel& experts,
                std::vector<std::vector<at::Tensor>>& d_banks) {
  batch.out_TD = experts.experts(batch.x_TD, batch.routing, layer.gate_up, layer.down);
  batch.out_TD.backward(batch.d_out_TD);
  keep_input_gradients(batch);
  for (const at::Tensor& bank : {layer.gate_up.added, layer.down.added}) {
    auto& by_source = d_banks.emplace_back();
    for (int s = 0; s < experts.group().size() && bank.defined(); ++s) {
      by_source.push_back(experts.gradient(bank, s));
    }
  }
}

/// An expert a layer that every token visits, beside those that ranks share out.
void add_shared_experts(model::Weights& weights, const model::ModelConfig& config) {
  constexpr int64_t kSharedWidth = 16;
  const int64_t width = config.hidden_size;
  for (model::LayerWeights& layer : weights.layers) {
    if (!layer.is_moe) continue;
    layer.moe.shared = {.gate = random_tensor({kSharedWidth, width}),
                        .up = random_tensor({kSharedWidth, width}),
                        .down = random_tensor({width, kSharedWidth})};
    layer.moe.shared_gate = random_tensor({1, width});
  }
}

/// Everything in one comparison; @return what differs.
std::string difference(const Batch& alone, const Batch& shared) {
  if (!bitwise_equal(alone.out_TD, shared.out_TD)) return "output";
  if (!bitwise_equal(alone.d_x_TD, shared.d_x_TD)) return "d x";
  if (!bitwise_equal(alone.d_weight_TK, shared.d_weight_TK)) return "d weight";
  return "";
}

}  // namespace

TEST_CASE("shared experts give each rank the bits that it would get alone",
          "[model][moe][parallel]") {
  const int num_ranks = GENERATE(1, 2, 4);
  const auto [num_base, num_added] = GENERATE(table<int64_t, int64_t>({{8, 4}, {7, 3}, {5, 0}}));
  const auto [in_pieces, added_train] =
      GENERATE(table<bool, bool>({{false, true}, {true, true}, {false, false}}));
  at::manual_seed(num_ranks);
  const Layer layer = random_layer(num_base, num_added, in_pieces, added_train);
  std::vector<Batch> alone;
  for (int r = 0; r < num_ranks; ++r) {
    const int64_t num_tokens = r == 1 ? 0 : 11 + 9 * r;  // one rank has nothing to send
    alone.push_back(random_batch_of(num_tokens, num_base + num_added, 3 * r));
  }
  std::vector<Batch> shared = alone;
  for (size_t r = 0; r < alone.size(); ++r) {
    shared[r].x_TD = leaf(alone[r].x_TD);
    shared[r].routing.weight_TK = leaf(alone[r].routing.weight_TK);
    run_alone(alone[r], layer);
  }
  std::vector<std::vector<std::vector<at::Tensor>>> d_banks(alone.size());  // [rank][bank][source]
  parallel::run_in_threads(num_ranks, parallel::Timeout(20000), [&](Communicator& world) {
    ExpertParallel experts(world);
    const auto rank = static_cast<size_t>(world.rank());
    run_shared(shared[rank], layer, experts, d_banks[rank]);
  });
  for (size_t r = 0; r < alone.size(); ++r) {
    INFO("rank " << r << " of " << num_ranks);
    CHECK(difference(alone[r], shared[r]).empty());
    for (size_t bank = 0; bank < 2 && num_added > 0 && added_train; ++bank) {
      std::vector<at::Tensor> slices;
      for (const auto& of_owner : d_banks) slices.push_back(of_owner[bank][r]);
      CHECK(bitwise_equal(at::cat(slices), alone[r].d_banks[bank]));
    }
  }
}

TEST_CASE("a model whose experts are shared has the model's loss and gradients",
          "[model][parallel]") {
  const int num_ranks = 2;
  const auto config = tiny_config();
  auto weights = grown(lively_weights(config, 5), 3, 4);
  if (GENERATE(false, true)) add_shared_experts(weights, config);
  const auto sum_of = [](const at::Tensor& hidden_TD) { return hidden_TD.square().sum(); };
  std::vector<model::Batch> batches;
  for (int r = 0; r < num_ranks; ++r) batches.push_back(random_batch({7 + r, 12}, 40));
  model::Weights own = weights;  // leaves of its own, for gradients
  own.for_each_added([](const std::string&, at::Tensor& tensor) { tensor = leaf(tensor); });
  const model::Transformer alone(config, own);
  std::vector<double> expected, found(num_ranks);
  for (const auto& batch : batches) {
    const auto loss = sum_of(alone.hidden(batch));
    loss.backward();
    expected.push_back(loss.item<double>());
  }
  std::vector<at::Tensor> routers(num_ranks);
  parallel::run_in_threads(num_ranks, parallel::Timeout(20000), [&](Communicator& world) {
    model::Weights shared = weights;
    shared.for_each_added([](const std::string&, at::Tensor& tensor) { tensor = leaf(tensor); });
    ExpertParallel experts(world);
    const auto rank = static_cast<size_t>(world.rank());
    const auto model = model::Transformer(config, shared).with_shared_experts(experts);
    const auto loss = sum_of(model.hidden(batches[rank]));
    loss.backward();
    found[rank] = loss.item<double>();
    routers[rank] = shared.layers[0].moe.router.added.grad();
  });
  require_close("router gradient", routers[0] + routers[1], own.layers[0].moe.router.added.grad());
  const bool is_fast = kernels::operations().is_fast;  // alone, a slow path uses other products
  for (size_t r = 0; r < expected.size(); ++r) {
    CHECK(found[r] == (is_fast ? Approx(expected[r]).epsilon(0).margin(0) : Approx(expected[r])));
  }
}

}  // namespace polygraft::testing
