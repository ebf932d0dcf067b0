// tests/model/architecture/device_expert_parallel_test.cpp: experts shared out over devices give
// every rank what one device with all of them gives it: outputs, input gradients, weight gradients
// by source. Each rank has a simulated GPU.
#include "model/architecture/device_expert_parallel.h"

#include <catch2/catch.hpp>

#include "model/architecture/device_layer.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/tiny_model.h"
#include "tests/model/parallel/patience.h"
#include "tests/model/simulated_gpu/simulated_gpu.h"
#include "tests/model/simulated_gpu/simulated_nccl.h"

namespace polygraft::testing::shared_devices {
namespace {

using model::ExpertParallel;
using model::ExpertShare;
using model::Routing;
using model::SplitRows;
using parallel::Communicator;

constexpr int64_t kWidth = 24, kExpertWidth = 16, kTopK = 3;

/// Experts as a file has them: the base in bfloat16, added ones in float32.
struct Layer {
  SplitRows gate_up, down;
  bool has_grouped_products = true;  ///< its GPUs
};

model::Gpu open_gpu(int rank, const Layer& layer) {
  return open_simulated_gpu(rank, device::ThreadOrder::kForward, layer.has_grouped_products);
}

Layer random_layer(int64_t num_base, int64_t num_added) {
  const auto rows = [&](int64_t height, int64_t width) {
    SplitRows split{random_tensor({num_base, height, width}, 0.3).to(at::kBFloat16), {}};
    if (num_added > 0) split.added = random_tensor({num_added, height, width}, 0.3);
    return split;
  };
  return {rows(2 * kExpertWidth, kWidth), rows(kWidth, kExpertWidth)};
}

/// What a device has of it, with leaves of its own.
Layer banked(at::Device device, const Layer& layer, ExpertShare share) {
  Layer moved{model::banked(device, layer.gate_up, share),
              model::banked(device, layer.down, share)};
  for (SplitRows* rows : {&moved.gate_up, &moved.down}) {
    if (rows->added.defined()) rows->added.requires_grad_(true);
  }
  return moved;
}

/// One rank's tokens, and what comes of them.
struct Batch {
  at::Tensor x_TD, d_out_TD;
  Routing routing;
  at::Tensor out_TD;
  std::vector<at::Tensor> d_added;  // gate_up, down: of all added experts

  Batch on(at::Device device) const {
    Batch own;
    own.x_TD = leaf(x_TD.to(device));
    own.d_out_TD = d_out_TD.to(device);
    own.routing = {leaf(routing.weight_TK.to(device)), routing.expert_TK.to(device)};
    return own;
  }
};

/// Tokens of one rank like few experts, so that some experts and some ranks get none.
Batch random_batch_of(int64_t num_tokens, int64_t num_experts, int64_t favourite) {
  Batch batch;
  batch.x_TD = random_tensor({num_tokens, kWidth}).to(at::kBFloat16);
  batch.d_out_TD = random_tensor({num_tokens, kWidth}).to(at::kBFloat16);
  auto liking_TE = at::rand({num_tokens, num_experts});
  liking_TE.narrow(1, favourite % num_experts, 1).add_(0.7);
  batch.routing.expert_TK = at::argsort(liking_TE, true, 1, true).narrow(1, 0, kTopK).contiguous();
  batch.routing.weight_TK = at::rand({num_tokens, kTopK});
  return batch;
}

void run_alone(Batch& batch, const Layer& layer, bool silenced) {
  const model::Gpu gpu = open_gpu(0, layer);
  const Layer own = banked(gpu.device, layer, {});
  batch.out_TD = model::moe_experts_on(*gpu.executor, batch.x_TD, batch.routing, own.gate_up,
                                       own.down, silenced);
  batch.out_TD.backward(batch.d_out_TD);
  batch.d_added = {own.gate_up.added.defined() ? own.gate_up.added.grad() : at::Tensor(),
                   own.down.added.defined() ? own.down.added.grad() : at::Tensor()};
}

/// One rank's GPU with its share of a layer.
class SharingRank {
 public:
  SharingRank(Communicator& world, const Layer& layer)
      : gpu_(open_gpu(world.rank(), layer)),
        experts_(world),
        num_base_(layer.gate_up.num_base()),
        own_(banked(gpu_.device, layer, experts_.share())) {}

  void run(Batch& batch, bool silenced) {
    batch.out_TD = model::shared_experts_on(*gpu_.executor, experts_, batch.x_TD, batch.routing,
                                            own_.gate_up, own_.down, num_base_, silenced);
    batch.out_TD.backward(batch.d_out_TD);
  }
  /// [bank][source], of this rank's experts.
  std::vector<std::vector<at::Tensor>> d_added() const {
    std::vector<std::vector<at::Tensor>> gradients;
    for (const at::Tensor& bank : {own_.gate_up.added, own_.down.added}) {
      auto& by_source = gradients.emplace_back();
      for (int s = 0; s < experts_.group().size() && bank.defined(); ++s) {
        by_source.push_back(experts_.gradient(bank, s));
      }
    }
    return gradients;
  }

