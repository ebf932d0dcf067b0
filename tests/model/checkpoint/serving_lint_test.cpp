// tests/model/checkpoint/serving_lint_test.cpp: what serving engines trip over.
#include "model/checkpoint/serving_lint.h"

#include "fixtures.h"

using Catch::Contains;

namespace polygraft::model {
namespace {

/// All warnings of a shape in one text.
std::string lint(const ServingShape& shape) {
  std::string text;
  for (const std::string& warning : serving_warnings(shape)) text += warning + "\n";
  return text;
}

}  // namespace

TEST_CASE("what every engine serves well draws no warning", "[model][checkpoint]") {
  CHECK(serving_warnings({128, 151936, 151669, true}).empty());
  CHECK(serving_warnings({0, 32000, 32000, true}).empty());
}

TEST_CASE("expert counts that kernels lack or devices cannot share", "[model][checkpoint]") {
  // Marco-MoE-Nano's 232 divide by 8 but are no power of two; 235 divide by nothing.
  CHECK_THAT(lint({232, 151936, 151669, true}),
             Contains("no power of two") && !Contains("divisible"));
  CHECK_THAT(lint({235, 151936, 151669, true}), Contains("not divisible by 2, 4, 8"));
  CHECK_THAT(lint({60, 151936, 151669, true}), Contains("not divisible by 8"));
  CHECK_THAT(lint({1024, 151936, 151669, true}), Contains("more than 512"));
}

TEST_CASE("vocabulary and generation settings", "[model][checkpoint]") {
  CHECK_THAT(lint({8, 32001, 32001, true}), Contains("no multiple of 64"));
  CHECK_THAT(lint({8, 32000, 32005, true}), Contains("some ids have no row"));
  CHECK_THAT(lint({8, 32000, 32000, false}), Contains("generation_config.json is missing"));
}

}  // namespace polygraft::model
