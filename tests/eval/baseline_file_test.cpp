// tests/eval/baseline_file_test.cpp: a baseline that a repository keeps.
#include "eval/baseline_file.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.h"
#include "core/text.h"
#include "eval/compare.h"
#include "eval/roles.h"
#include "eval/sources.h"
#include "tests/eval/comparison_fixture.h"
#include "tests/eval/fixture.h"

namespace polygraft::eval {

TEST_CASE("a baseline file compares as the folder it was written from", "[eval][baseline]") {
  const TemporaryFolder temporary;
  const fs::path file = temporary.path() / "baseline.json";
  const ResultFolder folder = read_result_folder(fixture_path("lm_eval/baseline"));
  const ResultFolder candidate = read_result_folder(fixture_path("lm_eval/candidate"));
  write_baseline(folder, file);
  const ResultFolder read = read_result_folder(file);
  const GateConfig gate = {.min_documents = 2};
  const Json expected = compare_results(folder, candidate, gate).to_json();
  CHECK(compare_results(read, candidate, gate).to_json() == expected);
  CHECK(expected["tests"].size() == 2);
}

TEST_CASE("a baseline file is the same for the same samples, a line for each", "[eval][baseline]") {
  const TemporaryFolder temporary;
  const auto text = [&](const ResultFolder& folder) {
    write_baseline(folder, temporary.path() / "baseline.json");
    return read_file(temporary.path() / "baseline.json");
  };
  ResultFolder folder = bpb_folders({{"de", {}}, {"es", {}}}).first;
  folder.results["polygraft"]["languages"]["es"]["role"] = "new";
  const std::string before = text(folder);
  CHECK(stated_roles(read_result_folder(temporary.path() / "baseline.json").results) ==
        std::map<std::string, std::string>{{"es", "new"}});
  CHECK(before == text(read_result_folder(temporary.path() / "baseline.json")));
  CHECK(parse_json(before, "baseline.json")["polygraft_baseline"] == kBaselineSchema);
  bpb_samples(folder, "es")[7].values[0] += 1;
  const auto lines = split(before, '\n'), changed = split(text(folder), '\n');
  REQUIRE(lines.size() == changed.size());
  int differ = 0;
  for (size_t i = 0; i < lines.size(); ++i) differ += lines[i] != changed[i] ? 1 : 0;
  CHECK(differ == 1);
}

TEST_CASE("a baseline file says which revision of a model it is of", "[eval][baseline]") {
  const TemporaryFolder temporary;
  const fs::path file = temporary.path() / "baseline.json";
  for (const char* key : {"model_sha", "model_revision"}) {
    ResultFolder repeat = read_result_folder(fixture_path("lm_eval/baseline"));
    repeat.results["config"][key] = "one";
    write_baseline(repeat, file);
    const OrderedJson kept = read_result_folder(file).results;
    CHECK(model_difference(kept, repeat.results).empty());
    repeat.results["config"][key] = "another";
    CHECK(model_difference(kept, repeat.results) == "revision: 'one' and 'another'");
  }
}

TEST_CASE("a metric that a sample lacks, and no samples at all, survive", "[eval][baseline]") {
  const TemporaryFolder temporary;
  ResultFolder folder = bpb_folders({{"de", {}}}).first;
  bpb_samples(folder, "de")[2].values[0] = std::nan("");
  write_baseline(folder, temporary.path() / "b.json");
  const ResultFolder read = read_baseline(temporary.path() / "b.json");
  CHECK(std::isnan(read.tasks.at(bpb_key("de")).samples[2].values[0]));
  write_baseline({}, temporary.path() / "empty.json");
  CHECK(read_baseline(temporary.path() / "empty.json").tasks.empty());
}

TEST_CASE("other files and other schemas are not comparable", "[eval][baseline]") {
  const TemporaryFolder temporary;
  const fs::path file = temporary.path() / "baseline.json";
  const auto error_of = [&](const std::string& text) -> std::string {
    write_file_atomically(file, text);
    try {
      read_result_folder(file);
    } catch (const Error& error) {
      CHECK(error.exit_code() == ExitCode::kNotComparable);
      return error.what();
    }
    return "";
  };
  CHECK_THAT(error_of("{\"polygraft_baseline\": 2}"), Catch::Contains("found:    2"));
  CHECK_THAT(error_of("{}"), Catch::Contains("neither a result folder nor a baseline"));
  CHECK_THAT(error_of("[1]"), Catch::Contains("neither a result folder nor a baseline"));
  CHECK_THAT(error_of("{\"polygraft_baseline\": 1"), Catch::Contains("broken"));
  const std::string head =
      "{\"polygraft_baseline\": 1, \"results\": {}, \"tasks\": {\"t\": {\"none\": ";
  CHECK_THAT(
      error_of(head +
               "{\"metrics\": [\"acc\"], \"samples\": {\"0\": [\"1\", \"2\", \"3\", \"4\"]}}}}}"),
      Catch::Contains("sample 0 has the wrong length"));
  CHECK_THAT(
      error_of(
          head +
          "{\"metrics\": [\"acc\"], \"samples\": {\"0\": [\"1\", \"2\", \"3\", \"4\", \"x\"]}}}}}"),
      Catch::Contains("no number at 4"));
}

}  // namespace polygraft::eval
