// tests/trainer/device_run_test.cpp: runs with `device: cuda` on simulated GPUs.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/text.h"
#include "tests/model/simulated_gpu/simulated_gpu.h"
#include "tests/model/simulated_gpu/simulated_nccl.h"
#include "tests/trainer/rank_runs.h"
#include "tests/trainer/run_files.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/data/training_data.h"
#include "trainer/objective/objective.h"
#include "trainer/optim/parameters.h"
#include "trainer/trainee.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {
namespace {

using testing::file_hashes;
using testing::Killed;
using testing::metrics_of;
using testing::mortal;
using testing::TemporaryFolder;

// Of what is learned. The tiny model's embeddings are near zero, and the norm behind them makes
// much of bfloat16's rounding there: plain ATen in bfloat16 is as far from float32.
constexpr double kRounding = 0.25;

TrainJob device_job(const std::filesystem::path& run) {
  TrainJob job = testing::additions_job(run);
  job.train.device = "cuda";
  job.open_gpu = [] { return testing::open_simulated_gpu(); };
  return job;
}

/// A rank each on the first simulated GPUs.
void train_on_gpus(parallel::GridShape shape, const TrainJob& job) {
  const auto work = [&](parallel::Communicator& world) {
    TrainJob own = job;
    own.open_gpu = [rank = world.rank()] { return testing::open_simulated_gpu(rank); };
    testing::train_as_rank(world, shape, own);
  };
  testing::run_on_gpus(static_cast<int>(shape.ep * shape.dp), testing::kPatience, work);
}

double last_bits(const std::filesystem::path& run_dir, const std::string& language) {
  return metrics_of(run_dir).back()["probe"][language]["bits_per_byte"].get<double>();
}

TEST_CASE("additions trained on the device learn what they learn on the CPU", "[trainer][device]") {
  const TemporaryFolder run;
  const auto method = GENERATE(as<std::string>{}, "kl", "hinge");
  TrainJob on_cpu = testing::additions_job(run / "cpu");
  TrainJob on_device = device_job(run / "device");
  on_cpu.train.protect.method = on_device.train.protect.method = method;
  train(on_cpu);
  train(on_device);
  const auto first = metrics_of(on_cpu.run_dir).front()["probe"];
  const double learned = first["cc"]["bits_per_byte"].get<double>() - last_bits(run / "cpu", "cc");
  REQUIRE(learned > 0.2);
  for (const char* language : {"aa", "bb", "cc"}) {
    INFO(method << " " << language);
    const double change = last_bits(run / "device", language) - last_bits(run / "cpu", language);
    CHECK(std::abs(change) < kRounding * learned);
  }
  const auto before = model::ModelFolder::open(testing::tiny_world().expanded);
  const auto after = model::ModelFolder::open(on_device.output);
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  CHECK(after.tensors.get(query).bytes == before.tensors.get(query).bytes);
}

TEST_CASE("Polyak's steps on the device start from the CPU's costs, and lower them alike",
          "[trainer][device]") {
  const TemporaryFolder run;
  TrainJob on_cpu = testing::additions_job(run / "cpu");
  TrainJob on_device = device_job(run / "device");
  on_cpu.train.protect.method = on_device.train.protect.method = "polyak";
  on_cpu.train.tokens = on_device.train.tokens = 128 * 2;
  on_cpu.train.replay.fraction = on_device.train.replay.fraction = 0.3;  // a row in each step
  train(on_cpu);
  train(on_device);
  const std::vector<Json> expected = metrics_of(on_cpu.run_dir);
  const std::vector<Json> found = metrics_of(on_device.run_dir);
  REQUIRE(found.size() == expected.size());
  int num_steps = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!expected[i].contains("hinge")) continue;
    ++num_steps;
    for (const char* part : {"hinge", "head"}) {
      INFO(part << " of step " << num_steps);
      CHECK(found[i][part].get<double>() == Approx(expected[i][part].get<double>()).epsilon(0.03));
    }
  }
  CHECK(num_steps == 2);
}

