// tests/core/config_printer_test.cpp: parse(print(x)) == x, for every x.
#include <catch2/catch.hpp>
#include <cstring>
#include <limits>

#include "core/random.h"
#include "tests/core/config_example.h"

using namespace polygraft;
using namespace polygraft::testing;
using Catch::Matchers::Contains;

namespace {

RunExample round_trip(const RunExample& run, bool with_docs = false) {
  return read_example(config_to_yaml(run, with_docs));
}

double any_finite_double(RandomStream& random) {
  while (true) {
    const uint64_t bits = random.next_u64();
    double value;
    std::memcpy(&value, &bits, sizeof value);
    if (value - value == 0) return value;
  }
}

/// Text out of the characters that YAML gives a meaning to, control characters, and letters beyond
/// ASCII.
std::string any_text(RandomStream& random) {
  static const std::vector<std::string> pieces = {
      "a",           "B",    "7",  " ",          "  ",   ":",    ": ",       " #",
      "#",           "-",    "- ", "?",          "!",    "&",    "*",        "|",
      ">",           "%",    "@",  "`",          "'",    "\"",   "\\",       "\n",
      "\t",          "\r",   "{",  "}",          "[",    "]",    ",",        "~",
      "null",        "true", "no", "1e5",        ".5",   "=",    "<<",       "---",
      "...",         "é",    "語", "\U0001F600", "\x01", "\x7F", "\xC2\x85", "\xE2\x80\xA8",
      "\xEF\xBB\xBF"};
  std::string text;
  for (uint64_t left = random.below(6); left > 0; --left)
    text += pieces[random.below(pieces.size())];
  return text;
}

}  // namespace

TEST_CASE("the resolved config lists every field in order", "[core][config]") {
  RunExample run;
  run.languages["id"] = {"new", {"a.txt", "b c.txt"}};
  run.extra = {{"old", {}}, {"new", {}}};
  CHECK(config_to_yaml(run) == R"(name: run
seed: 17
resume: false
steps: []
optimizer:
  learning_rate: 0.001
  betas: [0.9, 0.95]
languages:
  id:
    role: new
    train: [a.txt, "b c.txt"]
weights: {}
extra:
  - role: old
    train: []
  - role: new
    train: []
limit: 2.5
second: null
layers: auto
tuned: none
)");
}

TEST_CASE("documentation is printed as comments, above a line that it would make too long",
          "[core][config]") {
  RunExample run;
  CHECK_THAT(config_to_yaml(run, true),
             Contains("seed: 17  # of every random stream\n") &&
                 Contains("optimizer:  # how weights move\n  learning_rate"));
  run.name = std::string(90, 'x');
  CHECK_THAT(config_to_yaml(run, true), Contains("# what the run is called\nname: xxx"));
  CHECK(round_trip(run, true) == run);
}

TEST_CASE("what is printed reads back equal", "[core][config]") {
  RunExample run;
  run.steps = {INT64_MIN, -1, 0, INT64_MAX};
  run.second = OptimizerExample{-0.0, {std::numeric_limits<double>::infinity(), 5e-324, 1e22, 0.1}};
  run.limit.reset();
  run.layers = std::vector<int64_t>{0, 3};
  run.tuned = OptimizerExample{};
  run.languages = {{"no", {"yes", {""}}}, {"pt-BR", {"old", {"a: b", "#"}}}, {"", {"null", {}}}};
  run.weights = {{"true", 1}, {"a.b", 2}, {"1", 3}};
  CHECK(round_trip(run) == run);
  CHECK(round_trip(RunExample{}) == RunExample{});
}

TEST_CASE("random values read back bit for bit", "[core][config][property]") {
  RandomStream random(4, "config-round-trip");
  for (int i = 0; i < 1000; ++i) {
    RunExample run;
    run.name = any_text(random);
    run.seed = static_cast<int64_t>(random.next_u64() >> 1);
    run.optimizer.betas = {any_finite_double(random), any_finite_double(random), random.uniform()};
    run.languages[any_text(random)] = {any_text(random), {any_text(random), any_text(random)}};
    run.extra.push_back({any_text(random), {any_text(random)}});
    run.layers = any_text(random);
    const std::string yaml = config_to_yaml(run, i % 2 == 0);
    INFO(yaml);
    const RunExample again = read_example(yaml);
    REQUIRE(again == run);
  }
}

TEST_CASE("text that is not UTF-8 cannot be printed", "[core][config]") {
  RunExample run;
  run.name = "\xFF";
  CHECK_THROWS_AS(config_to_yaml(run), ConfigError);
}
