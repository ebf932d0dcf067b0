// tests/cli/stages_test.cpp: what a stage's key depends on, and whether it is done.
#include <catch2/catch.hpp>

#include "cli/pipeline/pipeline.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/text.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::cli;

namespace {

/// Keys by stage of a run over two languages, of which `new_language` is the new one.
std::map<std::string, std::string> keys_of(const fs::path& folder,
                                           const std::string& new_language) {
  ResolvedPipeline pipeline;
  pipeline.config.run_dir = (folder / "run").string();
  pipeline.config.base = (folder / "base").string();
  pipeline.new_language = new_language;
  for (const std::string language : {"aa", "bb"}) {
    const std::string file = (folder / language).string();
    pipeline.corpus.languages[language] = {
        .role = language == new_language ? "new" : "old", .train = {file}, .heldout = {file}};
  }
  FileHashes hashes(pipeline.config.run_dir);
  std::map<std::string, std::string> keys;
  for (const Stage& stage : make_stages(pipeline, hashes, nullptr)) keys[stage.name] = stage.key;
  return keys;
}

}  // namespace

TEST_CASE("another new language leaves no stage as it was", "[cli][stages]") {
  const testing::TemporaryFolder folder;
  for (const char* name : {"base", "aa", "bb"}) write_file_atomically(folder / name, name);
  const auto one = keys_of(folder.path(), "aa"), other = keys_of(folder.path(), "bb");
  REQUIRE(one.contains("evaluate-base"));
  for (const auto& [stage, key] : one) {
    INFO(stage);
    CHECK(other.at(stage) != key);
  }
  CHECK(keys_of(folder.path(), "aa") == one);
}

TEST_CASE("a stage of whose files one is gone is done again", "[cli][stages]") {
  const testing::TemporaryFolder folder;
  const fs::path run_dir = folder.path() / "run", stage_folder = run_dir / "stages" / "graft";
  const Stage stage{
      .name = "graft", .key = "key", .outputs = {stage_folder}, .run = [](const fs::path& into) {
        create_folders(into / "model");
        write_file_atomically(into / "plan.json", "{}");
        write_file_atomically(into / "model" / "config.json", "{}");
      }};
  FileHashes hashes(run_dir);
  create_folders(run_dir / "stages");
  for (const char* gone : {"plan.json", "model", "model/config.json"}) {
    CAPTURE(gone);
    run_stage(stage, run_dir, parallel::Team(nullptr), hashes);
    REQUIRE(stage_is_done(stage, run_dir, hashes));
    const std::string hash = sha256("{}");
    CHECK(read_json(stage_folder / "stamp.json").at("files") ==
          Json{{"model/config.json", hash}, {"plan.json", hash}});
    fs::remove_all(stage_folder / gone);
    CHECK_FALSE(stage_is_done(stage, run_dir, hashes));
    CHECK(changed_output(stage, run_dir, hashes).starts_with("stages/graft/"));
  }
  for (const char* changed : {"plan.json", "model/config.json"}) {
    CAPTURE(changed);
    run_stage(stage, run_dir, parallel::Team(nullptr), hashes);
    REQUIRE(stage_is_done(stage, run_dir, hashes));
    write_file_atomically(stage_folder / changed, "{ }");
    CHECK(changed_output(stage, run_dir, hashes) == concat("stages/graft/", changed));
  }
  for (const char* damaged : {"{", "[]", ""}) {
    run_stage(stage, run_dir, parallel::Team(nullptr), hashes);
    write_file_atomically(stage_folder / "stamp.json", damaged);
    CHECK_FALSE(stage_is_done(stage, run_dir, hashes));
  }
}

TEST_CASE("remembered hashes that somebody edited are made again", "[cli][stages]") {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "file", "text");
  const auto hash_of = [&](const std::string& remembered) {
    if (!remembered.empty()) write_file_atomically(folder / "file-hashes.json", remembered);
    FileHashes hashes(folder.path());
    const std::string hash = hashes.of(folder / "file");
    hashes.save();
    return hash;
  };
  const std::string hash = hash_of("");
  Json edited = read_json(folder / "file-hashes.json");
  for (const Json& other : {Json(1), Json::object(), Json()}) {
    for (const char* key : {"sha256", "version"}) {
      edited[(folder / "file").string()][key] = other;
      CHECK(hash_of(edited.dump()) == hash);
    }
    CHECK(hash_of(other.dump()) == hash);
  }
  CHECK(hash_of("{") == hash);
}

TEST_CASE("a base may have files whose names are no UTF-8", "[cli][stages]") {
  const testing::TemporaryFolder folder;
  const fs::path base = folder / "base", odd = base / "caf\xe9.md";
  create_folders(base);
  write_file_atomically(base / "config.json", "{}");
  write_file_atomically(odd, "one");
  FileHashes hashes(folder / "run");
  const std::string before = hashes.of(base);
  create_folders(folder / "run");
  hashes.save();
  write_file_atomically(odd, "two");
  CHECK(FileHashes(folder / "run").of(base) != before);
}
