// tests/trainer/resume_test.cpp: a run that is killed and continued ends with the bytes of an
// uninterrupted one.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/stop.h"
#include "model/checkpoint/tensor_folder.h"
#include "tests/trainer/child.h"
#include "tests/trainer/run_files.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {
namespace {

using testing::file_hashes;
using testing::flip_last_bit;
using testing::metrics_of;
using testing::TemporaryFolder;

struct Killed {};

TrainJob job_of_mode(const std::string& mode, const fs::path& run) {
  TrainJob job = mode == "scratch" ? testing::scratch_job(run) : testing::additions_job(run);
  testing::set_mode(job, mode);
  if (mode == "none-but-router") {
    job.model = testing::tiny_world().base;
    job.train.trainable = mode;
    job.languages = {"cc"};
  }
  if (mode == "all" || mode == "lora" || mode == "none-but-router") job.train.budget.reset();
  return job;
}

/// Runs until `last_step` is done, then dies without a word.
void run_and_die(TrainJob job, int64_t last_step) {
  job.on_step = [=](int64_t step) {
    if (step == last_step) throw Killed();
  };
  CHECK_THROWS_AS(train(job), Killed);
}

TEST_CASE("killed at any step and continued, a run ends bit-identical", "[trainer][resume]") {
  const auto mode = GENERATE(as<std::string>{}, "additions", "scratch", "all", "lora", "rollback",
                             "self", "quoted", "none-but-router");
  const TemporaryFolder folder;
  const TrainJob whole = job_of_mode(mode, folder / "whole");
  const TrainResult expected = train(whole);
  const TrainJob killed = job_of_mode(mode, folder / "killed");
  for (const int64_t step : {2, 5, 8, 12}) run_and_die(killed, step);
  const TrainResult found = train(killed);
  INFO(mode);
  CHECK(file_hashes(killed.output) == file_hashes(whole.output));
  CHECK((expected.best_step > 0 || mode == "rollback"));
  CHECK(found.best_step == expected.best_step);
  CHECK(found.tokens == expected.tokens);
  const std::vector<Json> metrics = metrics_of(whole.run_dir);
  CHECK(metrics_of(killed.run_dir) == metrics);
  const bool rolled_back = std::any_of(metrics.begin(), metrics.end(), [](const Json& line) {
    return line.contains("budget") && line["budget"]["action"] == "rollback";
  });
  CHECK(rolled_back == (mode == "rollback"));
}

TEST_CASE("only as many checkpoints remain as are to be kept", "[trainer][resume]") {
  const TemporaryFolder folder;
  TrainJob job = testing::additions_job(folder / "run");
  job.train.checkpoint.every_tokens = 1;
  job.train.checkpoint.keep = 3;
  train(job);
  CHECK(testing::num_folders(job.run_dir, "checkpoint-") == 3);
  CHECK(testing::num_folders(job.run_dir, "best-") <= 4);
}

TEST_CASE("an older checkpoint without a state does not stop a run", "[trainer][resume]") {
  const TemporaryFolder folder;
  TrainJob job = testing::additions_job(folder / "run");
  job.train.checkpoint.keep = 1;
  run_and_die(job, 8);
  fs::create_directories(job.run_dir / "checkpoint-1");
  write_file_atomically(job.run_dir / "checkpoint-1" / "model.safetensors", "half");
  job.train.checkpoint.keep = 9;
  CHECK_NOTHROW(train(job));
}

TEST_CASE("what a save that was killed left goes with the next one, or as the run goes on",
          "[trainer][resume]") {
  const bool has_ended = GENERATE(false, true);  // killed in its last save, it has no next one
  const TemporaryFolder folder;
  const TrainJob job = testing::additions_job(folder / "run");
  if (has_ended) train(job);
  fs::remove_all(job.output);
  for (const char* name : {"checkpoint-7", "best-7"}) {
    fs::create_directories(job.run_dir / concat(name, ".polygraft-partial-1"));
    write_file_atomically(job.run_dir / concat(name, ".lock"), "process 1 on another");
  }
  const AtomicFolder alive(job.run_dir / "checkpoint-77", /*replace=*/false);
  train(job);
  CHECK(testing::num_folders(job.run_dir, "checkpoint-7.") == 0);
  CHECK(testing::num_folders(job.run_dir, "best-7.") == 0);
  CHECK(fs::exists(alive.path()));
}

TEST_CASE("a checkpoint of additions holds the trainable part alone", "[trainer][resume]") {
  const TemporaryFolder folder;
  const TrainJob job = testing::additions_job(folder / "run");
  train(job);
  const auto stored = model::TensorFolder::open(job.run_dir / "checkpoint-12");
  for (const std::string& name : stored.names()) CHECK_THAT(name, Catch::EndsWith(".added"));
  CHECK(stored.names().size() == 3 * (2 + 2 * 3));
}

TEST_CASE("a checkpoint of other settings is refused by key", "[trainer][resume]") {
  const TemporaryFolder folder;
  const TrainJob job = testing::additions_job(folder / "run");
  run_and_die(job, 8);
  TrainJob changed = job;
  changed.train.optimizer.learning_rate = 0.5;
  changed.train.protect.kl = 3;
  changed.seed = 18;
  CHECK_THROWS_WITH(train(changed), Catch::Contains("train.optimizer.learning_rate") &&
                                        Catch::Contains("train.protect.kl") &&
                                        Catch::Contains("seed") && !Catch::Contains("tokens"));
  TrainJob relaxed = job;
  relaxed.train.checkpoint.keep = 1;
  relaxed.train.checkpoint.every_tokens = 500;
  CHECK_NOTHROW(train(relaxed));
}

fs::path newest_checkpoint(const fs::path& run_dir) {
  int64_t newest = -1;
  for (const auto& entry : fs::directory_iterator(run_dir)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("checkpoint-"))
      newest = std::max<int64_t>(newest, std::stoll(name.substr(11)));
  }
  REQUIRE(newest >= 0);
  return run_dir / concat("checkpoint-", newest);
}

