// tests/expand/plan_test.cpp: similarity, donors, sizes and refusals of a plan, and its JSON.
#include "expand/plan.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/json.h"
#include "expand/donors.h"
#include "expand/similarity.h"

namespace polygraft::testing {

using Catch::Contains;
using namespace expand;  // NOLINT: the folder under test

TEST_CASE("Pearson correlation", "[expand]") {
  CHECK(pearson({1, 2, 3}, {2, 4, 6}) == Approx(1));
  CHECK(pearson({1, 2, 3}, {3, 2, 1}) == Approx(-1));
  CHECK(pearson({1, 2, 3, 4}, {1, 3, 2, 5}) == Approx(5.5 / std::sqrt(5 * 8.75)));
  CHECK(pearson({1, 1, 1}, {1, 2, 3}) == 0);
}

TEST_CASE("similarity is averaged over layers, symmetric, 1 on the diagonal", "[expand]") {
  const std::vector<LayerProfile> layers = {{0, {{"a", {0.5, 0.3, 0.2}}, {"b", {0.5, 0.3, 0.2}}}},
                                            {2, {{"a", {0.1, 0.3, 0.6}}, {"b", {0.6, 0.3, 0.1}}}}};
  const auto similarity = language_similarity(layers);
  const double second = pearson({0.1, 0.3, 0.6}, {0.6, 0.3, 0.1});
  CHECK(similarity.at("a").at("b") == Approx((1 + second) / 2));
  CHECK(similarity.at("b").at("a") == similarity.at("a").at("b"));
  CHECK(similarity.at("a").at("a") == 1.0);
}

namespace {

model::ModelConfig moe_config() {
  model::ModelConfig config;
  config.family = "qwen3_moe";
  config.num_layers = 3;
  config.hidden_size = 16;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 8;
  config.vocab_rows = 100;
  config.dense_width = 24;
  config.expert_width = 8;
  config.num_experts = 4;
  config.top_k = 2;
  config.layer_is_moe = {false, true, true};
  config.tied_embeddings = true;
  config.max_positions = 64;
  config.dtype = model::Dtype::kBF16;
  return config;
}

/// id uses experts 0 and 1 most; of the old languages only its nearest, ms, uses 1, and all use 0.
Profile profile() {
  Profile profile;
  for (const int64_t layer : {1, 2}) {
    profile.layers.push_back({layer,
                              {{"id", {0.40, 0.35, 0.15, 0.10}},
                               {"ms", {0.40, 0.40, 0.10, 0.10}},
                               {"de", {0.40, 0.00, 0.30, 0.30}}},
                              {{"id", {0.25, 0.25, 0.25, 0.25}},
                               {"ms", {0.40, 0.30, 0.20, 0.10}},
                               {"de", {0.10, 0.20, 0.30, 0.40}}}});
  }
  profile.similarity = language_similarity(profile.layers);
  profile.roles = {{"id", "new"}, {"ms", "old"}, {"de", "old"}};
  profile.bits_per_byte = {{"id", 2.5}, {"ms", 1.5}, {"de", 1.25}};
  profile.model_hash = std::string(64, 'b');
  return profile;
}

PlanRequest request(int64_t num_experts = 2, int64_t rows = 10) {
  PlanRequest request;
  request.language = "id";
  request.num_tokens = 100;
  request.new_vocab_rows = rows;
  request.experts.experts_per_layer = num_experts;
  return request;
}

}  // namespace

TEST_CASE("donors: most used, or weighted by how specific they are to near languages", "[expand]") {
  const auto nearest = rank_old_languages(profile(), "id");
  REQUIRE(nearest.size() == 2);
  CHECK(nearest[0].first == "ms");
  const LayerProfile layer = profile().layers[0];
  const auto used = choose_donors(layer, "id", nearest, false, 2);
  CHECK(used[0].expert == 0);
  CHECK(used[0].score == Approx(0.40));
  CHECK(used[1].expert == 1);
  // Expert 1: 0.35 x 0.40 / mean(0.40, 0.00) = 0.70; expert 0: 0.40 x 0.40 / 0.40.
  const auto specific = choose_donors(layer, "id", nearest, true, 2);
  CHECK(specific[0].expert == 1);
  CHECK(specific[0].score == Approx(0.70));
  CHECK(specific[1].expert == 0);
  CHECK(specific[1].score == Approx(0.40));
  CHECK(choose_donors(layer, "id", nearest, true, 4).size() == 4);
}

TEST_CASE("ties between donors go to the lower id", "[expand]") {
  const LayerProfile layer{0, {{"id", {0.25, 0.25, 0.25, 0.25}}, {"de", {0.25, 0.25, 0.25, 0.25}}}};
  const auto donors = choose_donors(layer, "id", {{"de", 0.0}}, true, 3);
  CHECK(donors[0].expert == 0);
  CHECK(donors[2].expert == 2);
}

TEST_CASE("a plan counts what it adds", "[expand]") {
  const ExpansionPlan plan = plan_expansion(moe_config(), profile(), request());
  REQUIRE(plan.layers.size() == 2);
  CHECK(plan.layers[0].layer == 1);
  CHECK(plan.untie_head);
  // 2 layers x 2 experts x (3 x 8 x 16 weights + 16 of the router row) + 10 rows x 16 x (input and
  // output)
  CHECK(plan.added_parameters == 2 * 2 * (3 * 8 * 16 + 16) + 10 * 16 * 2);
  CHECK(plan.added_bytes == 2 * (plan.added_parameters + 100 * 16));
  model::ModelConfig wide = moe_config();
  wide.expert_width = 80'000;  // experts are made one by one, and never in memory together
  PlanRequest more = request();
  more.experts.experts_per_layer = 4;
  CHECK(plan_expansion(wide, profile(), more).peak_memory_bytes -
            plan_expansion(wide, profile(), request()).peak_memory_bytes <
        4 * 3 * 80'000 * 16);
  PlanRequest more_text = request();
  more_text.experts.calibration_old_tokens += 1'000'000;
  // A million more tokens: router inputs and scores of 2 layers and final states, 4 bytes each.
  CHECK(plan_expansion(moe_config(), profile(), more_text).peak_memory_bytes -
            plan.peak_memory_bytes >=
        4'000'000 * (2 * (16 + 2 + 2) + 16));
  // New rows of both matrices in float32, whether the base's head is untied or was so before.
  for (const bool tied : {true, false}) {
    model::ModelConfig config = moe_config();
    config.tied_embeddings = tied;
    CHECK(plan_expansion(config, profile(), request(2, 1010)).peak_memory_bytes -
              plan_expansion(config, profile(), request(2, 10)).peak_memory_bytes ==
          4 * 1000 * 2 * 16);
  }
  CHECK_THAT(plan_table(plan), Contains("ms") && Contains("1 (0.700), 0 (0.400)"));
  CHECK_THAT(plan_table(plan), Contains("head untied, marked in 240 steps"));

  PlanRequest tied = request();
  tied.vocabulary.head = "tied";
  const ExpansionPlan small = plan_expansion(moe_config(), profile(), tied);
  CHECK_FALSE(small.untie_head);
  CHECK(small.added_bytes == 2 * small.added_parameters);
  CHECK_FALSE(plan_expansion(moe_config(), profile(), request(2, 0)).untie_head);
}

TEST_CASE("a plan that adds nothing to a layer is refused as it is read", "[expand]") {
  Json json = ExpansionPlan{.language = "cc", .layers = {{0, {{3, 0.5}}}}}.to_json();
  CHECK_NOTHROW(ExpansionPlan::from_json(json, "plan.json"));
  json["layers"][0]["donors"] = Json::array();
  json["layers"][0]["new_experts"] = 0;
  CHECK_THROWS_WITH(ExpansionPlan::from_json(json, "plan.json"),
                    Catch::Contains("layer 0 gets no new expert"));
}

TEST_CASE("a plan marks input rows that are apart from output rows, for routers fitted to them",
          "[expand]") {
  PlanRequest tied = request(), copied = request();
  tied.vocabulary.head = "tied";
  copied.experts.router = "donor";
  for (const PlanRequest& without : {tied, copied, request(2, 0)}) {
    const ExpansionPlan plan = plan_expansion(moe_config(), profile(), without);
    CHECK(plan.vocabulary.mark_steps == 0);
    CHECK_THAT(plan_table(plan), !Contains("marked"));
  }
}

TEST_CASE("a plan says how far old weights move where they are not renormalised", "[expand]") {
  model::ModelConfig config = moe_config();
  config.renormalize_top_k = true;
  const ExpansionPlan exact = plan_expansion(config, profile(), request());
  CHECK(exact.softmax_shift.renormalized);
  CHECK(exact.softmax_shift.old_weight_factor() == 1);
  CHECK_THAT(plan_table(exact), !Contains("renormalised"));

  config.renormalize_top_k = false;
  const ExpansionPlan held = plan_expansion(config, profile(), request());
  CHECK(held.softmax_shift.held_below);
  CHECK(held.softmax_shift.share == 1e-3);
  CHECK_THAT(plan_table(held), Contains("towards 0.1000 %") && Contains("0.999000"));

  CHECK(held.softmax_shift.floor_layer == -1);
  CHECK_THAT(plan_table(held), Contains("no rows are bound to take more"));
  // The floor of 2 rows counts for 2 and 3 new experts, in the language and layer where it is
  // largest.
  Profile bound = profile();
  bound.layers[0].softmax_floor = {{"ms", {0.0, 0.01, 0.9}}, {"de", {0.0, 0.02, 0.9}}};
  bound.layers[1].softmax_floor = {{"ms", {0.0, 0.0, 0.9}}, {"de", {0.0, 0.0, 0.9}}};
  for (const int64_t num_new : {2, 3}) {
    const ExpansionPlan plan = plan_expansion(config, bound, request(num_new));
    CHECK(plan.softmax_shift.floor_nats == 0.02);
    CHECK(plan.softmax_shift.floor_layer == 1);
    CHECK_THAT(plan_table(plan), Contains("in layer 1 no rows") && Contains("0.980199"));
    CHECK(ExpansionPlan::from_json(plan.to_json(), "plan.json").to_json() == plan.to_json());
  }

  PlanRequest copies = request();
  copies.experts.router = "donor";
  const ExpansionPlan moved = plan_expansion(config, profile(), copies);
  CHECK_FALSE(moved.softmax_shift.held_below);
  // Donors 1 and 0 carry 0.3 + 0.4 of the softmax on ms, 0.2 + 0.1 on de; id is no old language.
  CHECK(moved.softmax_shift.share == Approx(0.7 / 1.7));
  CHECK(moved.to_json()["softmax_shift"]["old_weight_factor"].get<double>() == Approx(1 / 1.7));
  CHECK_THAT(plan_table(moved), Contains("41.18 %") && Contains("router: discriminant"));
}

TEST_CASE("a plan warns of what serving engines trip over, and can round it away", "[expand]") {
  PlanRequest wanted = request(1, 27);
  const ExpansionPlan odd = plan_expansion(moe_config(), profile(), wanted);
  REQUIRE(odd.warnings.size() == 3);  // 5 experts, 127 rows
  CHECK_THAT(plan_table(odd), Contains("serving: num_experts is 5: not divisible by 2, 4, 8") &&
                                  Contains("no power of two") && Contains("no multiple of 64"));
  wanted.experts.experts_multiple_of = 8;
  wanted.new_vocab_rows = 28;
  const ExpansionPlan even = plan_expansion(moe_config(), profile(), wanted);
  CHECK(even.experts.experts_per_layer == 4);
  CHECK(even.layers[1].donors.size() == 4);
  CHECK(even.warnings.empty());
  wanted.experts.experts_per_layer = 4;
  CHECK(plan_expansion(moe_config(), profile(), wanted).experts.experts_per_layer == 4);
}

TEST_CASE("a plan says where new vocabulary rows go", "[expand]") {
  PlanRequest wanted = request(2, 10);
  wanted.num_tokens = 94;
  const ExpansionPlan unpadded = plan_expansion(moe_config(), profile(), wanted);
  CHECK(unpadded.spare_vocab_rows == 6);
  CHECK(unpadded.grown_vocab_rows == 4);
  CHECK(unpadded.padding_vocab_rows == 0);  // 100 rows were no multiple of 64
  CHECK_THAT(plan_table(unpadded), Contains("6 in the base's spare rows, 4 behind it"));
  model::ModelConfig config = moe_config();
  config.vocab_rows = 128;
  wanted.num_tokens = 125;
  const ExpansionPlan padded = plan_expansion(config, profile(), wanted);
  CHECK(padded.spare_vocab_rows == 3);
  CHECK(padded.grown_vocab_rows == 7);
  CHECK(padded.padding_vocab_rows == 57);
  CHECK_THAT(plan_table(padded), Contains("57 padding") && !Contains("no multiple of 64"));
  CHECK(padded.to_json()["padding_vocab_rows"] == 57);
  // Beside what is trained: padding of both matrices, and the old head but for displaced rows.
  CHECK(padded.added_bytes == 2 * (padded.added_parameters + (2 * 57 + 125) * 16));
  wanted.vocabulary.pad_to = 0;
  CHECK(plan_expansion(config, profile(), wanted).padding_vocab_rows == 0);
  wanted.num_tokens = 100;
  CHECK(plan_expansion(config, profile(), wanted).grown_vocab_rows == 0);
  wanted.num_tokens = 129;
  CHECK_THROWS_WITH(plan_expansion(config, profile(), wanted),
                    Contains("fewer vocabulary rows") && Contains("129"));
}

TEST_CASE("what cannot be planned is refused by name", "[expand]") {
  const auto plan = [](const model::ModelConfig& config, const PlanRequest& wanted) {
    plan_expansion(config, profile(), wanted);
  };
  CHECK_THROWS_WITH(plan(moe_config(), request(5)), Contains("experts_per_layer") && Contains("4"));
  PlanRequest unknown = request();
  unknown.language = "jv";
  CHECK_THROWS_WITH(plan(moe_config(), unknown), Contains("'jv'") && Contains("de, id, ms"));
  for (const char* name : {"pt/BR", "pt BR", "中文", "all", ""}) {
    unknown.language = name;
    CHECK_THROWS_WITH(plan(moe_config(), unknown), Contains("no pack can have that name"));
  }
  model::ModelConfig dense = moe_config();
  dense.num_experts = 0;
  CHECK_THROWS_WITH(plan(dense, request()), Contains("dense"));
  model::ModelConfig other = moe_config();
  other.num_experts = 8;
  CHECK_THROWS_WITH(plan(other, request()), Contains("another model") && Contains("8 experts"));
  other = moe_config();
  other.layer_is_moe = {true, true, false};
  CHECK_THROWS_WITH(plan(other, request()), Contains("layer 2"));
  model::ModelConfig untied = moe_config();
  untied.tied_embeddings = false;
  PlanRequest tied = request();
  tied.vocabulary.head = "tied";
  CHECK_THROWS_WITH(plan(untied, tied), Contains("tokenizer.head"));
  Profile all_new = profile();
  all_new.roles = {{"id", "new"}, {"ms", "new"}, {"de", "new"}};
  CHECK_THROWS_WITH(plan_expansion(moe_config(), all_new, request()), Contains("no old language"));
}

TEST_CASE("profiles and plans survive JSON", "[expand]") {
  const Profile read = Profile::from_json(profile().to_json(), "profile.json");
  CHECK(read.to_json() == profile().to_json());
  ExpansionPlan plan = plan_expansion(moe_config(), profile(), request());
  plan.corpus = "/data/corpus.yaml";
  plan.tokenizer = "/data/tokenizer";
  plan.seed = 12345678901234567890ULL;
  plan.experts.router_margin = 0.45;
  plan.vocabulary.head_margin = 4;
  const ExpansionPlan again = ExpansionPlan::from_json(plan.to_json(), "plan.json");
  CHECK(again.to_json() == plan.to_json());
  CHECK(again.seed == plan.seed);
  CHECK(again.experts.router_margin == 0.45);
  CHECK(again.layers[1].donors[0].expert == 1);

  Json broken = plan.to_json();
  broken["experts"].erase("router_margin");
  CHECK_THROWS_WITH(ExpansionPlan::from_json(broken, "plan.json"),
                    Contains("plan.json") && Contains("router_margin"));
  broken = plan.to_json();
  broken["language"] = "../id";
  CHECK_THROWS_WITH(ExpansionPlan::from_json(broken, "plan.json"),
                    Contains("plan.json") && Contains("unusable name"));
  broken = plan.to_json();
  broken["layers"][0]["new_experts"] = 3;
  CHECK_THROWS_WITH(ExpansionPlan::from_json(broken, "plan.json"), Contains("new_experts"));
  broken = plan.to_json();
  broken["experts"]["router"] = "discriminat";
  broken["experts"]["reinit_ratio"] = 7;
  broken["vocabulary"]["init"] = "median";
  CHECK_THROWS_AS(ExpansionPlan::from_json(broken, "plan.json"), ConfigError);
  CHECK_THROWS_WITH(ExpansionPlan::from_json(broken, "plan.json"),
                    Contains("plan.json") && Contains("experts.router") &&
                        Contains("discriminat") && Contains("experts.reinit_ratio"));
  broken = profile().to_json();
  broken["layers"][1]["signature"]["de"] = {0.5, 0.5};
  CHECK_THROWS_WITH(Profile::from_json(broken, "profile.json"),
                    Contains("layer 2") && Contains("equally many"));
  broken = profile().to_json();
  broken["layers"][1]["softmax"].erase("ms");
  CHECK_THROWS_WITH(Profile::from_json(broken, "profile.json"),
                    Contains("layer 2") && Contains("softmax of ms"));
}

TEST_CASE("configs report every problem at once", "[expand]") {
  Problems problems;
  ExpertConfig experts;
  experts.experts_per_layer = 0;
  experts.reinit_ratio = 1.5;
  experts.router = "magic";
  experts.calibration_new_tokens = experts.calibration_old_tokens = 1;  // no room for a text
  experts.validate(problems);
  VocabularyConfig vocabulary;
  vocabulary.head = "loose";
  vocabulary.validate(problems);
  CHECK_THROWS_WITH(problems.throw_if_any("pipeline.yaml"),
                    Contains("experts_per_layer") && Contains("reinit_ratio") &&
                        Contains("magic") && Contains("loose") &&
                        Contains("calibration_new_tokens") && Contains("calibration_old_tokens"));
  Problems none;
  ExpertConfig().validate(none);
  VocabularyConfig().validate(none);
  CHECK(none.empty());
}

}  // namespace polygraft::testing
