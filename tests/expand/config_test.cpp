// tests/expand/config_test.cpp: settings whose sums and products would overflow.
#include "expand/config.h"

#include <catch2/catch.hpp>

#include "core/text.h"

namespace polygraft::testing {

TEST_CASE("a number that products would overflow is refused, by key and bound",
          "[expand][config]") {
  const auto problems_of = [](const std::string& assignment) {
    ConfigSource source = ConfigSource::from_text("{}", "expand.yaml");
    source.set(assignment);
    try {
      bind_config<expand::ExpertConfig>(source);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  for (const std::string key : {"calibration_new_tokens", "calibration_old_tokens",
                                "experts_per_layer", "experts_multiple_of"}) {
    CHECK_THAT(problems_of(concat(key, "=1152921504606846976")),
               Catch::Contains(key) && Catch::Contains("must lie in ["));
  }
  CHECK(problems_of("calibration_new_tokens=1000000000").empty());
}

}  // namespace polygraft::testing
