// tests/eval/results_files_test.cpp: which files of a result folder count.
#include "eval/results_files.h"

#include <catch2/catch.hpp>

#include "tests/eval/fixture.h"

namespace polygraft::eval {

TEST_CASE("what reading a result folder may read is listed", "[eval][results]") {
  const fs::path folder = fixture_path("lm_eval/baseline"), below = folder / "model0";
  const std::vector<fs::path> files = result_files(folder);
  CHECK(files.size() == 3);
  CHECK(result_files(below) == files);
  CHECK(result_files(files.front()) == files);
  CHECK(results_files(folder) == std::vector{files.front()});
  CHECK(samples_file(files.front(), "qa_en") == files.back());
  const TemporaryFolder temporary;
  CHECK(result_files(temporary / "absent").empty());
  CHECK(result_files(temporary.path()).empty());
  const fs::path baseline = temporary.write("baseline.json", "{}");
  CHECK(result_files(baseline) == std::vector{baseline});
}

}  // namespace polygraft::eval
