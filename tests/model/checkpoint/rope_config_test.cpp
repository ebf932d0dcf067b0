// tests/model/checkpoint/rope_config_test.cpp: rotary parameters in both forms, against what
// transformers 5.23 makes of them.
#include "core/json.h"
#include "fixtures.h"

using Catch::Contains;

namespace polygraft::model {
namespace {

Json with(const Json& changes) {
  Json json = tiny_config("llama");
  json.update(changes);
  return json;
}

RopeConfig parse(const Json& changes) {
  return parse_model_config(with(changes), "config.json").rope;
}

template <class E>
std::string refusal(const Json& changes) {
  return message_of<E>([&] { parse(changes); });
}

const Json kLlama3 = {{"rope_type", "llama3"},
                      {"factor", 32.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 8192}};

Json changed(Json json, const Json& changes) {
  json.update(changes);
  return json;
}

}  // namespace

TEST_CASE("rope_theta stands alone, beside rope_scaling, or in rope_parameters",
          "[model][checkpoint]") {
  CHECK(parse(Json::object()).theta == 10000.0);
  CHECK(parse({{"rope_theta", 5e5}}).theta == 5e5);
  CHECK(parse({{"rope_theta", 500000}}).theta == 5e5);
  CHECK(parse({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e6}}}}).theta == 1e6);
  CHECK(parse({{"rope_theta", 5e5}, {"rope_scaling", {{"type", "linear"}, {"factor", 2}}}}).theta ==
        5e5);
  CHECK_THAT(
      refusal<FormatError>({{"rope_theta", 1e4}, {"rope_parameters", {{"rope_theta", 1e6}}}}),
      Contains("contradict"));
  CHECK_THAT(refusal<FormatError>({{"rope_scaling", {{"type", "linear"}, {"factor", 2}}},
                                   {"rope_parameters", {{"type", "linear"}, {"factor", 4}}}}),
             Contains("contradict"));
}

TEST_CASE("linear, llama3 and yarn are read with their parameters", "[model][checkpoint]") {
  const RopeConfig linear = parse({{"rope_scaling", {{"type", "linear"}, {"factor", 2.5}}}});
  CHECK(linear.type == "linear");
  CHECK(linear.factor == 2.5);

  const RopeConfig llama3 = parse({{"rope_theta", 5e5}, {"rope_scaling", kLlama3}});
  CHECK(llama3.type == "llama3");
  CHECK(llama3.factor == 32.0);
  CHECK(llama3.low_freq_factor == 1.0);
  CHECK(llama3.high_freq_factor == 4.0);
  CHECK(llama3.original_max_positions == 8192);

  const RopeConfig yarn = parse({{"rope_parameters",
                                  {{"rope_type", "yarn"},
                                   {"factor", 4.0},
                                   {"rope_theta", 1e6},
                                   {"original_max_position_embeddings", 16},
                                   {"attention_factor", 1.2},
                                   {"beta_fast", 16},
                                   {"beta_slow", 2},
                                   {"mscale", 0.7},
                                   {"mscale_all_dim", 0.8},
                                   {"truncate", false}}}});
  CHECK(yarn.type == "yarn");
  CHECK(yarn.original_max_positions == 16);
  CHECK(yarn.attention_factor == 1.2);
  CHECK(yarn.beta_fast == 16);
  CHECK(yarn.beta_slow == 2);
  CHECK(yarn.mscale == 0.7);
  CHECK(yarn.mscale_all_dim == 0.8);
  CHECK_FALSE(yarn.truncate);
}

TEST_CASE("yarn's silences", "[model][checkpoint]") {
  const RopeConfig yarn =
      parse({{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4}, {"beta_fast", nullptr}}}});
  CHECK(yarn.original_max_positions == 0);  // the model's own length
  CHECK(yarn.beta_fast == 32);
  CHECK(yarn.beta_slow == 1);
  CHECK(yarn.truncate);
  CHECK_FALSE(yarn.attention_factor.has_value());
  CHECK_FALSE(yarn.mscale.has_value());
  // 64 positions now, 16 before.
  CHECK(parse({{"rope_scaling",
                {{"rope_type", "yarn"},
                 {"factor", nullptr},
                 {"original_max_position_embeddings", 16}}}})
            .factor == 4);
}

TEST_CASE("an original length beside the parameters wins over one among them",
          "[model][checkpoint]") {
  CHECK(parse({{"rope_scaling", kLlama3}, {"original_max_position_embeddings", 4096}})
            .original_max_positions == 4096);
}

TEST_CASE("rope types that we lack are refused by name", "[model][checkpoint]") {
  for (const char* type : {"dynamic", "longrope", "su", "mrope"}) {
    CHECK_THAT(refusal<NotBuiltError>({{"rope_scaling", {{"type", type}, {"factor", 2.0}}}}),
               Contains(type) && Contains("yarn"));
  }
  CHECK_THAT(
      refusal<NotBuiltError>({{"rope_parameters", {{"full_attention", {{"rope_theta", 1e4}}}}}}),
      Contains("full_attention"));
  CHECK_THAT(refusal<NotBuiltError>({{"rope_parameters", {{"partial_rotary_factor", 0.25}}}}),
             Contains("partial_rotary_factor"));
}

TEST_CASE("rope parameters that are missing or impossible are named", "[model][checkpoint]") {
  const std::vector<std::pair<Json, std::string>> corpus = {
      {{{"type", "linear"}}, "rope_scaling.factor"},
      {{{"type", "linear"}, {"factor", 0}}, "rope_scaling.factor"},
      {{{"type", "linear"}, {"factor", "2"}}, "rope_scaling.factor"},
      {{{"type", "yarn"}}, "rope_scaling.factor"},
      {{{"type", "yarn"}, {"factor", 2}, {"beta_fast", 1}, {"beta_slow", 2}}, "beta_fast"},
      {{{"type", "yarn"}, {"factor", 2}, {"truncate", 1}}, "truncate"},
      {{{"type", 3}}, "rope_scaling.type"},
      {{{"rope_theta", -1}}, "rope_scaling.rope_theta"},
      {changed(kLlama3, {{"low_freq_factor", nullptr}}), "low_freq_factor"},
      {changed(kLlama3, {{"high_freq_factor", 1.0}}), "high_freq_factor"},
      {changed(kLlama3, {{"original_max_position_embeddings", 0}}),
       "original_max_position_embeddings"},
      {changed(kLlama3, {{"original_max_position_embeddings", 1.5}}),
       "original_max_position_embeddings"},
  };
  for (const auto& [scaling, key] : corpus) {
    INFO(scaling);
    CHECK_THAT(refusal<FormatError>({{"rope_scaling", scaling}}), Contains(key));
  }
  CHECK_THAT(refusal<FormatError>({{"rope_scaling", "linear"}}), Contains("rope_scaling"));
  CHECK_THAT(refusal<FormatError>({{"rope_theta", 0}}), Contains("rope_theta"));
}

}  // namespace polygraft::model
