// tests/trainer/objective_test.cpp: what each method costs, and whom its gradient reaches.
#include "trainer/objective/objective.h"

#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>
#include <map>

#include "tests/trainer/tiny_world.h"
#include "trainer/data/training_data.h"
#include "trainer/optim/adamw.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

using testing::TemporaryFolder;

/// The tiny expanded model, its trainable tensors, and one step's rows.
struct Step {
  explicit Step(TrainJob job_in)
      : job(std::move(job_in)),
        trainee(load_trainee(job)),
        parameters(select_parameters(trainee.transformer.weights(), job.train)),
        data(prepare_data(job, resolve_roles(job), trainee.tokenizer, trainee.tokenizer.size())) {
    rows.learned = data.learned.take(90);
    if (data.replayed) rows.replayed = data.replayed->take(60);
  }
  StepLoss backward(const Multipliers& multipliers = {}) {
    clear_gradients(parameters);
    return Objective(trainee.transformer, trainee.tokenizer.prefix_id(), job.train)
        .backward(rows, multipliers);
  }
  std::map<std::string, at::Tensor> gradients() const {
    std::map<std::string, at::Tensor> found;
    for (const Parameter& parameter : parameters) found[parameter.name] = parameter.value.grad();
    return found;
  }

  TrainJob job;
  Trainee trainee;
  Parameters parameters;
  TrainingData data;
  StepRows rows;
};

TrainJob job_with_method(const TemporaryFolder& run, const std::string& method) {
  TrainJob job = testing::additions_job(run / "run");
  job.train.protect.method = method;
  job.train.load_balance = 0.1;
  return job;
}

TEST_CASE("only additions get gradients, whatever the method", "[trainer][objective]") {
  const TemporaryFolder run;
  Step step(job_with_method(run, GENERATE(as<std::string>{}, "kl", "hinge", "prior", "none")));
  step.backward();
  int num_added = 0, num_frozen = 0;
  step.trainee.transformer.weights().for_each([&](const std::string& name, at::Tensor& tensor) {
    const bool added = name.size() > 6 && name.substr(name.size() - 6) == ".added";
    INFO(name);
    CHECK(tensor.requires_grad() == added);
    CHECK(tensor.grad().defined() == added);
    ++(added ? num_added : num_frozen);
  });
  CHECK(num_added == 2 + 2 * 3);
  CHECK(num_frozen > num_added);
}

TEST_CASE("a step in pieces has the gradient of the whole step", "[trainer][objective]") {
  const TemporaryFolder run;
  TrainJob job = job_with_method(run, GENERATE(as<std::string>{}, "kl", "hinge", "prior", "none"));
  job.train.load_balance = 0;  // the one part that is not a sum over tokens
  Step whole(job);
  const StepLoss whole_loss = whole.backward();
  job.train.micro_batch_tokens = 40;
  Step pieces(job);
  const StepLoss piece_loss = pieces.backward();
  CHECK(piece_loss.total == Approx(whole_loss.total).epsilon(1e-5));
  CHECK(piece_loss.kl == Approx(whole_loss.kl).epsilon(1e-4));
  const auto expected = whole.gradients(), found = pieces.gradients();
  for (const auto& [name, gradient] : expected) {
    INFO(name);
    CHECK(at::allclose(found.at(name), gradient, 1e-4, 1e-6));
  }
}

TEST_CASE("the KL part is the full softmax' KL(base || expanded)", "[trainer][objective]") {
  const TemporaryFolder run;
  Step step(job_with_method(run, "kl"));
  const StepLoss loss = step.backward();
  const at::NoGradGuard no_grad;
  const model::Transformer& transformer = step.trainee.transformer;
  const TokenBatch batch = make_batch(step.rows.replayed, step.trainee.tokenizer.prefix_id());
  const auto base = model::Mask::all();
  const at::Tensor p = transformer.logits(transformer.hidden(batch.inputs, base), base)
                           .to(at::kDouble)
                           .log_softmax(1);
  const at::Tensor q =
      transformer.logits(transformer.hidden(batch.inputs)).to(at::kDouble).log_softmax(1);
  const at::Tensor kl_T = (p.exp() * (p - q.narrow(1, 0, p.size(1)))).sum(1);
  CHECK(loss.kl == Approx(kl_T.mean().item<double>()).epsilon(1e-4));
  CHECK(loss.kl > 0);
}

