// tests/trainer/budget_run_test.cpp: runs that do harm on purpose: what the budget then does to
// them.
#include <algorithm>
#include <catch2/catch.hpp>

#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "tests/trainer/run_files.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {
namespace {

using testing::metrics_of;
using testing::TemporaryFolder;

/// Additions all but unprotected at a high learning rate: old text gets worse fast. The budget lies
/// just above the harm that the untrained additions do, so that step 0 is inside it.
TrainJob harmful_job(const fs::path& run, const std::string& on_exceeded) {
  TrainJob job = testing::additions_job(run);
  job.train.protect.kl = 1e-6;
  job.train.protect.hinge = 1e-6;
  job.train.replay.fraction = 0.01;  // less than a row in a whole run
  job.train.optimizer.learning_rate = 0.05;
  job.train.budget->max_relative_bpb = 0.1;
  job.train.budget->on_exceeded = on_exceeded;
  return job;
}

std::vector<Json> probes_of(const fs::path& run_dir) {
  std::vector<Json> probes;
  for (const Json& line : metrics_of(run_dir)) {
    if (line.contains("probe")) probes.push_back(line);
  }
  return probes;
}

double highest(const Json& probe, const char* key) {
  return std::max(probe["probe"]["aa"][key].get<double>(), probe["probe"]["bb"][key].get<double>());
}
double worst_delta(const Json& probe) { return highest(probe, "delta_relative"); }

TEST_CASE("on_exceeded: stop ends the run and writes the weights inside the budget",
          "[trainer][budget]") {
  const TemporaryFolder run;
  const TrainJob job = harmful_job(run / "run", "stop");
  const TrainResult result = train(job);
  const std::vector<Json> probes = probes_of(job.run_dir);
  REQUIRE(worst_delta(probes.front()) < 0.1);
  CHECK(probes.back()["budget"]["action"] == "stop");
  CHECK(result.steps < 12);
  CHECK(result.within_budget == (result.best_step > 0));
  CHECK(result.best_step < result.steps);
  for (const auto& [language, line] : result.last_probe) CHECK(line.delta_relative <= 0.1);
  const fs::path checkpoint =
      job.run_dir / concat("checkpoint-", result.steps) / "state.json";  // not only at its end
  CHECK(read_json(checkpoint)["stopped"] == true);
}

TEST_CASE("best weights with a flipped bit are not written as the result", "[trainer][budget]") {
  const TemporaryFolder run;
  const TrainJob job = harmful_job(run / "run", "stop");
  const int64_t step = train(job).best_step;
  const fs::path tensors = job.run_dir / concat("best-", step) / "model.safetensors";
  const std::string written = sha256_file(tensors);
  testing::flip_last_bit(tensors);
  fs::remove_all(job.output);  // is to be written again
  CHECK_THROWS_WITH(train(job), Catch::Contains(tensors.string()) && Catch::Contains(written) &&
                                    Catch::Contains(sha256_file(tensors)) &&
                                    Catch::Contains(concat("checkpoints from step ", step)));
  CHECK_FALSE(fs::exists(job.output));
  testing::flip_last_bit(tensors);  // back
  const fs::path state = tensors.parent_path() / "state.json";
  const fs::path elsewhere = run / "state.json";
  fs::rename(state, elsewhere);
  CHECK_THROWS_WITH(train(job), Catch::Contains(state.string()));
  fs::rename(elsewhere, state);
  CHECK_NOTHROW(train(job));
}

TEST_CASE("on_exceeded: protect raises the weights, then returns to those inside the budget",
          "[trainer][budget]") {
  const TemporaryFolder run;
  TrainJob job = harmful_job(run / "run", "protect");
  job.train.optimizer.schedule = "constant";  // harm does not pass by itself
  job.train.probe.every_tokens = 128 * 2;
  const TrainResult result = train(job);
  std::vector<std::string> actions;
  double weight = 1.0, highest_weight = 1.0;
  for (const Json& probe : probes_of(job.run_dir)) {
    if (probe["step"] == result.steps) break;  // the end, where nothing is left to do
    actions.push_back(probe["budget"]["action"].get<std::string>());
    const auto now = probe["budget"]["multipliers"]["routing"].get<double>();
    const auto limit = probe["budget"]["limit"].get<double>();
    const bool is_exceeded = probe["step"] > 0 && highest(probe, "ci_low") > limit;
    if (probe["step"] > 0 && weight > 0.125) {
      CHECK((now > weight) == (highest(probe, "ci_high") > 0.75 * limit));
    }
    CHECK((actions.back() != "none") == is_exceeded);
    weight = now;
    highest_weight = std::max(highest_weight, weight);
  }
  const auto protect = std::find(actions.begin(), actions.end(), "protect");
  const auto rollback = std::find(actions.begin(), actions.end(), "rollback");
  REQUIRE(rollback != actions.end());
  CHECK(protect < rollback);
  CHECK(highest_weight > 1.0);
  CHECK(result.steps == 12);
  CHECK(result.within_budget);
}

TEST_CASE("the limit is the budget itself where the learning rate does not fall",
          "[trainer][budget]") {
  const TemporaryFolder run;
  TrainJob job = harmful_job(run / "run", "protect");
  job.train.optimizer.schedule = "constant";
  train(job);
  for (const Json& probe : probes_of(job.run_dir)) {
    if (probe.contains("budget")) CHECK(probe["budget"]["limit"] == 0.1);
  }
}

TEST_CASE("weights from before training are no result inside the budget", "[trainer][budget]") {
  const TemporaryFolder run;
  TrainJob job = harmful_job(run / "run", "protect");
  job.train.probe.every_tokens = job.train.tokens;
  job.train.optimizer.learning_rate = 10;
  const TrainResult result = train(job);
  CHECK(result.best_step == 0);
  CHECK_FALSE(result.blend);
  CHECK_FALSE(result.within_budget);
}

TEST_CASE("a budget needs an old language that is not learned", "[trainer][budget]") {
  const TemporaryFolder run;
  TrainJob job = harmful_job(run / "run", "protect");
  job.languages = {"aa", "bb", "cc"};
  CHECK_THROWS_WITH(train(job), Catch::Contains("no old language to hold it against"));
}

TEST_CASE("last weights beyond the budget are drawn back to those inside, as far as that takes",
          "[trainer][budget]") {
  const TemporaryFolder run;
  TrainJob job = harmful_job(run / "run", "protect");
  job.train.probe.every_tokens = job.train.tokens;  // the first and the last weights alone
  const TrainResult result = train(job);
  const std::vector<Json> probes = probes_of(job.run_dir);
  REQUIRE(probes.size() == 5);
  REQUIRE(highest(probes[0], "ci_high") <= 0.1);
  REQUIRE(highest(probes[1], "ci_high") > 0.1);
  double inside = 0;
  for (size_t i = 2; i < probes.size(); ++i) {
    const auto share = probes[i]["blend"]["share"].get<double>();
    CHECK(share > 0);
    CHECK(share < 1);
    if (highest(probes[i], "ci_high") <= 0.1) inside = std::max(inside, share);
  }
  REQUIRE(inside > 0);
  REQUIRE(result.blend);
  CHECK(result.blend->from_step == 0);
  CHECK(result.blend->share == inside);
  CHECK(result.within_budget);
  CHECK(result.best_step == result.steps);
  for (const char* language : {"aa", "bb"}) CHECK(result.last_probe.at(language).ci_high <= 0.1);
  CHECK(result.last_probe.at("cc").bits_per_byte <
        probes[0]["probe"]["cc"]["bits_per_byte"].get<double>());
}

}  // namespace
}  // namespace polygraft::trainer
