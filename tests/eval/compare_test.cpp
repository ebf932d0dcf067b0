// tests/eval/compare_test.cpp: the gate's outcomes.
#include "eval/compare.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.h"
#include "core/text.h"
#include "eval/pairing.h"
#include "tests/eval/comparison_fixture.h"

namespace polygraft::eval {

TEST_CASE("a verdict tells harm to old languages from a gain that is missing", "[eval][compare]") {
  const GateConfig gate = {.new_languages = {{"id"}}};
  const std::string no_gain =
      comparison_verdict(compare_bpb({{"de", {0, 0.002}}, {"id", {}}}, gate));
  CHECK_THAT(no_gain, Catch::StartsWith("Gate failed. 1 test of a new language without its gain."));
  const std::string both =
      comparison_verdict(compare_bpb({{"de", {0.02, 0.002}}, {"id", {0.1, 0.002}}}, gate));
  CHECK_THAT(both, Catch::StartsWith("Gate failed. 1 test beyond the margin, 1 test of a new "
                                     "language without its gain."));
}

TEST_CASE("equal results pass", "[eval][compare]") {
  const Comparison comparison = compare_bpb({{"de", {}}, {"cs", {}}});
  CHECK(comparison.outcome == Outcome::kPass);
  REQUIRE(comparison.tests.size() == 2);
  CHECK(comparison.tests[0].language == "cs");
  CHECK(comparison.tests[0].change() == 0);
  CHECK(comparison.tests[0].p_adjusted == 1);
  CHECK(outcome_exit_code(comparison.outcome) == ExitCode::kDone);
}

TEST_CASE("a small and certain change passes, a large one fails, a vague one is insufficient",
          "[eval][compare]") {
  const Comparison comparison =
      compare_bpb({{"de", {0.0005, 0.002}}, {"es", {0.004, 0.002}}, {"it", {0.0012, 0.02}}});
  const LanguageTest& german = test_of(comparison, "de");
  CHECK(german.outcome == Outcome::kPass);
  CHECK(german.change() == Approx(0.0005).margin(0.0004));
  CHECK(german.bound <= german.margin);
  const LanguageTest& spanish = test_of(comparison, "es");
  CHECK(spanish.outcome == Outcome::kFail);
  CHECK(spanish.p_adjusted < 0.01);
  CHECK_THAT(spanish.reason, Catch::Contains("not by chance"));
  const LanguageTest& italian = test_of(comparison, "it");
  CHECK(italian.outcome == Outcome::kInsufficient);
  CHECK(italian.change() <= italian.margin);
  CHECK(italian.bound > italian.margin);
  CHECK_THAT(italian.reason, Catch::Contains("documents that change like these would decide it"));
  CHECK(comparison.outcome == Outcome::kFail);
  CHECK(outcome_exit_code(comparison.outcome) == ExitCode::kGateFailed);
  CHECK(comparison.worst()->language == "es");
}

namespace {

LanguageTest scaled_test(const std::string& task, bool relative, double change, double margin,
                         Outcome outcome) {
  LanguageTest test;
  test.task = task;
  test.scale = relative ? Scale::kRelative : Scale::kPoints;
  test.higher_is_better = !relative;
  test.margin = margin;
  test.outcome = outcome;
  (relative ? test.estimate.relative : test.estimate.delta) = change;
  return test;
}

std::string worst_of(std::vector<LanguageTest> tests) {
  Comparison comparison;
  comparison.tests = std::move(tests);
  return comparison.worst()->task;
}

}  // namespace

TEST_CASE("the worst test has the worst outcome, then the most harm in its own margins",
          "[eval][compare]") {
  const auto bpb = scaled_test("bpb", true, 0.004, 0.002, Outcome::kFail);
  const auto chrf = scaled_test("chrf", false, -0.5, -1.0, Outcome::kPass);
  const auto vague = scaled_test("vague", false, 0.0, -0.01, Outcome::kInsufficient);
  CHECK(worst_of({bpb, chrf, vague}) == "bpb");
  CHECK(worst_of({chrf, vague}) == "vague");
  const auto accuracy = scaled_test("accuracy", false, -0.015, -0.01, Outcome::kFail);
  CHECK(worst_of({accuracy, bpb}) == "bpb");
  const auto strict = scaled_test("strict", true, 1e-6, 0.0, Outcome::kFail);
  const auto stricter = scaled_test("stricter", true, 2e-6, 0.0, Outcome::kFail);
  CHECK(worst_of({bpb, stricter, strict}) == "stricter");
  const auto better = scaled_test("better", true, -0.01, 0.0, Outcome::kPass);
  const auto same = scaled_test("same", true, 0.0, 0.0, Outcome::kPass);
  CHECK(worst_of({better, same}) == "same");
  const auto boundless = scaled_test("boundless", true, NAN, 0.002, Outcome::kInsufficient);
  CHECK(worst_of({vague, boundless}) == "boundless");
  CHECK(worst_of({boundless, vague}) == "boundless");
}

TEST_CASE(
    "a rise within chance fails with enough data for the asked power, and is else insufficient",
    "[eval][compare]") {
  const std::map<std::string, Change> languages = {{"pl", {0.003, 0.05, 60}}};
  const auto test = [&](GateConfig gate) { return compare_bpb(languages, gate).tests.front(); };
  const LanguageTest no_margin = test({.margin_relative_bpb = 0.0});
  REQUIRE(no_margin.change() > 0.002);
  CHECK(no_margin.outcome == Outcome::kFail);  // no number of documents would give it power
  CHECK_THAT(no_margin.reason, Catch::Contains("may be chance (p = 0."));
  const LanguageTest weak = test({.margin_relative_bpb = 0.002});
  CHECK(weak.outcome == Outcome::kInsufficient);
  CHECK_THAT(weak.reason, Catch::Contains("less than the 80 % asked; about") &&
                              Catch::Contains("documents like these would do"));
  const double power = non_inferiority_power(0.002, weak.change_error(), weak.unchanged_reach);
  CHECK(test({.margin_relative_bpb = 0.002, .power = power + 0.01}).outcome ==
        Outcome::kInsufficient);
  CHECK(test({.margin_relative_bpb = 0.002, .power = power - 0.01}).outcome == Outcome::kFail);
}

TEST_CASE("a margin of its own counts for a task before its language", "[eval][compare]") {
  const auto margin = [](std::map<std::string, double> margins) {
    return compare_bpb({{"de", {}}, {"es", {}}}, {.margins = margins}).tests.front().margin;
  };
  CHECK(margin({}) == 0.002);
  CHECK(margin({{"de", 0.01}, {"es", 0.5}}) == 0.01);
  CHECK(margin({{"de", 0.01}, {"bpb_de", 0.03}}) == 0.03);
}

TEST_CASE("a margin of nothing that is compared is an error", "[eval][compare]") {
  const auto compare = [](const std::string& name) {
    return compare_bpb({{"de", {}}, {"es", {}}},
                       {.margins = {{name, 0.1}}, .new_languages = {{"id"}}});
  };
  for (const char* name : {"de", "bpb_de"}) CHECK_NOTHROW(compare(name));
  for (const char* name : {"id", "bpb_id"})
    CHECK_THROWS_WITH(compare(name), Catch::Contains("of a new language, which must gain"));
  CHECK_THROWS_AS(compare("dee"), ConfigError);
  CHECK_THROWS_WITH(compare("bpb_dee"), Catch::Contains("margins.bpb_dee") &&
                                            Catch::Contains("one of bpb_de, bpb_es, de, es\n") &&
                                            Catch::Contains("did you mean 'bpb_de'"));
}

TEST_CASE("without a setting the languages that the results mark as new are gated by gain",
          "[eval][compare]") {
  auto [baseline, candidate] = bpb_folders({{"de", {}}, {"id", {}}});
  const auto role = [](ResultFolder& folder, const char* language, const char* is) {
    folder.results["polygraft"]["languages"][language]["role"] = is;
  };
  const auto outcome = [&, &from = baseline, &to = candidate](GateConfig gate) {
    return test_of(compare_results(from, to, gate), "id").outcome;
  };
  const GateConfig asks_for_gain = {.min_new_gain_relative = 0.1};
  CHECK(outcome(asks_for_gain) == Outcome::kPass);  // an old language, as far as anybody knows
  role(candidate, "de", "old");
  role(candidate, "id", "new");
  CHECK(outcome(asks_for_gain) == Outcome::kFail);
  CHECK(compare_results(baseline, candidate, {}).to_json()["gate"]["new_languages"] ==
        Json::array({"id"}));
  CHECK(outcome({.min_new_gain_relative = 0.1, .new_languages = std::vector<std::string>{}}) ==
        Outcome::kPass);
  role(baseline, "id", "old");
  CHECK_THROWS_AS(outcome({}), NotComparable);
  CHECK_THROWS_WITH(outcome({}), Catch::Contains("role of 'id'") && Catch::Contains("role: new"));
  CHECK(outcome({.min_new_gain_relative = 0.1, .new_languages = {{"id"}}}) == Outcome::kFail);
}

TEST_CASE("the number of documents it asks for decides the test", "[eval][compare]") {
  const auto [baseline, candidate] = bpb_folders({{"de", {0.0, 0.03, 50}}});
  const LanguageTest measured = compare_results(baseline, candidate, {}).tests.front();
  // Half way from the estimate to its bound: four times the documents bring the bound there.
  const GateConfig gate = {.margin_relative_bpb = (measured.change() + measured.bound) / 2};
  const LanguageTest vague = compare_results(baseline, candidate, gate).tests.front();
  REQUIRE(vague.outcome == Outcome::kInsufficient);
  CHECK_THAT(vague.reason, Catch::Contains("about 20"));
  const auto outcome_of_copies = [&, &from = baseline, &to = candidate](int copies) {
    ResultFolder more_baseline = from, more_candidate = to;
    for (int copy = 1; copy < copies; ++copy) {  // the same documents again, under other names
      for (auto [source, target] :
           {std::pair{&from, &more_baseline}, std::pair{&to, &more_candidate}}) {
        for (Sample sample : source->tasks.at(bpb_key("de")).samples) {
          sample.doc_id = std::to_string(1000 * copy + std::stoi(sample.doc_id));
          sample.document += static_cast<uint64_t>(copy);
          bpb_samples(*target, "de").push_back(sample);
        }
      }
    }
    return compare_results(more_baseline, more_candidate, gate).outcome;
  };
  CHECK(outcome_of_copies(3) == Outcome::kInsufficient);
  CHECK(outcome_of_copies(5) == Outcome::kPass);
}

TEST_CASE("too few documents are insufficient whatever they say", "[eval][compare]") {
  const Comparison comparison = compare_bpb({{"de", {0.5, 0.0, 19}}});
  CHECK(comparison.outcome == Outcome::kInsufficient);
  CHECK(outcome_exit_code(comparison.outcome) == ExitCode::kNotComparable);
  CHECK_THAT(comparison.tests.front().reason, Catch::Contains("19 documents; at least 20"));
}

TEST_CASE("a pass that rests on one document says so", "[eval][compare]") {
  auto [baseline, candidate] = bpb_folders({{"de", {0.0, 0.0}}});
  bpb_samples(candidate, "de").front().values[0] *= 1.001;
  const Comparison comparison = compare_results(baseline, candidate, {});
  const LanguageTest& test = comparison.tests.front();
  CHECK(test.outcome == Outcome::kPass);
  CHECK(test.estimate.largest_share == 1);
  CHECK_THAT(comparison_table(comparison), Catch::Contains("  de: no worse than "));
  CHECK(test.bound > 2 * test.change());
  CHECK_THAT(test.reason, Catch::EndsWith("; document 0 alone has 100 % of all that changed"));
}

TEST_CASE("a change without a bound does not pass", "[eval][compare]") {
  auto [baseline, candidate] = bpb_folders({{"de", {0.0, 0.0, 40}}});
  for (ResultFolder* side : {&baseline, &candidate}) {
    auto& samples = bpb_samples(*side, "de");
    for (size_t i = 1; i < samples.size(); ++i) samples[i].values[0] = 0;
  }
  const Comparison comparison = compare_results(baseline, candidate, {});
  CHECK(comparison.outcome == Outcome::kInsufficient);
  CHECK_THAT(comparison.tests.front().reason, Catch::Contains("has no bound"));
}

TEST_CASE("a new language is gated by its gain", "[eval][compare]") {
  const std::map<std::string, Change> languages = {{"de", {}}, {"id", {-0.2, 0.05}}};
  GateConfig gate = {.min_new_gain_relative = 0.1, .new_languages = {{"id"}}};
  const Comparison enough = compare_bpb(languages, gate);
  CHECK(enough.outcome == Outcome::kPass);
  CHECK(enough.tests.back().is_new);
  CHECK(enough.tests.back().margin == -0.1);
  CHECK(enough.worst()->language == "de");
  gate.min_new_gain_relative = 0.3;
  const LanguageTest less = test_of(compare_bpb(languages, gate), "id");
  CHECK(less.outcome == Outcome::kFail);
  CHECK_THAT(less.reason, Catch::Contains(" is less than the asked gain of -30.0 %"));
  gate.min_new_gain_relative = 0.199;
  CHECK(test_of(compare_bpb(languages, gate), "id").outcome != Outcome::kPass);
}

TEST_CASE("a new language that nothing measures does not pass in silence", "[eval][compare]") {
  const Comparison comparison = compare_bpb({{"de", {}}}, {.new_languages = {{"id"}}});
  CHECK(comparison.outcome == Outcome::kNotComparable);
  CHECK_THAT(test_of(comparison, "id").reason, Catch::Contains("no task measures"));
}

TEST_CASE("harm that no chance explains fails among any number of tests", "[eval][compare]") {
  std::map<std::string, Change> languages = {{"de", {0.1, 0.01, 60}}};
  for (int i = 0; i < 129; ++i) languages[concat("x", i)] = {0, 0.0005, 60};
  const Comparison comparison = compare_bpb(languages);
  CHECK(comparison.outcome == Outcome::kFail);
  CHECK(test_of(comparison, "de").p_adjusted < 0.05);
  CHECK(comparison.gate.resamples == 5200);
  CHECK(compare_bpb({{"de", {}}}).gate.resamples == 2000);
}

TEST_CASE("Holm's adjustment spans the old languages only", "[eval][compare]") {
  const std::map<std::string, Change> one = {{"de", {0.0022, 0.004}}};
  std::map<std::string, Change> several = one;
  for (const char* language : {"cs", "es", "fr", "it"}) several[language] = {0.0, 0.004};
  const double alone = compare_bpb(one).tests.front().p_adjusted;
  CHECK(test_of(compare_bpb(several), "de").p_adjusted == Approx(std::min(1.0, 5 * alone)));
  CHECK(test_of(compare_bpb(several, {.new_languages = {{"cs", "es", "fr", "it"}}}), "de")
            .p_adjusted == Approx(alone));
}

TEST_CASE("a noise floor is shown and changes nothing else", "[eval][compare]") {
  const auto [baseline, candidate] = bpb_folders({{"de", {0.004, 0.002}}});
  auto [unused, repeat] = bpb_folders({{"de", {0.001, 0.0001}}});
  const Comparison before = compare_results(baseline, candidate, {});
  Comparison after = before;
  add_noise_floor(after, baseline, repeat);
  REQUIRE(after.tests.front().noise);
  CHECK(after.tests.front().noise->change == Approx(0.001).margin(0.0001));
  CHECK(after.tests.front().noise->interval.low < after.tests.front().noise->change);
  Json json = after.to_json();
  CHECK(json["tests"][0]["noise"]["delta"] == after.tests.front().noise->change);
  for (const char* key : {"tests", "worst"}) {
    Json& test = json[key].is_array() ? json[key][0] : json[key];
    test["noise"] = Json();
  }
  CHECK(json == before.to_json());
  repeat.results["model_name"] = "another";
  CHECK_NOTHROW(add_noise_floor(after, baseline, repeat));  // nothing tells
  ResultFolder named = baseline;
  named.results["model_name"] = "base";
  CHECK_THROWS_WITH(add_noise_floor(after, named, repeat),
                    Catch::Contains("model: 'base' and 'another'"));
  for (ResultFolder* folder : {&named, &repeat})
    folder->results["polygraft"]["model_hash"] = "1f";  // moved or renamed
  CHECK_NOTHROW(add_noise_floor(after, named, repeat));
  bpb_samples(repeat, "de")[3].doc_hash = 1;
  CHECK_THROWS_AS(add_noise_floor(after, baseline, repeat), NotComparable);
}

TEST_CASE("any fail outweighs what is not comparable, which outweighs little evidence",
          "[eval][compare]") {
  const auto overall = [](std::vector<Outcome> outcomes) {
    std::vector<LanguageTest> tests;
    for (const Outcome outcome : outcomes) tests.emplace_back().outcome = outcome;
    return overall_outcome(tests);
  };
  using enum Outcome;
  CHECK(overall({kPass, kInsufficient, kNotComparable, kFail}) == kFail);
  CHECK(overall({kPass, kInsufficient, kNotComparable}) == kNotComparable);
  CHECK(overall({kPass, kInsufficient}) == kInsufficient);
  CHECK(overall({kPass, kPass}) == kPass);
  CHECK(overall({}) == kNotComparable);
}

TEST_CASE("a task's language is found in its name", "[eval][compare]") {
  CHECK(task_language("bpb_pt-BR", {}) == "pt-BR");
  CHECK(task_language("xcopa_id", {}) == "id");
  CHECK(task_language("belebele_ind_Latn", {}) == "ind_Latn");
  CHECK(task_language("cloze_toki_pona", {"toki_pona"}) == "toki_pona");
  CHECK(task_language("hellaswag", {}).empty());
}

TEST_CASE("the JSON has the documented keys, on one scale", "[eval][compare]") {
  const Json json = compare_bpb({{"de", {0.004, 0.002}}}).to_json();
  CHECK(json["outcome"] == "fail");
  for (const char* key : {"task", "language", "metric", "baseline", "candidate", "delta", "ci_low",
                          "ci_high", "margin", "p_adjusted", "n", "outcome"}) {
    INFO(key);
    CHECK(json["tests"][0].contains(key));
    CHECK(json["worst"].contains(key));
  }
  CHECK(json["tests"][0]["delta"] > json["tests"][0]["margin"]);
  CHECK(compare_bpb({{"id", {}}}, {.new_languages = {{"id"}}}).to_json()["worst"].is_null());
}

TEST_CASE("a gate that cannot be meant is refused, all problems at once", "[eval][compare]") {
  const auto source = ConfigSource::from_text(
      "{margin_relative_bpb: -1, confidence: 95, resamples: 3}", "gate.yaml");
  CHECK_THROWS_WITH(bind_config<GateConfig>(source), Catch::Contains("margin_relative_bpb") &&
                                                         Catch::Contains("confidence") &&
                                                         Catch::Contains("resamples"));
  const auto fails = [](const char* yaml, const char* key) {
    CHECK_THROWS_WITH(bind_config<GateConfig>(ConfigSource::from_text(yaml, "gate.yaml")),
                      Catch::Contains(key));
  };
  fails("{confidence: 0.999}", "at least 10000");
  fails("{margins: {de: .inf}}", "margins.de");
  fails("{margin_relative_bpb: .inf}", "margin_relative_bpb");
  CHECK_NOTHROW(bind_config<GateConfig>(
      ConfigSource::from_text("{confidence: 0.99, resamples: 1000}", "gate.yaml")));
}

}  // namespace polygraft::eval
