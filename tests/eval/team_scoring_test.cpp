// tests/eval/team_scoring_test.cpp: several ranks score what one process scores, bit for bit.
#include <ATen/Parallel.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <limits>

#include "core/error.h"
#include "core/file.h"
#include "eval/scoring.h"
#include "tests/eval/small_model.h"
#include "tests/model/parallel/in_process.h"
#include "tests/model/parallel/patience.h"

namespace polygraft::eval {
namespace {

using Scores = std::vector<DocumentScore>;

Scores score_alone(const model::Transformer& transformer, const ScoreOptions& options) {
  return score_documents(transformer, byte_tokenizer(), documents(), options);
}

/// @return what each rank has.
std::vector<Scores> score_on(int num_ranks, const model::Transformer& transformer,
                             const ScoreOptions& options) {
  std::vector<Scores> scores(static_cast<size_t>(num_ranks));
  parallel::run_in_threads(num_ranks, testing::kPatience, [&](parallel::Communicator& world) {
    ScoreOptions own = options;
    own.team = parallel::Team(&world);
    scores[static_cast<size_t>(world.rank())] = score_alone(transformer, own);
  });
  return scores;
}

bool same_scores(const Scores& a, const Scores& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.id == y.id && x.nats == y.nats && x.nats_by_position == y.nats_by_position &&
           x.head_masked_nats == y.head_masked_nats && x.leaked_mass == y.leaked_mass;
  });
}

}  // namespace

TEST_CASE("any number of ranks gives the scores of one process, bit for bit",
          "[eval][scoring][parallel]") {
  const model::Transformer transformer = grown_moe();
  // One batch leaves ranks without work; small ones are many.
  const ScoreOptions options{.batch_tokens = GENERATE(50, 100000),
                             .head_masked_too = GENERATE(false, true)};
  const Scores expected = score_alone(transformer, options);
  for (const int num_ranks : {2, 3, 5}) {
    INFO(num_ranks << " ranks, batches of " << options.batch_tokens);
    for (const Scores& scores : score_on(num_ranks, transformer, options))
      CHECK(same_scores(scores, expected));
  }
}

TEST_CASE("batches are shared out evenly, and each is computed once", "[eval][scoring][parallel]") {
  const model::Transformer transformer = grown_moe();
  std::atomic<int64_t> alone{0};
  ScoreOptions options{.batch_tokens = 50};
  options.observer = [&](const model::RouterTap&) { ++alone; };
  score_alone(transformer, options);
  std::array<std::atomic<int64_t>, 3> taps{};
  std::atomic<int64_t> num_foreign{0};
  parallel::run_in_threads(3, testing::kPatience, [&](parallel::Communicator& world) {
    ScoreOptions own{.batch_tokens = 50};
    own.team = parallel::Team(&world);
    own.observer = [&](const model::RouterTap& tap) {
      num_foreign += tap.batch % 3 != static_cast<size_t>(world.rank());
      ++taps[static_cast<size_t>(world.rank())];
    };
    score_alone(transformer, own);
  });
  CHECK(num_foreign == 0);
  CHECK(taps[0] + taps[1] + taps[2] == alone);
  CHECK(taps[0] - taps[2] <= transformer.config().num_layers);
}

TEST_CASE("a killed evaluation continues on any number of ranks", "[eval][scoring][parallel]") {
  const TemporaryFolder temporary;
  const model::Transformer transformer = grown_moe();
  ScoreOptions options{.batch_tokens = 50, .head_masked_too = GENERATE(false, true)};
  options.log = temporary.path() / "bpb.scores";
  options.log_key = "model";
  const Scores expected = score_alone(transformer, options);
  const std::string whole = read_file(options.log);
  for (const size_t kept : {size_t{0}, whole.size() / 2, whole.size()}) {
    for (const int num_ranks : {2, 3, 1}) {
      INFO(kept << " bytes kept, " << num_ranks << " ranks");
      write_file_atomically(options.log, whole.substr(0, kept));
      for (const Scores& scores : score_on(num_ranks, transformer, options))
        CHECK(same_scores(scores, expected));
      CHECK(read_file(options.log) == whole);
    }
  }
}

TEST_CASE("ranks that are about to score something else are refused", "[eval][parallel][fault]") {
  const model::Transformer transformer = grown_moe();
  const auto work = [&](parallel::Communicator& world) {
    ScoreOptions own;
    own.team = parallel::Team(&world);
    own.log_key = world.rank() == 1 ? "another model" : "model";
    score_alone(transformer, own);
  };
  CHECK_THROWS_AS(parallel::run_in_threads(2, testing::kPatience, work), ConfigError);
}

TEST_CASE("the rank that cannot score a document names it, and the others stop",
          "[eval][parallel][fault]") {
  model::Transformer transformer = grown_moe();
  const auto tokens = byte_tokenizer().encode(documents()[4].text);
  transformer.weights().embedding.base[tokens[1]].fill_(std::numeric_limits<float>::quiet_NaN());
  std::vector<tokenizer::Document> some = {documents()[3], {"culprit", "aa"}, documents()[3]};
  some[0].text = "xyz";
  some[2].text = "vwxyz";
  const auto work = [&](parallel::Communicator& world) {
    ScoreOptions own{.batch_tokens = 4};
    own.team = parallel::Team(&world);
    score_documents(transformer, byte_tokenizer(), some, own);
  };
  CHECK_THROWS_WITH(parallel::run_in_threads(2, testing::kPatience, work),
                    Catch::Contains("document 'culprit'"));
}

}  // namespace polygraft::eval
