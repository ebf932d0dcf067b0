// tests/bench/training_step/training_step.cpp: our side of the training-step bench: forward,
// cross-entropy, backward, gradient clipping and AdamW on one fixed batch. Started by compare.py,
// which alternates it with the peer:
//   training_step FOLDER all|additions     then one number of steps a line on stdin;
//   answers one JSON line each: {"milliseconds": [...], "losses": [...]}
#include <ATen/Parallel.h>

#include <chrono>
#include <iostream>

#include "core/error.h"
#include "core/json.h"
#include "model/architecture/head_loss.h"
#include "model/architecture/transformer.h"
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

Bench read(const std::filesystem::path& path) {
  const Json rows = read_json(path / "rows.json");
  auto folder = model::ModelFolder::open(path);
  Bench bench{{folder.config, model::load_weights(folder, at::kFloat)}, {}, {}, 0};
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
  return loss.item<double>();
}

int run(const std::string& folder, const std::string& trainable) {
  Bench bench = read(folder);
  trainer::TrainConfig config;
  config.trainable = trainable;
  config.optimizer.router_learning_rate_scale = 1.0;
  const auto parameters = trainer::select_parameters(bench.model.weights(), config);
  trainer::AdamW optimizer(parameters, config.optimizer);
  int64_t num_steps = 0;
  while (std::cin >> num_steps) {
    Json answer = {{"milliseconds", Json::array()}, {"losses", Json::array()}};
    for (int64_t i = 0; i < num_steps; ++i) {
      const auto start = Clock::now();
      answer["losses"].push_back(step(bench, parameters, optimizer));
      const std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
      answer["milliseconds"].push_back(elapsed.count());
    }
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace polygraft

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: training_step FOLDER all|additions\n";
    return 2;
  }
  try {
    return polygraft::run(argv[1], argv[2]);
  } catch (const polygraft::Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.exit_code());
  }
}
