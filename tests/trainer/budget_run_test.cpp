// tests/trainer/budget_run_test.cpp: runs that do harm on purpose: what the budget then does to
// them.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/trainer/run_files.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {
namespace {

using testing::metrics_of;
using testing::TemporaryFolder;

/// Unprotected additions at a high learning rate: old text gets worse fast. The budget lies just
/// above the harm that the untrained additions do, so that step 0 is inside it.
TrainJob harmful_job(const fs::path& run, const std::string& on_exceeded) {
  TrainJob job = testing::additions_job(run);
  job.train.protect.method = "none";
  job.train.replay.fraction = 0;
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

double worst_delta(const Json& probe) {
  return std::max(probe["probe"]["aa"]["delta_relative"].get<double>(),
                  probe["probe"]["bb"]["delta_relative"].get<double>());
}

TEST_CASE("on_exceeded: stop ends the run and writes the weights inside the budget",
          "[trainer][budget]") {
  const TemporaryFolder run;
  const TrainJob job = harmful_job(run / "run", "stop");
  const TrainResult result = train(job);
  const std::vector<Json> probes = probes_of(job.run_dir);
  REQUIRE(worst_delta(probes.front()) < 0.1);
  CHECK(probes.back()["budget"]["action"] == "stop");
  CHECK(result.steps < 12);
  CHECK(result.within_budget);
  CHECK(result.best_step < result.steps);
  for (const auto& [language, line] : result.last_probe) CHECK(line.delta_relative <= 0.1);
}

TEST_CASE("on_exceeded: rollback returns to the weights inside the budget and goes on",
          "[trainer][budget]") {
  const TemporaryFolder run;
  const TrainJob job = harmful_job(run / "run", "rollback");
  const TrainResult result = train(job);
  const std::vector<Json> probes = probes_of(job.run_dir);
  const auto rolled_back = std::find_if(probes.begin(), probes.end(), [](const Json& probe) {
    return probe["budget"]["action"] == "rollback";
  });
  REQUIRE(rolled_back != probes.end());
  CHECK((*rolled_back)["budget"]["protection_scale"].get<double>() > 1.0);
  CHECK(result.steps == 12);
  CHECK(result.within_budget);
}

TEST_CASE("on_exceeded: protect raises the weights and keeps what was learned",
          "[trainer][budget]") {
  const TemporaryFolder run;
  const TrainJob job = harmful_job(run / "run", "protect");
  train(job);
  const std::vector<Json> probes = probes_of(job.run_dir);
  double scale = 1.0;
  for (const Json& probe : probes) {
    const bool raised = probe["budget"]["action"] == "protect";
    const auto now = probe["budget"]["protection_scale"].get<double>();
    CHECK((now > scale) == raised);
    scale = now;
  }
  CHECK(scale > 1.0);
}

}  // namespace
}  // namespace polygraft::trainer
