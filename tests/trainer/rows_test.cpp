// tests/trainer/rows_test.cpp: rows, batches and the order in which rows come.
#include "trainer/data/rows.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "core/json.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/data/training_data.h"

namespace polygraft::trainer {
namespace {

using testing::TemporaryFolder;
using testing::tiny_world;

constexpr int64_t kLongestRow = 16;

TokenShard shard_of(const TemporaryFolder& folder, const std::string& language) {
  return open_or_encode_shard(folder / (language + ".tokens"),
                              {tiny_world().folder / (language + ".txt")},
                              tokenizer::Tokenizer::load(tiny_world().tokenizer), language);
}

/// How often each position of a shard is covered by rows.
std::vector<int> coverage(const TokenShard& shard, const std::vector<Row>& rows) {
  std::vector<int> counts(static_cast<size_t>(shard.num_tokens()), 0);
  for (const Row& row : rows) {
    const auto first = static_cast<size_t>(row.data() - shard.ids().data());
    for (size_t i = 0; i < row.size(); ++i) ++counts[first + i];
  }
  return counts;
}

TEST_CASE("rows cover every token once and cross no document", "[trainer][rows]") {
  const TemporaryFolder folder;
  const TokenShard shard = shard_of(folder, "aa");
  const std::vector<Row> rows = cut_rows(shard, shard.num_documents(), kLongestRow);
  const std::vector<int> counts = coverage(shard, rows);
  CHECK(std::all_of(counts.begin(), counts.end(), [](int count) { return count == 1; }));
  int64_t document = 0;
  for (const Row& row : rows) {
    CHECK(row.size() <= kLongestRow);
    const int64_t first = row.data() - shard.ids().data();
    while (first >= shard.first_token(document) + shard.document_tokens(document)) ++document;
    CHECK(first + static_cast<int64_t>(row.size()) <=
          shard.first_token(document) + shard.document_tokens(document));
    const bool begins = first == shard.first_token(document);
    CHECK(row.before.has_value() == !begins);
    if (!begins) CHECK(*row.before == row.data()[-1]);
  }
}

TEST_CASE("a batch begins a document with the prefix, and what continues one with the token before",
          "[trainer][rows]") {
  const std::vector<int32_t> ids = {5, 6, 7, 8};
  std::vector<Row> rows = {Row(ids.data(), 3), Row(ids.data() + 3, 1)};
  CHECK(make_batch(rows, 1).inputs.ids_T.equal(at::tensor({1, 5, 6, 1}, at::kLong)));
  rows[1].before = 7;
  const TokenBatch batch = make_batch(rows, 1);
  CHECK(batch.inputs.ids_T.equal(at::tensor({1, 5, 6, 7}, at::kLong)));
  CHECK(batch.targets_P.equal(at::tensor({5, 6, 7, 8}, at::kLong)));
  CHECK(batch.is_first_T.equal(at::tensor({1, 0, 0, 1}).to(at::kBool)));
  CHECK(batch.inputs.lengths == std::vector<int64_t>{3, 1});
}

RowStream stream_of(const TemporaryFolder& folder, uint64_t seed) {
  std::vector<Row> rows;
  std::vector<TokenShard> shards;
  for (const char* language : {"aa", "bb"}) {
    shards.push_back(shard_of(folder, language));
    const auto cut = cut_rows(shards.back(), shards.back().num_documents(), kLongestRow);
    rows.insert(rows.end(), cut.begin(), cut.end());
  }
  return {"aa+bb", shards, rows, seed};
}

/// The rows of one epoch, as (address, length).
std::vector<std::pair<const int32_t*, size_t>> epoch_rows(RowStream& stream) {
  std::vector<std::pair<const int32_t*, size_t>> rows;
  const int64_t epoch = stream.position().epoch;
  while (stream.position().epoch == epoch) {
    // One row at a time: nothing is granted, so that a call never spans two epochs.
    for (const Row& row : stream.take(0)) rows.emplace_back(row.data(), row.size());
  }
  return rows;
}

TEST_CASE("every epoch holds every row once, in an order of its own", "[trainer][rows]") {
  const TemporaryFolder folder;
  RowStream stream = stream_of(folder, 17);
  auto first = epoch_rows(stream), second = epoch_rows(stream);
  CHECK(first != second);
  RowStream again = stream_of(folder, 17), other = stream_of(folder, 18);
  CHECK(epoch_rows(again).size() == first.size());
  CHECK(epoch_rows(other) != first);
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  CHECK(first == second);
  CHECK(std::adjacent_find(first.begin(), first.end()) == first.end());
}

TEST_CASE("what is granted is handed out exactly in the long run", "[trainer][rows]") {
  const TemporaryFolder folder;
  RowStream stream = stream_of(folder, 17);
  int64_t granted = 0, taken = 0;
  for (int step = 0; step < 50; ++step) {
    granted += 70;
    const std::vector<Row> rows = stream.take(70);
    taken += num_tokens(rows);
    CHECK(!rows.empty());
    CHECK(std::abs(granted - taken) < kLongestRow);
    CHECK(std::is_sorted(rows.begin(), rows.end(),
                         [](const Row& a, const Row& b) { return a.size() > b.size(); }));
  }
}

TEST_CASE("a stream continues where it was, also in a later epoch", "[trainer][rows]") {
  const TemporaryFolder folder;
  RowStream stream = stream_of(folder, 17);
  while (stream.position().epoch < 2) stream.take(100);
  const Json saved = stream.position().to_json();
  RowStream resumed = stream_of(folder, 17);
  resumed.seek(StreamPosition::from_json(saved, "state.json"));
  for (int i = 0; i < 5; ++i) {
    const auto expected = stream.take(100), found = resumed.take(100);
    REQUIRE(expected.size() == found.size());
    for (size_t row = 0; row < expected.size(); ++row) {
      CHECK(std::equal(expected[row].begin(), expected[row].end(), found[row].begin(),
                       found[row].end()));
    }
  }
  CHECK_THROWS_AS(resumed.seek({0, 1'000'000, 0}), ConfigError);
}

TEST_CASE("the probe's documents are the last ones and are never trained on", "[trainer][data]") {
  const TemporaryFolder run;
  const TrainJob job = testing::additions_job(run / "run");
  const LanguageRoles roles = resolve_roles(job);
  CHECK(roles.learned == std::vector<std::string>{"cc"});
  CHECK(roles.replayed == std::vector<std::string>{"aa", "bb"});
  const auto tokenizer = tokenizer::Tokenizer::load(job.model);
  TrainingData data = prepare_data(job, roles, tokenizer, tokenizer.size());
  const auto documents = tokenizer::read_documents({tiny_world().folder / "cc.txt"});
  const auto& held_back = data.probe_texts.at("cc");
  REQUIRE(!held_back.empty());
  CHECK(held_back.back().text == documents.back().text);
  int64_t trained = 0;
  for (size_t i = 0; i + held_back.size() < documents.size(); ++i) {
    trained += static_cast<int64_t>(tokenizer.encode(documents[i].text).size());
  }
  CHECK(num_tokens(data.learned.rows()) == trained);
}

TEST_CASE("ids beyond the model's rows, and unknown languages, are refused", "[trainer][data]") {
  const TemporaryFolder run;
  TrainJob job = testing::additions_job(run / "run");
  const auto tokenizer = tokenizer::Tokenizer::load(job.model);
  CHECK_THROWS_AS(prepare_data(job, resolve_roles(job), tokenizer, 100), ConfigError);
  job.languages = {"zz"};
  CHECK_THROWS_WITH(resolve_roles(job), Catch::Contains("zz") && Catch::Contains("aa, bb, cc"));
}

TEST_CASE("from scratch nothing is replayed or guarded", "[trainer][data]") {
  const TemporaryFolder run;
  const LanguageRoles roles = resolve_roles(testing::scratch_job(run / "run"));
  CHECK(roles.learned == std::vector<std::string>{"aa", "bb"});
  CHECK(roles.replayed.empty());
  CHECK(roles.guarded.empty());
}

}  // namespace
}  // namespace polygraft::trainer