TEST_CASE("the total is the weighted sum of its parts, protection scaled", "[trainer][objective]") {
  const TemporaryFolder run;
  Step step(job_with_method(run, "kl"));
  const StepLoss loss = step.backward({.routing = 3.0, .head = 3.0});
  const ProtectConfig& protect = step.job.train.protect;
  const double expected = loss.cross_entropy + 3.0 * protect.kl * loss.kl +
                          3.0 * protect.hinge_or_default() * loss.hinge +
                          protect.capture * loss.capture + 0.1 * loss.load_balance;
  CHECK(loss.total == Approx(expected).epsilon(1e-5));
  CHECK(loss.capture > 0);
  CHECK(loss.hinge > 0);
  CHECK(loss.load_balance >= 0.9);
}

/// What one unit of a multiplier adds to each gradient, by central differences; the others stay 1.
std::map<std::string, at::Tensor> gradients_per_unit(Step& step, double Multipliers::*which) {
  Multipliers more, less;
  more.*which = 1.5;
  less.*which = 0.5;
  std::map<std::string, at::Tensor> slope;
  step.backward(more);
  for (const auto& [name, gradient] : step.gradients())
    slope[name] = gradient.defined() ? gradient.clone() : at::Tensor();
  step.backward(less);
  for (const auto& [name, gradient] : step.gradients())
    if (gradient.defined()) slope[name] -= gradient;
  return slope;
}

TEST_CASE("each multiplier weighs what its cause can change", "[trainer][objective][property]") {
  const TemporaryFolder run;
  const auto method = GENERATE(as<std::string>{}, "kl", "hinge");
  TrainJob job = job_with_method(run, method);
  job.train.load_balance = 0;
  job.train.protect.capture = 0;
  Step step(job);
  step.backward();
  std::map<std::string, at::Tensor> all;
  for (const auto& [name, gradient] : step.gradients()) all[name] = gradient.clone();
  StepRows rows = step.rows;
  step.rows.replayed.clear();
  step.backward();
  std::map<std::string, at::Tensor> learned;
  for (const auto& [name, gradient] : step.gradients()) learned[name] = gradient.clone();
  step.rows = rows;
  const auto by_routing = gradients_per_unit(step, &Multipliers::routing);
  const auto by_head = gradients_per_unit(step, &Multipliers::head);
  for (const auto& [name, gradient] : all) {
    INFO(method << " " << name);
    const at::Tensor protection = gradient - learned.at(name);
    const bool is_head = name == "head.added";
    const double scale = protection.abs().max().item<double>();
    const bool is_expert = name.find("moe") != std::string::npos;
    if (is_head || (is_expert && method == "kl")) REQUIRE(scale > 0);
    const at::Tensor& own = (is_head ? by_head : by_routing).at(name);
    const at::Tensor& other = (is_head ? by_routing : by_head).at(name);
    CHECK(at::allclose(own, protection, 1e-2, 1e-3 * scale));
    CHECK(other.abs().max().item<double>() <= 1e-3 * scale);
  }
}

TEST_CASE("the forward-only hinge reaches router rows and output rows alone",
          "[trainer][objective]") {
  const TemporaryFolder run;
  Step step(job_with_method(run, "hinge"));
  step.rows.learned.clear();
  const StepLoss loss = step.backward();
  CHECK(loss.cross_entropy == 0);
  CHECK(loss.hinge > 0);
  CHECK(loss.head > 0);
  for (const auto& [name, gradient] : step.gradients()) {
    INFO(name);
    const bool reached = name == "head.added" || name.find("router") != std::string::npos;
    CHECK((gradient.defined() && gradient.count_nonzero().item<int64_t>() > 0) == reached);
  }
}

