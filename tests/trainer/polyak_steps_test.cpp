// tests/trainer/polyak_steps_test.cpp: the step's equation, and what steps do to a model.
#include "trainer/objective/polyak_steps.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>

#include "tests/trainer/tiny_world.h"
#include "trainer/data/training_data.h"
#include "trainer/optim/parameters.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

using testing::TemporaryFolder;

at::Tensor random_tensor(int64_t rows, int64_t columns, uint64_t seed) {
  return at::randn({rows, columns}, at::detail::createCPUGenerator(seed), at::kDouble);
}

TEST_CASE("a step reaches the zero of a linear function along the metric's direction",
          "[trainer][polyak][property]") {
  const auto seed = static_cast<uint64_t>(GENERATE(range(1, 6)));
  const int64_t num_rows = 3, width = 7;
  const at::Tensor metric_DD = feature_metric(random_tensor(20, width, seed));
  const at::Tensor gradient_RD = random_tensor(num_rows, width, seed + 100);
  const at::Tensor value_R = random_tensor(num_rows, 1, seed + 200).abs().squeeze(1);

  const at::Tensor own_RD = polyak_step(value_R, gradient_RD, metric_DD, 1.0);
  CHECK(at::allclose((gradient_RD * own_RD).sum(1), value_R));
  const at::Tensor all_RD = polyak_step(value_R.sum(0, true), gradient_RD, metric_DD, 1.0);
  CHECK(at::allclose((gradient_RD * all_RD).sum(), value_R.sum()));
  CHECK(at::allclose(polyak_step(value_R, gradient_RD, metric_DD, 0.25), own_RD * 0.25));

  // Of all steps that reach it, this one is the shortest in the metric.
  const auto length = [&](const at::Tensor& step_RD) {
    return (at::matmul(step_RD, metric_DD) * step_RD).sum(1);
  };
  at::Tensor other_RD = random_tensor(num_rows, width, seed + 300);
  const at::Tensor along_R1 = (gradient_RD * other_RD).sum(1, true);
  other_RD = other_RD * (value_R.unsqueeze(1) / along_R1);
  CHECK(at::allclose((gradient_RD * other_RD).sum(1), value_R));
  CHECK((length(own_RD) <= length(other_RD)).all().item<bool>());
}

TEST_CASE("a row that offends nobody stays", "[trainer][polyak]") {
  const at::Tensor metric_DD = at::eye(4, at::kDouble);
  const at::Tensor step_RD =
      polyak_step(at::zeros({2}, at::kDouble), at::zeros({2, 4}, at::kDouble), metric_DD, 1.0);
  CHECK(step_RD.abs().max().item<double>() == 0);
}

TEST_CASE("features that are no numbers give no step that looks like one", "[trainer][polyak]") {
  const at::Tensor metric_DD = GENERATE(at::full({4, 4}, std::nan(""), at::kDouble),
                                        -at::eye(4, at::kDouble), at::zeros({4, 4}, at::kDouble));
  const auto ones = [](at::IntArrayRef shape) { return at::ones(shape, at::kDouble); };
  CHECK(polyak_step(ones({2}), ones({2, 4}), metric_DD, 1.0).isnan().all().item<bool>());
}

/// The tiny expanded model under method polyak, and a step's rows.
struct PolyakWorld {
  explicit PolyakWorld(TrainJob job_in)
      : job(std::move(job_in)),
        trainee(load_trainee(job)),
        parameters(select_parameters(trainee.transformer.weights(), job.train)),
        data(prepare_data(job, resolve_roles(job), trainee.tokenizer, trainee.tokenizer.size())),
        rows{data.learned.take(90), data.replayed->take(60)},
        steps(trainee.transformer, trainee.tokenizer.prefix_id(), job.train) {}

  TrainJob job;
  Trainee trainee;
  Parameters parameters;
  TrainingData data;
  StepRows rows;
  PolyakSteps steps;
};

TrainJob polyak_job(const TemporaryFolder& run) {
  TrainJob job = testing::additions_job(run / "run");
  job.train.protect.method = "polyak";
  job.train.replay.mix = "text";
  return job;
}

TEST_CASE("steps move added router and output rows alone, and old text costs less after them",
          "[trainer][polyak]") {
  const TemporaryFolder run;
  PolyakWorld world(polyak_job(run));
  std::vector<at::Tensor> before;
  for (const Parameter& parameter : world.parameters) before.push_back(parameter.value.clone());
  const StepLoss first = world.steps.take(world.rows, {});
  REQUIRE(first.hinge > 0);
  REQUIRE(first.head > 0);
  for (size_t i = 0; i < before.size(); ++i) {
    const Parameter& parameter = world.parameters[i];
    INFO(parameter.name);
    const bool moves =
        parameter.name == "head.added" || parameter.name.find("router.added") != std::string::npos;
    CHECK(at::equal(parameter.value, before[i]) != moves);
    CHECK_FALSE(parameter.value.grad().defined());
  }
  const StepLoss second = world.steps.take(world.rows, {});
  CHECK(second.hinge < 0.6 * first.hinge);
  CHECK(second.head < 0.6 * first.head);
}

TEST_CASE("rows that are no numbers are named at once", "[trainer][polyak]") {
  const TemporaryFolder run;
  PolyakWorld world(polyak_job(run));
  const at::NoGradGuard no_grad;
  world.trainee.transformer.weights().head.added.fill_(std::nan(""));
  CHECK_THROWS_WITH(world.steps.take(world.rows, {}),
                    Catch::Contains("output rows: are not finite"));
}

TEST_CASE("what a step starts from is the forward-only hinge's loss", "[trainer][polyak]") {
  const TemporaryFolder run;
  PolyakWorld world(polyak_job(run));
  TrainConfig hinge = world.job.train;
  hinge.protect.method = "hinge";
  const Objective objective(world.trainee.transformer, world.trainee.tokenizer.prefix_id(), hinge);
  const StepLoss expected = objective.backward({{}, world.rows.replayed}, {});
  const StepLoss found = world.steps.take(world.rows, {.routing = 0.0, .head = 0.0});
  CHECK(found.hinge == Approx(expected.hinge).epsilon(1e-5));
  CHECK(found.head == Approx(expected.head).epsilon(1e-5));
  const StepLoss again = world.steps.take(world.rows, {});
  CHECK(again.hinge == found.hinge);  // steps of length 0 moved nothing
  CHECK(again.head == found.head);
}

}  // namespace
}  // namespace polygraft::trainer
