// tests/trainer/estimate_test.cpp: what is promised before a run against what the run takes.
#include <catch2/catch.hpp>
#include <fstream>

#include "core/file.h"
#include "tests/trainer/child.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {
namespace {

using testing::tiny_world;

TEST_CASE("an estimate counts exactly what trains", "[trainer][estimate]") {
  const testing::TemporaryFolder run;
  const TrainEstimate estimate = estimate_training(testing::additions_job(run / "run"));
  CHECK(estimate.steps == 12);
  const auto folder = model::ModelFolder::open(tiny_world().expanded);
  const int64_t experts = 2 * 2 * (3 * 16 * 16 + 16);
  CHECK(estimate.trainable_parameters == experts + 2 * 16 * folder.num_added_vocab_rows());
  const TrainEstimate scratch = estimate_training(testing::scratch_job(run / "scratch"));
  CHECK(scratch.trainable_parameters ==
        model::count_parameters(model::ModelFolder::open(tiny_world().base).config).total);
}

/// Large enough that neither the program itself nor one matrix decides.
TrainJob sizeable_job(const fs::path& run) {
  TrainJob job = testing::scratch_job(run);
  job.scratch->hidden_size = 192;
  job.scratch->num_layers = 4;
  job.scratch->num_heads = 6;
  job.scratch->num_kv_heads = 3;
  job.scratch->head_dim = 32;
  job.scratch->expert_width = 192;
  job.scratch->num_experts = 8;
  job.train.batch_tokens = 2048;
  job.train.tokens = 2 * 2048;
  return job;
}

int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "VmHWM:") continue;
    int64_t kibibytes = 0;
    status >> kibibytes;
    return kibibytes << 10;
  }
  return 0;
}

TEST_CASE("child: peak memory of a run", "[.child]") {
  const fs::path run = testing::child_folder();
  train(sizeable_job(run));
  write_file_atomically(run.parent_path() / "peak", std::to_string(peak_resident_bytes()));
}

TEST_CASE("the estimated peak memory is that of a run within half", "[trainer][estimate]") {
  const testing::TemporaryFolder folder;
  REQUIRE(testing::run_test_case_in_child("child: peak memory of a run", folder / "run", 0) == 0);
  const auto measured = static_cast<double>(std::stoll(read_file(folder / "peak")));
  const auto estimated =
      static_cast<double>(estimate_training(sizeable_job(folder / "run")).peak_memory_bytes);
  INFO("estimated " << estimated << ", measured " << measured);
  CHECK(estimated > measured / 1.5);
  CHECK(estimated < measured * 1.5);
}

}  // namespace
}  // namespace polygraft::trainer