TEST_CASE("method none scores replayed text like learned text", "[trainer][objective]") {
  const TemporaryFolder run;
  Step step(job_with_method(run, "none"));
  step.job.train.load_balance = 0;
  const StepLoss both = step.backward();
  const auto num_learned = static_cast<double>(num_tokens(step.rows.learned));
  const auto num_replayed = static_cast<double>(num_tokens(step.rows.replayed));
  StepRows all = step.rows;
  step.rows = {all.learned, {}};
  const double learned = step.backward().cross_entropy;
  step.rows = {all.replayed, {}};
  const double replayed = step.backward().cross_entropy;  // as if it were learned
  CHECK(both.cross_entropy == Approx(learned));
  CHECK(both.replayed_cross_entropy == Approx(replayed));
  CHECK(both.total ==
        Approx((learned * num_learned + replayed * num_replayed) / (num_learned + num_replayed)));
}

TEST_CASE("method prior is replayed cross-entropy and a loss on router rows",
          "[trainer][objective]") {
  const TemporaryFolder run;
  TrainJob job = job_with_method(run, "none");
  Step none(job);
  const StepLoss without = none.backward();
  job.train.protect.method = "prior";
  Step prior(job);
  const StepLoss with = prior.backward({.routing = 3.0, .head = 1.0});
  CHECK(with.cross_entropy == Approx(without.cross_entropy));
  CHECK(with.prior > 0);
  CHECK(with.capture == 0);
  CHECK(with.total == Approx(without.total + 3.0 * job.train.protect.prior * with.prior));
  for (const auto& [name, gradient] : prior.gradients()) {
    INFO(name);
    const bool same = at::allclose(gradient, none.gradients().at(name), 1e-5, 1e-7);
    CHECK(same == (name.find("router") == std::string::npos));
  }
}

TEST_CASE("the log says what replayed text costs, and why protection is off",
          "[trainer][objective]") {
  const TemporaryFolder run;
  const Step step(job_with_method(run, "kl"));
  TrainConfig config = step.job.train;
  const auto text = [&] {
    return replay_text(config, protection_of(config, step.trainee.transformer));
  };
  CHECK(text() == "KL to the base (weight 5), hinge (0.5)");
  config.protect.method = "hinge";
  CHECK(text() == "hinge (weight 10), head cost (40)");
  config.protect.method = "polyak";
  CHECK(text() == "Polyak's steps of added rows (margin 0.5)");
  config.protect.method = "prior";
  CHECK(text() == "cross-entropy, language-prior routing (weight 0.1)");
  config.trainable = "all";
  CHECK(text() == "cross-entropy (`protect` needs a frozen base with additions)");
  config.protect.method = "none";
  CHECK(text() == "cross-entropy");
}

TEST_CASE("router-only training moves added router rows alone", "[trainer][objective]") {
  const TemporaryFolder run;
  TrainJob job = job_with_method(run, "kl");
  job.train.trainable = "none-but-router";
  job.train.budget.reset();  // it learns the old languages
  Step step(job);
  REQUIRE(step.parameters.size() == 2);
  CHECK(step.parameters[0].name == "layers.0.moe.router.added");
  CHECK(step.parameters[0].learning_rate_scale == job.train.optimizer.router_learning_rate_scale);
  step.backward();
  for (const auto& [name, gradient] : step.gradients()) CHECK(gradient.defined());
}

TEST_CASE("a base model has no additions to train", "[trainer][objective]") {
  const TemporaryFolder run;
  TrainJob job = job_with_method(run, "kl");
  job.model = testing::tiny_world().base;
  CHECK_THROWS_WITH(load_trainee(job), Catch::Contains("no additions"));
}

}  // namespace
}  // namespace polygraft::trainer
