// tests/core/config_problems_test.cpp: what is wrong with a config is told with place and remedy,
// all of it at once.
#include <catch2/catch.hpp>
#include <cmath>

#include "core/text.h"
#include "tests/core/config_example.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::testing;
using Catch::Matchers::Contains;

namespace {

std::string problems_of(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  try {
    read_example(yaml, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("an unknown key is told with its place and the nearest known one", "[core][config]") {
  CHECK(problems_of("seed: 1\noptimizer:\n  lerning_rate: 3\n") ==
        "config error: run.yaml: 1 problem\n"
        "  run.yaml:3: unknown key 'optimizer.lerning_rate'; nearest known key: 'learning_rate'");
  CHECK_THAT(problems_of("languages: {en: {role: old, rolle: x}}"),
             Contains("run.yaml:1: unknown key 'languages.en.rolle'; nearest known key: 'role'"));
  CHECK_THAT(problems_of("extra: [{role: old, x: 1}]"), Contains("'extra[0].x'"));
  CHECK_THAT(problems_of("optimizer: {quite_different: 1}"),
             Contains("known keys: learning_rate, betas"));
  CHECK_THAT(
      problems_of("", {"optimizer.beta=[1]"}),
      Contains(
          "--set optimizer.beta=[1]: unknown key 'optimizer.beta'; nearest known key: 'betas'"));
}

TEST_CASE("all problems are reported together", "[core][config]") {
  const std::string text = problems_of(
      "seed: x\nresume: maybe\nseed: 2\nsteps: 5\noptimizer: [1]\nlanguages:\n  en: {}\nnmae: a\n",
      {"limit=soon"});
  CHECK_THAT(text, Contains("config error: run.yaml: 8 problems\n"));
  CHECK_THAT(text, Contains("run.yaml:3: duplicate key 'seed'; first seen at run.yaml:1"));
  CHECK_THAT(text, Contains("run.yaml:1: 'seed' must be a whole number (64 bits), found 'x'"));
  CHECK_THAT(text, Contains("run.yaml:2: 'resume' must be true or false, found 'maybe'"));
  CHECK_THAT(text, Contains("run.yaml:4: 'steps' must be a list, found '5'; write [5]"));
  CHECK_THAT(text, Contains("run.yaml:5: 'optimizer' must be a mapping, found a list"));
  CHECK_THAT(text, Contains("run.yaml:7: required key 'languages.en.role' is missing"));
  CHECK_THAT(text, Contains("run.yaml:8: unknown key 'nmae'; nearest known key: 'name'"));
  CHECK_THAT(text, Contains("--set limit=soon: 'limit' must be a number, found 'soon'"));
}

TEST_CASE("what YAML allows and a path or a setting does not is told", "[core][config]") {
  CHECK_THAT(problems_of("name: \"a\\0b\""), Contains("run.yaml:1: a text holds a NUL character"));
  CHECK_THAT(problems_of("languages:\n  \"e\\0n\": {role: old}"),
             Contains("run.yaml:2: a text holds a NUL character"));
  CHECK_THAT(problems_of("optimizer: &o {learning_rate: 1}\nlanguages:\n  <<: *o"),
             Contains("run.yaml:3: merge keys ('<<') are not supported"));
  CHECK(problems_of("languages: {\"<<\": {role: old}}") == "accepted");
}

TEST_CASE("a value of another kind is refused where it stands", "[core][config]") {
  const auto message = [](const std::string& must_be, const std::string& found) {
    return Contains(concat("must be ", must_be, ", found ", found));
  };
  CHECK_THAT(problems_of("seed: 1.5"), message("a whole number (64 bits)", "'1.5'"));
  CHECK_THAT(problems_of("seed: 9223372036854775808"),
             message("a whole number (64 bits)", "'9223372036854775808'"));
  CHECK_THAT(problems_of("seed: \"5\""),
             message("a whole number (64 bits)", "the quoted text '5'"));
  CHECK_THAT(problems_of("seed: 0x10"), message("a whole number (64 bits)", "'0x10'"));
  CHECK_THAT(problems_of("seed: 5 apples"), message("a whole number (64 bits)", "'5 apples'"));
  CHECK_THAT(problems_of("seed: +-5"), message("a whole number (64 bits)", "'+-5'"));
  CHECK_THAT(problems_of("seed:"), message("a whole number (64 bits)", "nothing"));
  CHECK_THAT(problems_of("limit: .nan"), message("a number", "'.nan'"));
  CHECK_THAT(problems_of("limit: nan"), message("a number", "'nan'"));
  CHECK_THAT(problems_of("limit: inf"), message("a number", "'inf'"));
  CHECK_THAT(problems_of("limit: 1e999"), message("a number", "'1e999'"));
  CHECK_THAT(problems_of("resume: yes"), message("true or false", "'yes'"));
  CHECK_THAT(problems_of("name: [a]"), message("text", "a list"));
  CHECK_THAT(problems_of("name: {a: 1}"), message("text", "a mapping"));
  CHECK_THAT(problems_of("steps: [1, x]"), Contains("'steps[1]' must be a whole number"));
  CHECK_THAT(problems_of("extra: {role: old}"), message("a list", "a mapping"));
  CHECK_THAT(problems_of("extra: [old]"), Contains("'extra[0]' must be a mapping"));
  CHECK_THAT(problems_of("layers: {a: 1}"), message("a list", "a mapping"));
  CHECK_THAT(problems_of("languages: {en: old}"), Contains("'languages.en' must be a mapping"));
  CHECK_THAT(problems_of("? [1, 2]\n: 3\n"), Contains("a key must be a plain name"));
}

TEST_CASE("what validation finds has path, value, rule and place", "[core][config]") {
  CHECK(problems_of("seed: -1\noptimizer:\n  learning_rate: 0\n") ==
        "config error: run.yaml: 2 problems\n"
        "  run.yaml:1: seed = -1: must not be negative\n"
        "  run.yaml:3: optimizer.learning_rate = 0.000000: must be positive");
  CHECK_THAT(problems_of("", {"seed=-3"}),
             Contains("--set seed=-3: seed = -3: must not be negative"));
}

namespace {
struct NeedsTokens {
  int64_t tokens = 0;
  template <class Visitor>
  void visit(Visitor& v) {
    v.required("tokens", tokens, "");
  }
};
struct Outer {
  NeedsTokens train;
  std::optional<NeedsTokens> tune;
  template <class Visitor>
  void visit(Visitor& v) {
    v.field("train", train, "");
    v.field("tune", tune, "");
  }
};
}  // namespace

TEST_CASE("a key that an absent section requires is missing, unless the section is optional",
          "[core][config]") {
  CHECK_THROWS_WITH(
      bind_config<Outer>(ConfigSource::from_text("", "x.yaml")),
      Contains("x.yaml:1: required key 'train.tokens' is missing") && !Contains("tune"));
  CHECK_THROWS_WITH(
      bind_config<Outer>(ConfigSource::from_text("train: {tokens: 1}\ntune: {}", "x.yaml")),
      Contains("x.yaml:2: required key 'tune.tokens' is missing") && Contains("1 problem\n"));
  CHECK(bind_config<Outer>(ConfigSource::from_text("train: {tokens: 7}", "x.yaml")).train.tokens ==
        7);
  // A section of the wrong kind is one problem, not one for every key in it.
  CHECK_THROWS_WITH(bind_config<Outer>(ConfigSource::from_text("train: 5", "x.yaml")),
                    Contains("1 problem\n"));
}

TEST_CASE("files that are missing are what reading them would be, unless more is wrong",
          "[core][config]") {
  const TemporaryFolder folder;
  const auto there = folder.write("there.txt", "x");
  Problems problems;
  problems.require_file("train", there);
  CHECK_NOTHROW(problems.throw_if_any("x.yaml"));
  problems.require_file("train", folder / "one.txt");
  problems.require_file("heldout", folder / "two.txt");
  CHECK_THROWS_AS(problems.throw_if_any("x.yaml"), IoError);
  CHECK_THROWS_WITH(problems.throw_if_any("x.yaml"),
                    Contains("x.yaml: 2 problems") && Contains("one.txt: no such file") &&
                        Contains("heldout = ") && Contains("two.txt: no such file"));
  problems.require_file("train", folder.path());
  CHECK_THROWS_AS(problems.throw_if_any("x.yaml"), ConfigError);
  CHECK_THROWS_WITH(problems.throw_if_any("x.yaml"),
                    Contains("3 problems") && Contains("is a folder, not a file"));
}

TEST_CASE("a number must lie in its interval, whose ends count or do not", "[core][config]") {
  const auto problem = [](auto value, Ends ends) -> std::string {
    Problems problems;
    problems.require_in("x", value, 0.5, 2, ends);
    try {
      problems.throw_if_any("x.yaml");
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  for (const Ends ends : {Ends::kBoth, Ends::kHigh, Ends::kLow, Ends::kNeither}) {
    CHECK(problem(1.5, ends) == "");
    CHECK(problem(int64_t{1}, ends) == "");
    CHECK_THAT(problem(0.49, ends), Contains("x = 0.49: must lie in "));
    CHECK_THAT(problem(int64_t{1234567}, ends), Contains("x = 1234567: must lie in "));
    CHECK_THAT(problem(std::nan(""), ends), Contains("x = nan: must lie in "));
    const bool has_low = ends == Ends::kBoth || ends == Ends::kLow;
    const bool has_high = ends == Ends::kBoth || ends == Ends::kHigh;
    CHECK(problem(0.5, ends).empty() == has_low);
    CHECK(problem(int64_t{2}, ends).empty() == has_high);
  }
  CHECK_THAT(problem(3.0, Ends::kBoth), Contains("must lie in [0.5, 2]"));
  CHECK_THAT(problem(3.0, Ends::kHigh), Contains("must lie in (0.5, 2]"));
  CHECK_THAT(problem(3.0, Ends::kLow), Contains("must lie in [0.5, 2)"));
  CHECK_THAT(problem(3.0, Ends::kNeither), Contains("must lie in (0.5, 2)"));
}

TEST_CASE("a word must be one of those that are known, a count large enough", "[core][config]") {
  Problems problems;
  problems.require_one_of("good", "b", {"a", "b"});
  problems.require_at_least("enough", 2, 2);
  CHECK(problems.empty());
  problems.require_one_of("bad", "c", {"a", "b"});
  problems.require_at_least("few", 1, 2);
  CHECK_THROWS_WITH(problems.throw_if_any("x"), Contains("bad = c: must be one of a, b") &&
                                                    Contains("few = 1: must be at least 2"));
}

TEST_CASE("text that is no YAML, or too much of it, is refused with its place", "[core][config]") {
  CHECK_THAT(problems_of("a: [1\nb: 2\n"), Contains("run.yaml:2:") && Contains("not valid YAML"));
  CHECK_THAT(problems_of("a: b: c"), Contains("run.yaml:1:5: not valid YAML"));
  CHECK_THAT(problems_of("- 1\n- 2"),
             Contains("top level must be a mapping") && Contains("a list"));
  CHECK_THAT(problems_of("5"), Contains("top level must be a mapping"));
  CHECK_THAT(problems_of("seed: 1\n---\nseed: 2\n"), Contains("more than one YAML document"));
  CHECK_THAT(problems_of("seed: 1\nname: \xFF\n"), Contains("run.yaml:2: not valid UTF-8"));
  CHECK_THAT(problems_of(std::string(100, '[')), Contains("not valid YAML"));
  CHECK_THAT(problems_of("name: " + std::string(100, '[') + std::string(100, ']')),
             Contains("too deeply"));
  CHECK_THAT(problems_of(std::string(5000, '[')), Contains("YAML"));
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string below = concat("*a", i - 1);
    bomb += concat("a", i, ": &a", i, " [", below);
    for (int k = 1; k < 10; ++k) bomb += ", " + below;
    bomb += "]\n";
  }
  CHECK_THAT(problems_of(bomb), Contains("too large once aliases are unfolded"));
  CHECK_THAT(problems_of("name: &a [*a]"), Contains("too deeply") || Contains("not valid YAML"));
}
