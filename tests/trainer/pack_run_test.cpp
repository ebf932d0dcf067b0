// tests/trainer/pack_run_test.cpp: a pack trained on its base, without the sum ever being written.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "expand/packs/stored_pack.h"
#include "tests/trainer/run_files.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {
namespace {

using testing::metrics_of;
using testing::TemporaryFolder;
using testing::tiny_world;

void pack_of(const fs::path& expanded, const fs::path& out) {
  const auto folder = model::ModelFolder::open(expanded);
  expand::write_pack(expand::find_pack(folder, "cc"), out);
}

TrainJob pack_job(const fs::path& run, const fs::path& pack) {
  TrainJob job = testing::additions_job(run);
  job.model = tiny_world().base;
  job.pack = pack;
  job.output = run / "pack";
  return job;
}

void check_same_pack(const fs::path& one, const fs::path& other) {
  for (const char* file : {expand::kPackFile, expand::kPackTensors}) {
    CHECK(read_file(one / file) == read_file(other / file));
  }
}

TEST_CASE("a pack trained on its base is the pack of the trained sum", "[trainer][pack][loop]") {
  const TemporaryFolder folder;
  pack_of(tiny_world().expanded, folder / "start");
  const TrainJob sum = testing::additions_job(folder / "sum");
  const TrainJob alone = pack_job(folder / "alone", folder / "start");
  CHECK(estimate_training(alone).trainable_parameters ==
        estimate_training(sum).trainable_parameters);
  train(sum);
  train(alone);
  CHECK(metrics_of(alone.run_dir) == metrics_of(sum.run_dir));
  pack_of(sum.output, folder / "of-sum");
  check_same_pack(alone.output, folder / "of-sum");
  CHECK(read_file(alone.output / expand::kPackTensors) !=
        read_file(folder / "start" / expand::kPackTensors));
}

TEST_CASE("killed and continued, training a pack ends bit-identical", "[trainer][pack][resume]") {
  const TemporaryFolder folder;
  pack_of(tiny_world().expanded, folder / "start");
  const TrainJob whole = pack_job(folder / "whole", folder / "start");
  train(whole);
  TrainJob killed = pack_job(folder / "killed", folder / "start");
  killed.on_step = [](int64_t step) {
    if (step == 7) throw std::runtime_error("killed");
  };
  CHECK_THROWS_WITH(train(killed), "killed");
  CHECK_FALSE(fs::exists(killed.output));
  killed.on_step = nullptr;
  train(killed);
  check_same_pack(killed.output, whole.output);
}

TEST_CASE("a pack trains on its own base alone", "[trainer][pack]") {
  const TemporaryFolder folder;
  pack_of(tiny_world().expanded, folder / "start");
  TrainJob expanded = pack_job(folder / "run", folder / "start");
  expanded.model = tiny_world().expanded;
  CHECK_THROWS_WITH(train(expanded), Catch::Contains("this model has packs"));
  TrainJob other = testing::scratch_job(folder / "other");
  other.train.tokens = other.train.batch_tokens;
  train(other);
  TrainJob mismatched = pack_job(folder / "run", folder / "start");
  mismatched.model = other.output;
  CHECK_THROWS_AS(train(mismatched), NotComparable);
  CHECK_FALSE(fs::exists(mismatched.output));
}

}  // namespace
}  // namespace polygraft::trainer