/// A step's losses and the gradients of its router rows, on the CPU.
std::pair<StepLoss, std::vector<at::Tensor>> router_step(const TrainJob& job) {
  Trainee trainee = load_trainee(job);
  const Parameters parameters = select_parameters(trainee.transformer.weights(), job.train);
  TrainingData data =
      prepare_data(job, resolve_roles(job), trainee.tokenizer, trainee.tokenizer.size());
  const StepRows rows{data.learned.take(90), data.replayed->take(60)};
  const Objective objective(trainee.transformer, trainee.tokenizer.prefix_id(), job.train);
  const StepLoss loss = objective.backward(rows, {});
  std::vector<at::Tensor> gradients;
  for (const Parameter& parameter : parameters) {
    if (parameter.name.ends_with("router.added")) gradients.push_back(parameter.value.grad().cpu());
  }
  return {loss, gradients};
}

TEST_CASE("prior and load balance cost on the device what they cost on the CPU, and train alike",
          "[trainer][device]") {
  const TemporaryFolder run;
  TrainJob on_cpu = testing::additions_job(run / "cpu");
  TrainJob on_device = device_job(run / "device");
  for (TrainJob* job : {&on_cpu, &on_device}) {
    job->train.protect.method = "prior";
    job->train.protect.prior = 10;  // gradients of router rows are theirs
    job->train.load_balance = 10;
  }
  const auto [expected, expected_gradients] = router_step(on_cpu);
  const auto [found, found_gradients] = router_step(on_device);
  CHECK(expected.prior > 0);
  CHECK(found.prior == Approx(expected.prior).epsilon(0.03));
  CHECK(expected.load_balance > 0);
  CHECK(found.load_balance == Approx(expected.load_balance).epsilon(0.03));
  REQUIRE(found_gradients.size() == 2);
  for (size_t i = 0; i < found_gradients.size(); ++i) {
    const double size = expected_gradients[i].norm().item<double>();
    CHECK((found_gradients[i] - expected_gradients[i]).norm().item<double>() < kRounding * size);
  }
}

TEST_CASE("a run on the device goes on from its checkpoint bit by bit", "[trainer][device]") {
  const TemporaryFolder run;
  const TrainJob whole = device_job(run / "whole");
  train(whole);
  TrainJob broken = device_job(run / "broken");
  broken.on_step = [](int64_t step) {
    if (step == 7) throw std::runtime_error("killed");
  };
  CHECK_THROWS_WITH(train(broken), "killed");
  broken.on_step = nullptr;
  train(broken);
  CHECK(metrics_of(broken.run_dir) == metrics_of(whole.run_dir));
  CHECK(file_hashes(broken.output) == file_hashes(whole.output));
}

TEST_CASE("a step waits for the GPU once, for its losses", "[trainer][device]") {
  const TemporaryFolder run;
  TrainJob job = device_job(run / "run");
  job.train.protect.method = GENERATE(as<std::string>{}, "kl", "hinge", "prior");
  job.train.micro_batch_tokens = 32;
  job.train.load_balance = 0.1;
  Trainee trainee = load_trainee(job);
  const Parameters parameters = select_parameters(trainee.transformer.weights(), job.train);
  TrainingData data =
      prepare_data(job, resolve_roles(job), trainee.tokenizer, trainee.tokenizer.size());
  const StepRows rows{data.learned.take(90), data.replayed->take(60)};
  const Objective objective(trainee.transformer, trainee.tokenizer.prefix_id(), job.train);
  const testing::WaitWatch waits;
  std::vector<PieceLoss> losses;
  for (const Piece& piece : cut_pieces(rows, job.train.micro_batch_tokens)) {
    losses.push_back(objective.backward_piece(piece, objective.count(rows), {}));
  }
  CHECK(losses.size() > 2);
  CHECK(waits.seen() == std::vector<std::string>{});
  CHECK(PieceLoss::read(losses).front().total > 0);
  CHECK(waits.seen().size() == 1);
}

