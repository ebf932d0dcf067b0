// tests/eval/score_log_test.cpp: what a kill leaves of a log is read up to the last whole record.
#include "eval/score_log.h"

#include <catch2/catch.hpp>

#include "tests/eval/fixture.h"

namespace polygraft::eval {
namespace {

using Batches = std::vector<std::vector<double>>;

const Batches kBatches = {{1.25, -0.0, 1e300}, {}, {3}};

}  // namespace

TEST_CASE("a log gives back every batch, and grows", "[eval][score_log]") {
  const TemporaryFolder temporary;
  const fs::path file = temporary.path() / "a.scores";
  ScoreLog log(file, "key");
  CHECK_FALSE(fs::exists(file));  // nothing is written before there is something to keep
  for (const auto& batch : kBatches) log.append(batch);
  CHECK(ScoreLog(file, "key").batches() == kBatches);
  ScoreLog(file, "key").append({7});
  CHECK(ScoreLog(file, "key").batches().back() == std::vector<double>{7});
}

TEST_CASE("a log cut or damaged anywhere keeps the batches before that place",
          "[eval][score_log]") {
  const TemporaryFolder temporary;
  const fs::path file = temporary.path() / "a.scores";
  ScoreLog log(file, "key");
  for (const auto& batch : kBatches) log.append(batch);
  const std::string whole = read_file(file);
  size_t most = 0;
  for (size_t kept = 0; kept <= whole.size(); ++kept) {
    write_file_atomically(file, whole.substr(0, kept));
    const Batches read = ScoreLog(file, "key").batches();
    REQUIRE(std::equal(read.begin(), read.end(), kBatches.begin()));
    CHECK(read.size() >= most);
    most = read.size();
    ScoreLog(file, "key").append({9});  // what follows stands behind whole records
    CHECK(ScoreLog(file, "key").batches().size() == read.size() + 1);
  }
  CHECK(most == kBatches.size());
  for (size_t at = 4; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    write_file_atomically(file, damaged);
    const Batches read = ScoreLog(file, "key").batches();
    CHECK(read.size() < kBatches.size());
    CHECK(std::equal(read.begin(), read.end(), kBatches.begin()));
  }
}

TEST_CASE("a log of other work counts for nothing and is replaced", "[eval][score_log]") {
  const TemporaryFolder temporary;
  const fs::path file = temporary.path() / "a.scores";
  ScoreLog(file, "one").append({1});
  ScoreLog other(file, "two");
  CHECK(other.batches().empty());
  other.append({2});
  CHECK(ScoreLog(file, "two").batches() == Batches{{2}});
  CHECK(ScoreLog(file, "one").batches().empty());
}

}  // namespace polygraft::eval
