// tests/cli/evaluate_test.cpp: where an evaluation keeps what it has, and that its results then
// stand in their place.
#include "cli/evaluate.h"

#include <catch2/catch.hpp>

#include "core/file.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::cli;

TEST_CASE("an evaluation that has scored nothing leaves nothing, whatever its name", "[cli]") {
  const testing::TemporaryFolder folder;
  for (const bool has_scores : {false, true}) {
    {
      const EvaluationOutput output(folder.path() / "bpb.scores", false);
      if (has_scores)
        write_file_atomically(folder.path() / "bpb.scores.unfinished" / "bpb_en.scores.router", "");
    }
    CHECK(fs::exists(folder.path() / "bpb.scores.unfinished") == has_scores);
    CHECK_FALSE(fs::exists(folder.path() / "bpb.scores"));
  }
}

TEST_CASE("a slash behind an evaluation's output changes nothing", "[cli]") {
  const testing::TemporaryFolder folder;
  const fs::path results = folder.path() / "results";
  for (const bool replace : {false, true}) {
    EvaluationOutput output(results / (replace ? "." : ""), replace);
    CHECK(fs::exists(folder.path() / "results.unfinished"));
    CHECK(fs::exists(results) == replace);
    write_file_atomically(output.path() / "results.json", "{}");
    output.commit();
    CHECK(read_file(results / "results.json") == "{}");
    CHECK_FALSE(fs::exists(folder.path() / "results.unfinished"));
  }
}