TEST_CASE("between two steps nothing waits for the GPU but for losses and norms",
          "[trainer][device]") {
  const TemporaryFolder run;
  TrainJob job = device_job(run / "run");
  const auto [method, micro_batch_tokens, num_waits] = GENERATE(table<std::string, int64_t, size_t>(
      {{"kl", 32, 2}, {"hinge", 32, 2}, {"prior", 32, 2}, {"polyak", 0, 4}}));  // its costs
  INFO(method);
  job.train.protect.method = method;
  job.train.micro_batch_tokens = micro_batch_tokens;
  if (method != "polyak") job.train.load_balance = 0.1;
  std::vector<size_t> waited;
  const testing::WaitWatch waits;
  job.on_step = [&](int64_t) { waited.push_back(waits.seen().size()); };
  train(job);
  REQUIRE(waited.size() > 3);
  CHECK(waited[2] - waited[1] == num_waits);
}

/// Every line, less what ranks add up in another order.
std::vector<Json> metrics_but_leaks(const std::filesystem::path& run_dir) {
  std::vector<Json> lines = metrics_of(run_dir);
  for (Json& line : lines) {
    if (!line.contains("probe")) continue;
    for (auto& [language, probed] : line["probe"].items()) probed.erase("leak_mass");
  }
  return lines;
}

/// Several pieces a step, a number that few grids divide.
TrainJob pieces_job(const std::string& mode, const std::filesystem::path& run) {
  TrainJob job = device_job(run);
  job.train.micro_batch_tokens = 32;
  job.train.tokens = 128 * (mode == "rollback" ? 12 : 4);
  if (mode == "hinge" || mode == "polyak" || mode == "prior") job.train.protect.method = mode;
  if (mode == "prior") job.train.load_balance = 0.1;
  testing::set_mode(job, mode);
  return job;
}

bool same_results(const TrainJob& a, const TrainJob& b) {
  return metrics_but_leaks(a.run_dir) == metrics_but_leaks(b.run_dir) &&
         file_hashes(a.output) == file_hashes(b.output);
}

TEST_CASE("ranks with a device each train the bits of one", "[trainer][device][parallel]") {
  const TemporaryFolder run;
  const auto mode =
      GENERATE(as<std::string>{}, "kl", "hinge", "polyak", "prior", "rollback", "self");
  const TrainJob one = pieces_job(mode, run / "one");
  train(one);
  std::vector<std::pair<int, int>> grids = {{1, 2}, {2, 2}, {3, 1}};
  if (mode == "kl") grids.insert(grids.end(), {{1, 3}, {2, 1}});
  for (const auto& [ep, dp] : grids) {
    INFO(mode << ": ep " << ep << ", dp " << dp);
    const TrainJob several = pieces_job(mode, run / concat("on-", ep, "-", dp));
    train_on_gpus({ep, dp}, several);
    CHECK(same_results(several, one));
  }
}

TEST_CASE("a run goes on with another grid of devices, to the same bits",
          "[trainer][device][parallel]") {
  const TemporaryFolder run;
  const TrainJob whole = pieces_job("self", run / "whole");
  train(whole);
  const TrainJob job = pieces_job("self", run / "run");
  CHECK_THROWS_AS(train(mortal(job, 1)), Killed);
  CHECK_THROWS_AS(train_on_gpus({2, 1}, mortal(job, 2)), Killed);
  CHECK_THROWS_AS(train_on_gpus({1, 3}, mortal(job, 3)), Killed);
  train_on_gpus({2, 2}, job);
  CHECK(same_results(job, whole));
}

TEST_CASE("a model larger than the GPU is refused before it is moved", "[trainer][device]") {
  const TemporaryFolder run;
  TrainJob job = device_job(run / "run");
  job.open_gpu = [] {
    model::Gpu gpu = testing::open_simulated_gpu();
    gpu.free_bytes = 1000;
    return gpu;
  };
  CHECK_THROWS_WITH(train(job), Catch::Contains("do not fit on the GPU"));
}

TEST_CASE("what a GPU does not train is refused by key", "[trainer][device]") {
  TrainConfig config = testing::additions_job("run").train;
  config.device = "cuda";
  config.trainable = "all";
  Problems problems;
  config.validate(problems);
  CHECK_THROWS_WITH(problems.throw_if_any("train.yaml"), Catch::Contains("device"));
}

}  // namespace
}  // namespace polygraft::trainer
