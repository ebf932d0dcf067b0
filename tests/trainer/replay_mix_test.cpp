// tests/trainer/replay_mix_test.cpp: how shares follow harm, and that rows follow shares.
#include "trainer/data/replay_mix.h"

#include <catch2/catch.hpp>
#include <map>

#include "core/error.h"
#include "tests/trainer/run_files.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/data/training_data.h"

namespace polygraft::trainer {
namespace {

using testing::metrics_of;
using testing::TemporaryFolder;
using testing::tiny_world;

constexpr int64_t kSequenceLength = 16;

/// aa's and bb's text, each a stream of its own, or one of both.
struct Streams {
  TemporaryFolder folder;
  std::map<std::string, TokenShard> shards;

  Streams() {
    for (const char* language : {"aa", "bb"}) {
      shards.emplace(language, open_or_encode_shard(
                                   folder / (std::string(language) + ".tokens"),
                                   {tiny_world().folder / (std::string(language) + ".txt")},
                                   tokenizer::Tokenizer::load(tiny_world().tokenizer), language));
    }
  }
  RowStream stream(const std::string& language) const {
    const TokenShard& shard = shards.at(language);
    return {language, {shard}, cut_rows(shard, shard.num_documents(), kSequenceLength), 17};
  }
  ReplayMix mix() const {
    std::map<std::string, RowStream> streams;
    for (const char* language : {"aa", "bb"}) streams.emplace(language, stream(language));
    return ReplayMix(std::move(streams));
  }
  /// Tokens of rows by language.
  std::map<std::string, int64_t> count(const std::vector<Row>& rows) const {
    std::map<std::string, int64_t> tokens;
    for (const Row& row : rows) {
      const TokenShard& aa = shards.at("aa");
      const bool is_aa =
          row.data() >= aa.ids().data() && row.data() < aa.ids().data() + aa.num_tokens();
      tokens[is_aa ? "aa" : "bb"] += static_cast<int64_t>(row.size());
    }
    return tokens;
  }
};

bool same_rows(const std::vector<Row>& a, const std::vector<Row>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Row& x, const Row& y) {
    return x.data() == y.data() && x.size() == y.size();
  });
}

TEST_CASE("shares follow harm, and nobody is left out", "[trainer][replay]") {
  const Streams streams;
  ReplayMix mix = streams.mix();
  for (const auto& [rise, expected] : {std::pair{0.03, 0.75 * 0.75 + 0.125}, {-0.5, 0.125}}) {
    const auto shares = mix.follow({{"aa", rise}, {"bb", 0.01}, {"cc", 0.9}});
    CHECK(shares.at("aa") == Approx(expected));
    CHECK(shares.at("bb") == Approx(1 - expected));
  }
  CHECK(mix.follow({{"aa", -0.1}, {"bb", 0.0}}).at("aa") == 0.5);  // nobody was harmed
}

TEST_CASE("rows come by shares, and no more than is granted", "[trainer][replay]") {
  const Streams streams;
  ReplayMix mix = streams.mix();
  const double rise = GENERATE(0.0, 0.01, 0.3);
  const double share = mix.follow({{"aa", rise}, {"bb", 0.01}}).at("aa");
  int64_t granted = 0;
  std::map<std::string, int64_t> taken;
  for (int step = 0; step < 60; ++step) {
    granted += 70;
    for (const auto& [language, tokens] : streams.count(mix.take(70))) {
      taken[language] += tokens;
    }
    CHECK(taken["aa"] + taken["bb"] <= granted);
    CHECK(granted - taken["aa"] - taken["bb"] < kSequenceLength);
    const double expected = share * static_cast<double>(granted);
    CHECK(std::abs(static_cast<double>(taken["aa"]) - expected) <= 2 * kSequenceLength);
  }
}

TEST_CASE("one stream alone is handed out as it would be by itself", "[trainer][replay]") {
  const Streams streams;
  std::map<std::string, RowStream> one;
  one.emplace("aa", streams.stream("aa"));
  ReplayMix mix(std::move(one));
  RowStream stream = streams.stream("aa");
  for (int step = 0; step < 40; ++step) {
    const std::vector<Row> rows = mix.take(45);
    std::vector<Row> expected;
    while (expected.size() < rows.size()) expected.push_back(stream.pop());
    sort_longest_first(expected);
    CHECK(same_rows(rows, expected));
  }
}

TEST_CASE("a mix continues where it was", "[trainer][replay]") {
  const Streams streams;
  ReplayMix mix = streams.mix();
  mix.follow({{"aa", 0.7}, {"bb", 0.3}});
  for (int step = 0; step < 25; ++step) mix.take(61);
  ReplayMix resumed = streams.mix();
  resumed.restore(Json::parse(mix.to_json().dump()), "state.json");
  for (int step = 0; step < 10; ++step) CHECK(same_rows(mix.take(61), resumed.take(61)));
  CHECK_THROWS_AS(resumed.restore(Json::object(), "state.json"), Error);
}

TEST_CASE("a run with a budget replays by what its probes say, asked to by its text",
          "[trainer][replay][loop]") {
  const TemporaryFolder run;
  TrainJob job = testing::additions_job(run / "harm");
  train(job);
  int num_probes = 0;
  for (const Json& line : metrics_of(job.run_dir)) {
    if (!line.contains("probe")) continue;
    ++num_probes;
    const auto rise = [&](const char* language) {
      return std::max(line["probe"][language]["ci_high"].get<double>(), 0.0);
    };
    const double sum = rise("aa") + rise("bb");
    const double expected = sum > 0 ? 0.75 * rise("aa") / sum + 0.125 : 0.5;
    CHECK(line["replay_shares"]["aa"].get<double>() == Approx(expected));
    CHECK(line["replay_shares"]["bb"].get<double>() == Approx(1 - expected));
  }
  CHECK(num_probes > 2);
  job = testing::additions_job(run / "text");
  job.train.replay.mix = "text";
  train(job);
  for (const Json& line : metrics_of(job.run_dir)) CHECK_FALSE(line.contains("replay_shares"));
}

}  // namespace
}  // namespace polygraft::trainer
