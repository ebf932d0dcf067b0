// tests/trainer/probe_test.cpp: which old language a probe calls the worst.
#include "trainer/probe.h"

#include <catch2/catch.hpp>

namespace polygraft::trainer {

TEST_CASE("the worst language is the one whose bound the budget is held to", "[trainer][probe]") {
  const ProbeResult result = {
      {"aa", {.delta_relative = 0.002, .ci_low = 0.0015, .ci_high = 0.0025}},
      {"bb", {.delta_relative = 0.001, .ci_low = -0.008, .ci_high = 0.01}},
      {"cc", {.bits_per_byte = 2, .ci_high = 1}}};
  const LanguageRoles roles = {.learned = {"cc"}, .replayed = {}, .guarded = {"aa", "bb"}};
  CHECK(worst_language(result, roles) == "bb");
  CHECK(worst_text(result, roles) == "worst bb +0.10 %");
  CHECK_THAT(probe_text(result, roles), Catch::Contains("worst bb"));
  CHECK(worst_language(result, {.learned = {"cc"}, .replayed = {}, .guarded = {}}).empty());
  CHECK(probe_text(result, {.learned = {"cc"}, .replayed = {}, .guarded = {}}) ==
        "cc 2.000 bits per byte");
}

}  // namespace polygraft::trainer
