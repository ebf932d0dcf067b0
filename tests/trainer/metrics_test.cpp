// tests/trainer/metrics_test.cpp: metrics.jsonl read back, whole and cut.
#include "trainer/metrics.h"

#include <catch2/catch.hpp>
#include <vector>

#include "core/json.h"
#include "tests/core/temporary_folder.h"

namespace polygraft::trainer {
namespace {

struct Read {
  std::vector<int> steps;
  bool is_whole = false;
};

Read read(const fs::path& file) {
  Read out;
  out.is_whole = for_each_metrics_line(file, [&](const Json& line, const fs::path& where) {
    out.steps.push_back(json_get<int>(line, "step", where));
  });
  return out;
}

}  // namespace

TEST_CASE("a last line that is cut off is left out; another broken one is an error", "[trainer]") {
  const testing::TemporaryFolder folder;
  const fs::path file = folder / "metrics.jsonl";
  CHECK(read(file).is_whole);  // there is none
  MetricsFile metrics(file, 0);
  for (int step = 1; step <= 3; ++step) metrics.append({{"step", step}});
  CHECK(read(file).steps == std::vector{1, 2, 3});
  CHECK(read(file).is_whole);
  const std::string whole = read_file(file);
  folder.write("metrics.jsonl", whole.substr(0, whole.size() - 3));
  CHECK(read(file).steps == std::vector{1, 2});
  CHECK_FALSE(read(file).is_whole);
  folder.write("metrics.jsonl", whole.substr(0, whole.size() - 1));  // a line without its end
  CHECK(read(file).steps == std::vector{1, 2, 3});
  CHECK(read(file).is_whole);
  folder.write("metrics.jsonl", whole + "{\n" + whole);
  CHECK_THROWS_WITH(read(file), Catch::Contains("metrics.jsonl:4"));
}

}  // namespace polygraft::trainer
