// tests/trainer/grown_vocabulary_test.cpp: a whole model continued under an extended tokenizer.
#include "trainer/grown_vocabulary.h"

#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>

#include "core/error.h"
#include "tests/trainer/tiny_world.h"
#include "tokenizer/base_view.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

using testing::TemporaryFolder;
using testing::tiny_world;

TrainJob grown_job(const TemporaryFolder& run) {
  TrainJob job = testing::additions_job(run / "run");
  job.model = tiny_world().base;
  job.tokenizer = tiny_world().expanded;  // a folder with the extended tokenizer
  job.languages = {"cc"};
  job.train.trainable = "all";
  job.train.budget.reset();
  return job;
}

TEST_CASE("a new token's row begins as the mean of those it replaces", "[trainer][vocabulary]") {
  const TemporaryFolder run;
  const Trainee trainee = load_trainee(grown_job(run));
  const auto own = tokenizer::Tokenizer::load(tiny_world().base);
  const auto parts = tokenizer::old_parts_of_added_tokens(
      trainee.tokenizer, static_cast<tokenizer::TokenId>(own.size()));
  const model::SplitRows& rows = trainee.transformer.weights().embedding;
  REQUIRE(rows.num_added() == static_cast<int64_t>(parts.size()));
  CHECK(trainee.transformer.config().vocab_rows == own.size() + rows.num_added());
  for (size_t i = 0; i < parts.size(); ++i) {
    at::Tensor sum_D = at::zeros({rows.base.size(1)}, at::kDouble);
    for (const auto id : parts[i]) sum_D += rows.base[id].to(at::kDouble);
    const at::Tensor mean_D = sum_D / static_cast<double>(parts[i].size());
    CHECK(at::allclose(rows.added[static_cast<int64_t>(i)].to(at::kDouble), mean_D, 1e-6, 1e-7));
  }
}

TEST_CASE("with its new rows masked the grown model is the base", "[trainer][vocabulary]") {
  const TemporaryFolder run;
  const Trainee grown = load_trainee(grown_job(run));
  TrainJob job = grown_job(run);
  job.tokenizer.clear();
  const Trainee base = load_trainee(job);
  const model::Batch batch{at::tensor({3, 5, 7}, at::kLong), {3}};
  const at::NoGradGuard no_grad;
  const auto mask = model::Mask::all();
  CHECK(grown.transformer.logits(grown.transformer.hidden(batch, mask), mask)
            .equal(base.transformer.logits(base.transformer.hidden(batch))));
}

TEST_CASE("a grown model is written with the extended tokenizer", "[trainer][vocabulary][loop]") {
  const TemporaryFolder run;
  TrainJob job = grown_job(run);
  job.train.trainable = GENERATE(as<std::string>{}, "all", "lora");
  train(job);
  const auto written = model::ModelFolder::open(job.output);
  const auto extended = tokenizer::Tokenizer::load(job.tokenizer);
  CHECK_FALSE(written.manifest.has_value());
  CHECK(written.config.vocab_rows == extended.size());
  CHECK(tokenizer::Tokenizer::load(job.output).hash() == extended.hash());
}

TEST_CASE("another tokenizer is refused, and so is an expanded model", "[trainer][vocabulary]") {
  const TemporaryFolder run;
  TrainJob job = grown_job(run);
  job.tokenizer = tiny_world().base;
  CHECK_THROWS_WITH(load_trainee(job), Catch::Contains("does not extend"));
  job = grown_job(run);
  job.model = tiny_world().expanded;
  CHECK_THROWS_WITH(load_trainee(job), Catch::Contains("expanded"));
}

TEST_CASE("a model with fewer rows than its tokenizer has tokens does not grow",
          "[trainer][vocabulary]") {
  const TemporaryFolder run;
  TrainJob job = grown_job(run);
  const auto own = tokenizer::Tokenizer::load(job.model);
  const auto extended = tokenizer::Tokenizer::load(job.tokenizer);
  job.tokenizer.clear();
  Trainee base = load_trainee(job);
  model::ModelConfig config = base.transformer.config();
  config.vocab_rows = own.size() - 1;
  CHECK_THROWS_WITH(grow_vocabulary(own, extended, config, base.transformer.weights()),
                    Catch::Contains("fewer vocabulary rows"));
  CHECK_THROWS_AS(grown_layout(own, extended, own.size() - 1), ConfigError);
  CHECK(grown_layout(own, extended, own.size()).num_rows() == extended.size());
}

}  // namespace
}  // namespace polygraft::trainer