 private:
  model::Gpu gpu_;
  ExpertParallel experts_;
  int64_t num_base_;
  Layer own_;
};

}  // namespace

TEST_CASE("experts shared out over devices give each rank what it would get alone",
          "[device][moe][parallel]") {
  const int num_ranks = GENERATE(1, 2, 3);
  const auto [num_base, num_added] =
      GENERATE(table<int64_t, int64_t>({{8, 4}, {7, 3}, {5, 1}, {5, 0}}));
  const bool silenced = GENERATE(false, true);
  at::manual_seed(num_ranks);
  Layer layer = random_layer(num_base, num_added);
  layer.has_grouped_products = GENERATE(true, false);
  std::vector<Batch> alone, shared;
  for (int r = 0; r < num_ranks; ++r) {
    const int64_t num_tokens = r == 1 ? 0 : 11 + 9 * r;  // one rank has nothing to send
    const Batch batch = random_batch_of(num_tokens, num_base + num_added, 3 * r);
    alone.push_back(batch.on(simulated_gpu()));
    shared.push_back(batch.on(simulated_gpu(r)));
    if (num_tokens > 0) run_alone(alone.back(), layer, silenced);
  }
  std::vector<std::vector<std::vector<at::Tensor>>> d_added(alone.size());  // [rank][bank][source]
  run_on_gpus(num_ranks, kPatience, [&](Communicator& world) {
    const auto rank = static_cast<size_t>(world.rank());
    SharingRank sharing(world, layer);
    sharing.run(shared[rank], silenced);
    d_added[rank] = sharing.d_added();
  });
  for (size_t r = 0; r < alone.size(); ++r) {
    if (alone[r].x_TD.size(0) == 0) continue;
    INFO("rank " << r << " of " << num_ranks << ", " << num_base << "+" << num_added);
    CHECK(bitwise_equal(shared[r].out_TD, alone[r].out_TD));
    CHECK(bitwise_equal(shared[r].x_TD.grad(), alone[r].x_TD.grad()));
    CHECK(bitwise_equal(shared[r].routing.weight_TK.grad(), alone[r].routing.weight_TK.grad()));
    for (size_t bank = 0; bank < 2 && num_added > 0; ++bank) {
      std::vector<at::Tensor> slices;
      for (const auto& of_owner : d_added) slices.push_back(of_owner[bank][r].cpu());
      CHECK(bitwise_equal(at::cat(slices).to(at::kFloat), alone[r].d_added[bank]));
    }
  }
}

TEST_CASE("a shared layer waits for its counts, and for nothing else that is exchanged",
          "[device][moe][parallel]") {
  constexpr int kRanks = 2;
  at::manual_seed(1);
  const Layer layer = random_layer(8, 4);
  std::vector<Batch> batches;
  for (int r = 0; r < kRanks; ++r)
    batches.push_back(random_batch_of(20, 12, 3 * r).on(simulated_gpu(r)));
  std::vector<std::string> waits;
  run_on_gpus(kRanks, kPatience, [&](Communicator& world) {
    SharingRank sharing(world, layer);
    world.barrier();
    const WaitWatch watch;
    world.barrier();
    sharing.run(batches[static_cast<size_t>(world.rank())], false);
    world.barrier();
    if (world.rank() == 0) waits = watch.seen();
  });
  // Each rank for the counts, which it then copies.
  CHECK(std::count(waits.begin(), waits.end(), "an exchange") == kRanks);
  CHECK(waits.size() == 2 * kRanks);
}

TEST_CASE("a device has its slice of the experts, and all that trains", "[device][parallel]") {
  auto config = tiny_config();
  config.expert_width = 24;
  const auto weights = grown(lively_weights(config, 5), 3, 5);
  const int64_t num_base = config.num_experts;
  std::vector<at::Tensor> base, added;
  int64_t num_bytes = 0;
  for (int rank = 0; rank < 2; ++rank) {
    const auto moved = model::weights_on(simulated_gpu(rank), weights, {rank, 2});
    const SplitRows& rows = moved.layers[0].moe.gate_up;
    base.push_back(rows.base.cpu());
    added.push_back(rows.bank.narrow(0, 0, rows.num_added_in_bank()).cpu());
    CHECK(bitwise_equal(rows.added, weights.layers[0].moe.gate_up.added));
    num_bytes += model::bytes_on_device(weights, {rank, 2});
  }
  CHECK(base[0].size(0) == num_base / 2);
  CHECK(bitwise_equal(at::cat(base), weights.layers[0].moe.gate_up.base.to(at::kBFloat16)));
  CHECK(bitwise_equal(at::cat(added), weights.layers[0].moe.gate_up.added.to(at::kBFloat16)));
  CHECK(num_bytes < 2 * model::bytes_on_device(weights));
}

}  // namespace polygraft::testing::shared_devices
