// tests/cli/training_folder_test.cpp: training of other settings is kept, and comes back, wherever
// an exchange was killed.
#include "cli/pipeline/training_folder.h"

#include <catch2/catch.hpp>

#include "core/file.h"
#include "core/json.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::cli;
using Catch::Matchers::Contains;

namespace {

struct RunFolder {
  testing::TemporaryFolder folder;
  fs::path dir = folder.path();
  ResolvedPipeline pipeline;

  RunFolder() {
    pipeline.config.run_dir = dir.string();
    pipeline.yaml = "{}\n";
  }
  void train(const std::string& key, int64_t tokens) {
    begin_training(pipeline, key);
    create_folders(dir / "training" / "checkpoint-1");
    write_json(dir / "training" / "checkpoint-1" / "state.json", Json{{"tokens", tokens}});
  }
  std::string change(const std::string& key) {
    FileHashes hashes(dir);
    return training_change(pipeline.config, key, hashes);
  }
  std::string key_of(const char* name) { return read_file(dir / name / "stage-key"); }
};

}  // namespace

TEST_CASE("training of other settings is set aside and found again", "[cli]") {
  RunFolder run;
  run.train("a", 1000);
  CHECK(run.change("a").empty());
  CHECK_THAT(run.change("b"),
             Contains("begins afresh") && Contains("1,000 tokens") && !Contains("deleted"));
  run.train("b", 2000);
  CHECK(run.key_of("training.before") == "a");
  CHECK_THAT(run.change("a"),
             Contains("goes on from the 1,000 tokens") && Contains("2,000 tokens"));
  CHECK_THAT(run.change("c"), Contains("1,000 tokens there are deleted"));
  begin_training(run.pipeline, "a");
  CHECK(run.key_of("training") == "a");
  CHECK(run.key_of("training.before") == "b");
}

TEST_CASE("the text that changed is named", "[cli]") {
  RunFolder run;
  const fs::path kept = run.folder.write("kept.txt", "old"),
                 text = run.folder.write("id.txt", "new");
  run.pipeline.config.languages["id"].train = {kept.string(), text.string(),
                                               (run.dir / "not-yet.jsonl").string()};
  run.train("a", 1000);
  write_file_atomically(text, "another");
  CHECK_THAT(run.change("b"),
             Contains("the content of " + text.string()) && !Contains(kept.string() + ")"));
}

TEST_CASE("training without a checkpoint is not worth keeping", "[cli]") {
  RunFolder run;
  run.train("a", 1000);
  begin_training(run.pipeline, "b");
  begin_training(run.pipeline, "c");
  CHECK(run.key_of("training.before") == "a");
}

TEST_CASE("an exchange that was killed is finished", "[cli]") {
  RunFolder run;
  run.train("a", 1000);
  run.train("b", 2000);
  fs::rename(run.dir / "training.before", run.dir / "training.swap");
  SECTION("after its first rename") {}
  SECTION("after its second") { fs::rename(run.dir / "training", run.dir / "training.before"); }
  begin_training(run.pipeline, "a");
  CHECK(run.key_of("training") == "a");
  CHECK(run.key_of("training.before") == "b");
  CHECK_FALSE(fs::exists(run.dir / "training.swap"));
}