/// Writes a state with the hash of what it holds.
void write_sealed(const fs::path& file, Json state) {
  state.erase("sha256");
  state["sha256"] = sha256(state.dump());
  write_json(file, state);
}

TEST_CASE("a damaged checkpoint is named by its own file", "[trainer][resume]") {
  const TemporaryFolder folder;
  const TrainJob job = testing::additions_job(folder / "run");
  run_and_die(job, 8);
  const fs::path newest = newest_checkpoint(job.run_dir);
  Json state = read_json(newest / "state.json");
  state["budget"].erase("multipliers");
  write_sealed(newest / "state.json", state);
  CHECK_THROWS_WITH(train(job), Catch::Contains((newest / "state.json").string()) &&
                                    Catch::Contains("multipliers"));
}

TEST_CASE("a bit that flipped in a checkpoint is named, not trained from", "[trainer][resume]") {
  const TemporaryFolder folder;
  const TrainJob job = testing::additions_job(folder / "run");
  run_and_die(job, 8);
  const fs::path newest = newest_checkpoint(job.run_dir);
  const fs::path tensors = newest / "model.safetensors";
  const std::string written = sha256_file(tensors);
  SECTION("in its tensors") {
    flip_last_bit(tensors);
    CHECK_THROWS_WITH(train(job),
                      Catch::Contains("is damaged") && Catch::Contains(tensors.string()) &&
                          Catch::Contains(written) && Catch::Contains(sha256_file(tensors)) &&
                          Catch::Contains("remove this folder"));
  }
  SECTION("in its state") {
    Json state = read_json(newest / "state.json");
    state["num_updates"] = 6;
    write_json(newest / "state.json", state);
    CHECK_THROWS_WITH(train(job), Catch::Contains((newest / "state.json").string()) &&
                                      Catch::Contains("not the bytes that were written"));
  }
}

TEST_CASE("a damaged checkpoint that is kept keeps best weights, whichever it wants",
          "[trainer][resume]") {
  const bool is_damaged = GENERATE(false, true);
  const TemporaryFolder folder;
  TrainJob job = testing::additions_job(folder / "run");
  job.train.checkpoint.every_tokens = 1;
  job.train.checkpoint.keep = 99;
  run_and_die(job, 8);
  fs::create_directories(job.run_dir / "best-777");
  if (is_damaged) {
    const fs::path file = job.run_dir / "checkpoint-3" / "state.json";
    Json state = read_json(file);
    state["best"]["step"] = 1;
    write_json(file, state);
  }
  train(job);
  CHECK(fs::exists(job.run_dir / "best-777") == is_damaged);
}

