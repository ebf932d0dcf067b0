// tests/cli/stages_test.cpp: what a stage's key depends on.
#include <catch2/catch.hpp>

#include "cli/pipeline/pipeline.h"
#include "core/file.h"
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
