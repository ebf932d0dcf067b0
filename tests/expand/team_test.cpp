// tests/expand/team_test.cpp: several ranks profile and graft what one process does, bit for bit.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "expand/softmax_floor.h"
#include "tests/expand/language_world.h"
#include "tests/expand/tiny_model.h"
#include "tests/model/parallel/in_process.h"
#include "tests/model/parallel/patience.h"

namespace polygraft::testing {

using model::ModelFolder;

namespace {

/// What work(team) returns, by rank.
template <class Result, class Work>
std::vector<Result> on_ranks(int num_ranks, const Work& work) {
  std::vector<Result> results(static_cast<size_t>(num_ranks));
  parallel::run_in_threads(num_ranks, testing::kPatience, [&](parallel::Communicator& world) {
    results[static_cast<size_t>(world.rank())] = work(parallel::Team(&world));
  });
  return results;
}

/// Enough text for several batches.
expand::ExpansionPlan plan_of_much_text(const std::filesystem::path& base) {
  expand::ExpansionPlan plan = make_plan(language_world(), base);
  plan.experts.calibration_old_tokens = 9000;
  plan.experts.calibration_new_tokens = 5000;
  return plan;
}

bool same_additions(const expand::Additions& a, const expand::Additions& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && (x.second.is_meta() || same_bits(x.second, y.second));
  });
}

}  // namespace

TEST_CASE("any number of ranks makes one process's profile, bit for bit",
          "[expand][graft][parallel]") {
  const std::string family =
      GENERATE(as<std::string>{}, "", "olmoe");  // renormalised; and not, with floors
  const LanguageWorld& world = language_world();
  const auto base = family.empty() ? world.base : write_world_base(family);
  // In one pass, or in several, of which one holds part of a language.
  expand::ProfileOptions options{8000};
  options.pass_tokens = GENERATE(0, 5000);
  const auto profile = [&](const parallel::Team& team) {
    expand::ProfileOptions own = options;
    own.team = team;
    return expand::profile_folder(ModelFolder::open(base), world.corpus, own).to_json().dump();
  };
  const std::string expected = profile({});
  CHECK((expected.find("\"softmax_floor\":{\"aa\"") != std::string::npos) == !family.empty());
  for (const int num_ranks : {2, 3}) {
    INFO(family << ", " << num_ranks << " ranks, passes of " << options.pass_tokens);
    for (const std::string& own : on_ranks<std::string>(num_ranks, profile)) CHECK(own == expected);
  }
}

TEST_CASE("a floor is measured on the text of one pass of one process", "[expand][parallel]") {
  const auto batch = [](int64_t num_tokens) {
    return model::Batch{at::zeros({num_tokens}, at::kLong), {num_tokens}};
  };
  const std::vector<model::Batch> batches = {batch(3000), batch(3000), batch(3000), batch(3000)};
  const std::vector<std::string> texts = {"aa", "aa", "bb", "bb"};
  const auto rows = [&](int64_t pass_tokens) {
    return expand::choose_floor_sample(batches, texts, {"aa", "bb"}, 16, pass_tokens).rows_of_batch;
  };
  CHECK(rows(100000) == std::vector<int64_t>{3000, 1096, 3000, 1096});
  CHECK(rows(9000) == std::vector<int64_t>{3000, 1096, 3000, 0});
  CHECK(rows(1) == std::vector<int64_t>{3000, 0, 3000, 0});
  CHECK(expand::choose_floor_sample(batches, texts, {"bb"}, 16, 1).rows_of_batch ==
        std::vector<int64_t>{0, 0, 3000, 0});
}

TEST_CASE("any number of ranks computes one process's additions, bit for bit",
          "[expand][graft][parallel]") {
  const LanguageWorld& world = language_world();
  const std::string family = GENERATE(as<std::string>{}, "", "qwen2_moe");
  const std::string init = family.empty() ? "omp" : "mean";
  const auto base = family.empty() ? world.base : write_world_base(family);
  expand::ExpansionPlan plan = plan_of_much_text(base);
  plan.vocabulary.init = init;
  const auto old_tokenizer = tokenizer::Tokenizer::load(world.base);
  const auto extended = tokenizer::Tokenizer::load(world.extended);
  const auto calibration = expand::read_calibration(world.corpus, plan);
  const auto compute = [&](const parallel::Team& team) {
    const auto transformer = model::Transformer::load(ModelFolder::open(base));
    return expand::compute_additions(transformer, old_tokenizer, extended, plan, calibration, team)
        .additions;
  };
  const expand::Additions expected = compute({});
  REQUIRE(expected.size() >= 8);
  for (const int num_ranks : {2, 3}) {  // as many as there are layers, and more
    INFO(family << ", " << init << ", " << num_ranks << " ranks");
    for (const expand::Additions& own : on_ranks<expand::Additions>(num_ranks, compute))
      CHECK(same_additions(own, expected));
  }
}

TEST_CASE("the first rank alone writes a graft", "[expand][graft][parallel]") {
  const LanguageWorld& world = language_world();
  const ModelFolder base = ModelFolder::open(world.base);
  const expand::ExpansionPlan plan = plan_of_much_text(world.base);
  const auto alone = world.folder / "grafted-alone";
  expand::graft(base, plan, alone);
  const auto written = on_ranks<int>(2, [&](const parallel::Team& team) {
    const auto out = world.folder / ("grafted-by-" + std::to_string(team.rank()));
    expand::graft(base, plan, out, team);
    return static_cast<int>(std::filesystem::exists(out));
  });
  CHECK(written == std::vector<int>{1, 0});
  CHECK(hash_folder(world.folder / "grafted-by-0") == hash_folder(alone));
}

TEST_CASE("ranks that are about to graft something else are refused", "[expand][parallel][fault]") {
  const LanguageWorld& world = language_world();
  const ModelFolder base = ModelFolder::open(world.base);
  const expand::ExpansionPlan plan = make_plan(world);
  const auto work = [&](parallel::Communicator& ranks) {
    expand::ExpansionPlan own = plan;
    own.seed += static_cast<uint64_t>(ranks.rank());
    expand::graft(base, own, world.folder / "refused-ranks", parallel::Team(&ranks));
  };
  CHECK_THROWS_AS(parallel::run_in_threads(2, testing::kPatience, work), ConfigError);
}

}  // namespace polygraft::testing