TEST_CASE("a checkpoint of another version is refused as that", "[trainer][resume]") {
  const TemporaryFolder folder;
  const TrainJob job = testing::additions_job(folder / "run");
  run_and_die(job, 8);
  const fs::path file = newest_checkpoint(job.run_dir) / "state.json";
  Json state = read_json(file);
  state["format"] = 4;  // which had no hashes
  REQUIRE(state.erase("files") + state.erase("sha256") == 2);
  write_json(file, state);
  CHECK_THROWS_WITH(train(job), Catch::Contains("another version of this program") &&
                                    Catch::Contains("remove this folder"));
}

TEST_CASE("a checkpoint of other text or other weights is refused", "[trainer][resume]") {
  const TemporaryFolder folder;
  TrainJob job = testing::additions_job(folder / "run");
  run_and_die(job, 8);
  const fs::path text = folder / "cc.txt";
  write_file_atomically(text, testing::invented_text("cc", 100));
  job.corpus.languages["cc"].train = {text.string()};
  CHECK_THROWS_WITH(train(job), Catch::Contains("text of cc"));
  TrainJob scratch = testing::scratch_job(folder / "scratch");
  run_and_die(scratch, 8);
  scratch.scratch->num_layers = 1;
  CHECK_THROWS_WITH(train(scratch), Catch::Contains("weights at the start"));
}

TEST_CASE("a checkpoint of another config.json is refused by key", "[trainer][resume]") {
  const TemporaryFolder folder;
  TrainJob job = testing::additions_job(folder / "run");
  fs::copy(job.model, folder / "model", fs::copy_options::recursive);
  job.model = folder / "model";
  run_and_die(job, 8);
  const fs::path file = job.model / "config.json";
  Json config = read_json(file);
  config["num_experts_per_tok"] = 1;
  write_json(file, config);
  CHECK_THROWS_WITH(train(job), Catch::Contains("num_experts_per_tok (was 2, is 1)") &&
                                    !Catch::Contains("hidden_size"));
}

TEST_CASE("a damaged checkpoint is an error, not a silent start", "[trainer][resume]") {
  const TemporaryFolder folder;
  const TrainJob job = testing::additions_job(folder / "run");
  run_and_die(job, 8);
  const fs::path file = newest_checkpoint(job.run_dir) / "model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 8);
  CHECK_THROWS_AS(train(job), FormatError);
}

/// What the child process of the next test does: trains, and sends itself a signal after step 5.
constexpr const char* kChild = "child: train until a signal";
TEST_CASE(kChild, "[.child]") {
  const int signal_number = testing::child_value();
  install_stop_handlers();
  TrainJob job = testing::additions_job(testing::child_folder());
  job.on_step = [=](int64_t step) {
    if (step == 5) raise(signal_number);
  };
  try {
    train(job);
  } catch (const Interrupted& interrupted) {
    _exit(128 + interrupted.signal_number());
  }
}

TEST_CASE("after SIGTERM or SIGKILL the same job continues to the same bytes",
          "[trainer][resume]") {
  const TemporaryFolder folder;
  const TrainJob whole = testing::additions_job(folder / "whole");
  train(whole);
  const int signal_number = GENERATE(SIGTERM, SIGKILL);
  const TrainJob job = testing::additions_job(folder / "run");
  CHECK(testing::run_test_case_in_child(kChild, job.run_dir, signal_number) == 128 + signal_number);
  CHECK_FALSE(fs::exists(job.output));
  // A signal that can be caught leaves a checkpoint of the very step.
  CHECK(fs::exists(job.run_dir / "checkpoint-5") == (signal_number == SIGTERM));
  train(job);
  CHECK(file_hashes(job.output) == file_hashes(whole.output));
}

}  // namespace
}  // namespace polygraft::trainer
