// tests/bench/training_step/training_step.cpp: our side of the training-step bench: forward,
// cross-entropy, backward, gradient clipping and AdamW on one fixed batch; or, forward alone, the
// loss as scoring computes it. Started by compare.py, which alternates it with the peer:
//   training_step FOLDER all|additions|forward [bfloat16|cuda]  then one number of steps a line on
//   stdin; answers one JSON line each: {"milliseconds": [...], "losses": [...], "device_bytes":
//   ...}
// Weights are held as training and scoring hold them: what is frozen stays in the mapped file, or
// is on the GPU in bfloat16.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <functional>
#include <iostream>

#include "core/error.h"
#include "core/freed_memory.h"
#include "core/json.h"
#include "model/architecture/gpu.h"
#include "model/architecture/head_loss.h"
#include "model/architecture/token_nll.h"
#include "model/architecture/transformer.h"
#include "model/kernels/dispatch.h"
#include "trainer/optim/adamw.h"

namespace polygraft {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kLearningRate = 1e-3;
constexpr double kMaxGradientNorm = 1.0;

struct Bench {
  model::Transformer model;
  model::Batch batch;
  at::Tensor targets_T;
  int64_t num_targets = 0;
};

model::Transformer load(const std::filesystem::path& path, const std::string& mode) {
  const auto folder = model::ModelFolder::open(path);
  if (mode == "forward") return model::Transformer::load(folder);
  if (mode == "all") return {folder.config, model::load_weights(folder, at::kFloat)};
  return {folder.config, model::map_weights(folder, at::kFloat, model::AddedExperts::kInMemory)};
}

model::Transformer on_gpu(const model::Transformer& model) {
  const model::Gpu gpu = model::open_gpu();
  return model.on_device(gpu.device, gpu.executor);
}

Bench read(const std::filesystem::path& path, const std::string& mode, bool with_gpu) {
  const Json rows = read_json(path / "rows.json");
  const model::Transformer model = load(path, mode);
  Bench bench{with_gpu ? on_gpu(model) : model, {}, {}, 0};
  std::vector<int64_t> ids, targets;
  for (const auto& row : rows) {
    const auto tokens = row.get<std::vector<int64_t>>();
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    targets.insert(targets.end(), tokens.begin() + 1, tokens.end());
    targets.push_back(-1);
    bench.batch.lengths.push_back(static_cast<int64_t>(tokens.size()));
    bench.num_targets += static_cast<int64_t>(tokens.size()) - 1;
  }
  bench.batch.ids_T = at::tensor(ids, at::kLong);
  bench.targets_T = at::tensor(targets, at::kLong);
  return bench;
}

double step(Bench& bench, const trainer::Parameters& parameters, trainer::AdamW& optimizer) {
  trainer::clear_gradients(parameters);
  const auto hidden_TD = bench.model.hidden(bench.batch);
  const auto sum = model::cross_entropy_sum(hidden_TD, bench.targets_T, bench.model.weights().head);
  const auto loss = sum / bench.num_targets;
  loss.backward();
  trainer::clip_gradients(parameters, kMaxGradientNorm);
  optimizer.step(kLearningRate);
  bench.model.weights().fill_banks();
  return loss.item<double>();
}

double score(const Bench& bench) {
  const at::NoGradGuard no_grad;
  const auto hidden_TD = bench.model.hidden(bench.batch);
  const auto nats_T = model::token_nll(hidden_TD, bench.targets_T, bench.model.weights().head);
  return nats_T.sum().item<double>() / static_cast<double>(bench.num_targets);
}

/// Answers every number of steps on stdin.
int serve(const std::function<double()>& step) {
  int64_t num_steps = 0;
  while (std::cin >> num_steps) {
    Json answer = {{"milliseconds", Json::array()}, {"losses", Json::array()}};
    for (int64_t i = 0; i < num_steps; ++i) {
      const auto start = Clock::now();
      answer["losses"].push_back(step());
      const std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
      answer["milliseconds"].push_back(elapsed.count());
    }
    answer["device_bytes"] = model::peak_gpu_bytes();
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}

int run(const std::string& folder, const std::string& mode, bool with_gpu) {
  Bench bench = read(folder, mode, with_gpu);
  if (mode == "forward") return serve([&] { return score(bench); });
  keep_freed_memory();  // as training does
  trainer::TrainConfig config;
  config.trainable = mode;
  config.optimizer.router_learning_rate_scale = 1.0;
  const auto parameters = trainer::select_parameters(bench.model.weights(), config);
  trainer::AdamW optimizer(parameters, config.optimizer);
  return serve([&] { return step(bench, parameters, optimizer); });
}

}  // namespace
}  // namespace polygraft

int main(int argc, char** argv) {
  const bool with_gpu = argc == 4 && std::string_view(argv[3]) == "cuda";
  const bool rounds = argc == 4 && std::string_view(argv[3]) == "bfloat16";
  if (argc != 3 && !with_gpu && !rounds) {
    std::cerr << "usage: training_step FOLDER all|additions|forward [bfloat16|cuda]\n";
    return 2;
  }
  try {
    using polygraft::kernels::Precision;
    const polygraft::kernels::PrecisionScope scope(rounds ? Precision::kBFloat16
                                                          : Precision::kFloat32);
    return polygraft::run(argv[1], argv[2], with_gpu);
  } catch (const polygraft::Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.exit_code());
  }
}
