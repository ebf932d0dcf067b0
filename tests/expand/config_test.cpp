// tests/expand/config_test.cpp: settings that nothing can be done with, and those whose sums and
// products would overflow.
#include "expand/config.h"

#include <catch2/catch.hpp>

#include "core/text.h"

namespace polygraft::testing {

namespace {

/// What is said of one setting, or "".
template <class Config>
std::string problems_with(const std::string& assignment) {
  ConfigSource source = ConfigSource::from_text("{}", "expand.yaml");
  source.set(assignment);
  try {
    bind_config<Config>(source);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a number that no fit can be reckoned with is refused", "[expand][config]") {
  using expand::ExpertConfig, expand::VocabularyConfig;
  for (const std::string value : {".inf", "-1", "1e30"}) {
    for (const std::string key :
         {"router_margin", "router_old_weight", "router_ridge", "bos_weight"}) {
      CHECK_THAT(problems_with<ExpertConfig>(concat(key, "=", value)), Catch::Contains(key));
    }
    for (const std::string key : {"head_margin", "head_old_weight", "head_ridge"}) {
      CHECK_THAT(problems_with<VocabularyConfig>(concat(key, "=", value)), Catch::Contains(key));
    }
  }
  CHECK(problems_with<ExpertConfig>("router_margin=0").empty());
}

TEST_CASE("a number of new tokens that no tokenizer is extended by is refused",
          "[expand][config]") {
  const auto problems_of = problems_with<expand::VocabularyConfig>;
  for (const std::string value : {"0", "000", "-1", "1.5", "many", "1234567890"}) {
    CHECK_THAT(problems_of("new_tokens=" + value), Catch::Contains("above zero, or auto"));
  }
  for (const std::string value : {"1", "800", "auto"}) {
    CHECK(problems_of("new_tokens=" + value).empty());
  }
}

TEST_CASE("a number that products would overflow is refused, by key and bound",
          "[expand][config]") {
  const auto problems_of = problems_with<expand::ExpertConfig>;
  for (const std::string key : {"calibration_new_tokens", "calibration_old_tokens",
                                "experts_per_layer", "experts_multiple_of"}) {
    CHECK_THAT(problems_of(concat(key, "=1152921504606846976")),
               Catch::Contains(key) && Catch::Contains("must lie in ["));
  }
  CHECK(problems_of("calibration_new_tokens=1000000000").empty());
}

}  // namespace polygraft::testing
