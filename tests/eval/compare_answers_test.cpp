// tests/eval/compare_answers_test.cpp: comparing accuracy, of answers that stand alone and of
// several to a document.
#include <catch2/catch.hpp>
#include <functional>

#include "eval/compare.h"
#include "tests/eval/comparison_fixture.h"
#include "tests/eval/fixture.h"

namespace polygraft::eval {
namespace {

/// One task's samples, a value each.
ResultFolder folder_of(const std::string& task, int count, const std::function<double(int)>& value,
                       const std::string& metric = "acc") {
  ResultFolder folder;
  TaskSamples& samples = folder.tasks[{task, "none"}];
  samples.metrics = {metric};
  for (int i = 0; i < count; ++i)
    samples.samples.push_back({.doc_id = std::to_string(i), .values = {value(i)}});
  return folder;
}

double always_right(int) { return 1; }
double every_second_right(int i) { return i % 2; }

}  // namespace

TEST_CASE("few answers show no small margin, even if none of them changed", "[eval][compare]") {
  const ResultFolder folder = folder_of("quiz_de", 40, every_second_right);
  const Comparison comparison = compare_results(folder, folder, {.margin_accuracy = 0.01});
  CHECK(comparison.outcome == Outcome::kInsufficient);
  CHECK_THAT(comparison.tests[0].reason, Catch::Contains("about 299 documents that change like"));
  CHECK(compare_results(folder, folder, {.margin_accuracy = 0.08}).outcome == Outcome::kPass);
}

TEST_CASE("answers that share documents show no more than the documents", "[eval][compare]") {
  const auto reason = [](size_t per_document, int lost) {
    ResultFolder baseline = folder_of("quiz_de", 200, always_right);
    std::vector<Sample>& samples = baseline.tasks.begin()->second.samples;
    for (size_t i = 0; i < samples.size(); ++i) samples[i].document = 1 + i / per_document;
    ResultFolder candidate = baseline;
    for (int i = 0; i < lost; ++i)
      candidate.tasks.begin()->second.samples[static_cast<size_t>(50 * i)].values = {0.0};
    const Comparison comparison = compare_results(baseline, candidate, {.margin_accuracy = 0.01});
    CHECK(comparison.outcome == Outcome::kInsufficient);
    return comparison.tests[0].reason;
  };
  CHECK_THAT(reason(1, 0), Catch::Contains("could be -1.49 pp"));
  CHECK_THAT(reason(1, 0), Catch::Contains("about 299 documents that change like"));
  CHECK_THAT(reason(4, 0), Catch::Contains("could be -5.82 pp"));
  CHECK_THAT(reason(4, 0), Catch::Contains("about 299 documents that change like"));
  CHECK_THAT(reason(4, 1), Catch::Contains("documents that change like these would decide it"));
}

TEST_CASE("scores between 0 and 1 are bounded as answers are", "[eval][compare]") {
  const auto folder = [](double first) {
    const auto value = [first](int i) { return i == 0 ? first : 1.0; };
    return folder_of("squad_de", 40, value, "exact_match");
  };
  CHECK(compare_results(folder(0.5), folder(0.5), {}).outcome == Outcome::kInsufficient);
  const auto rounded = [](int i) { return i == 0 ? 1 + 1e-15 : 1.0; };
  ResultFolder f1 = folder_of("squad_de", 40, rounded, "f1");
  f1.results["higher_is_better"]["squad_de"]["f1"] = true;
  CHECK(compare_results(f1, f1, {}).outcome == Outcome::kInsufficient);
  const Comparison lost = compare_results(folder(1), folder(0.5), {.margin_accuracy = 0.07});
  CHECK(lost.outcome == Outcome::kInsufficient);
  CHECK(lost.tests[0].answers == std::nullopt);
  const Comparison percent = compare_results(folder(31.5), folder(31.5), {});
  CHECK(percent.outcome == Outcome::kNotComparable);
  CHECK_THAT(percent.tests[0].reason, Catch::Contains("not between 0 and 1"));
}

TEST_CASE("what a task is compared by can be chosen", "[eval][compare]") {
  ResultFolder folder = folder_of("quiz_de", 400, always_right);
  TaskSamples& samples = folder.tasks.begin()->second;
  samples.metrics = {"acc", "acc_norm"};
  for (Sample& sample : samples.samples) sample.values = {1.0, 0.0};
  const auto compared_by = [&](const std::vector<std::string>& metrics) {
    const LanguageTest test = compare_results(folder, folder, {.metrics = metrics}).tests[0];
    return concat(test.metric, " ", test.estimate.baseline);
  };
  CHECK(compared_by({}) == "acc 1");
  CHECK(compared_by({"acc_norm"}) == "acc_norm 0");
  CHECK(compared_by({"acc_norm", "acc"}) == "acc_norm 0");
  CHECK_THROWS_WITH(compared_by({"acc_nrom"}),
                    Catch::Contains("metrics") && Catch::Contains("did you mean 'acc_norm'?"));
  samples.metrics = {"acc", "brier_score"};
  CHECK(compare_results(folder, folder, {.metrics = {"brier_score"}}).outcome ==
        Outcome::kNotComparable);  // nobody says that a higher one is better
  folder.results["higher_is_better"]["quiz_de"]["brier_score"] = true;
  CHECK(compared_by({"brier_score"}) == "brier_score 0");
  samples.metrics = {"nats", "num_bytes"};
  for (Sample& sample : samples.samples) sample.values = {M_LN2, 1.0};
  CHECK(compared_by({}) == "bits_per_byte 1");
  CHECK_THROWS_WITH(compared_by({"nats"}), Catch::Contains("one of bits_per_byte"));
}

TEST_CASE("a results file that calls a lower accuracy better is not overruled", "[eval][compare]") {
  ResultFolder folder = folder_of("quiz_de", 400, always_right);
  CHECK(compare_results(folder, folder, {}).outcome == Outcome::kPass);
  folder.results["higher_is_better"]["quiz_de"]["acc"] = false;
  const Comparison comparison = compare_results(folder, folder, {});
  CHECK(comparison.outcome == Outcome::kNotComparable);
  CHECK_THAT(comparison.tests[0].reason, Catch::Contains("higher_is_better"));
}

TEST_CASE("a new language's answers must be gained", "[eval][compare]") {
  const ResultFolder folder = folder_of("quiz_id", 400, every_second_right);
  const Comparison comparison = compare_results(folder, folder, {.new_languages = {{"id"}}});
  CHECK(comparison.outcome == Outcome::kFail);
  CHECK_THAT(comparison.tests[0].reason,
             Catch::EndsWith("nothing is gained; a language that both sides had before does "
                             "not belong in new_languages"));
}

TEST_CASE("a second run that answers alike is no noise, though few answers show little",
          "[eval][compare]") {
  const ResultFolder folder = folder_of("quiz_de", 400, every_second_right);
  Comparison comparison = compare_results(folder, folder, {});
  add_noise_floor(comparison, folder, folder);
  const LanguageTest& test = comparison.tests[0];
  REQUIRE(test.noise);
  CHECK(test.noise->interval.low == 0);
  CHECK(test.noise->interval.high == 0);
  CHECK(test.interval.low < -0.007);
  CHECK(test.interval.high > 0.007);
}

TEST_CASE("as many answers won as lost may be chance", "[eval][compare]") {
  const ResultFolder folder = folder_of("quiz_id", 400, every_second_right);
  const GateConfig gate{.new_languages = {{"id"}}};
  const auto moved = folder_of("quiz_id", 400, [](int i) { return i < 20 ? 1 - i % 2 : i % 2; });
  const Comparison even = compare_results(folder, moved, gate);
  CHECK(even.outcome == Outcome::kInsufficient);
  CHECK_THAT(even.tests[0].reason, Catch::Contains("nothing is gained, though it may be chance"));
  const auto lost = folder_of("quiz_id", 400, [](int i) { return i < 40 ? 0 : i % 2; });
  CHECK(compare_results(folder, lost, gate).outcome == Outcome::kFail);
}

TEST_CASE("an accuracy at the margin itself is not beyond it", "[eval][compare]") {
  const ResultFolder baseline = folder_of("quiz_de", 100, [](int i) { return i < 67; });
  ResultFolder candidate = baseline;
  candidate.tasks.begin()->second.samples[0].values = {0.0};
  const Comparison comparison = compare_results(baseline, candidate, {.margin_accuracy = 0.01});
  CHECK(comparison.outcome == Outcome::kInsufficient);
  CHECK_THAT(comparison.tests[0].reason, Catch::Contains("could be"));
  const Comparison same = compare_results(baseline, baseline, {.margin_accuracy = 0.01});
  CHECK(same.tests[0].interval.low < -0.0295);
  CHECK(same.tests[0].interval.high > 0.0295);
}

TEST_CASE("folders that lm-eval wrote are compared, accuracy on an absolute scale",
          "[eval][compare]") {
  const ResultFolder baseline = read_result_folder(fixture_path("lm_eval/baseline"));
  const ResultFolder candidate = read_result_folder(fixture_path("lm_eval/candidate"));
  const Comparison comparison = compare_results(baseline, candidate, {.min_documents = 2});
  const LanguageTest& german = test_of(comparison, "de");
  CHECK(german.metric == "bits_per_byte");
  CHECK(german.estimate.candidate ==
        Approx(candidate.results["results"]["bpb_de"]["bits_per_byte,none"].get<double>()));
  const LanguageTest& english = test_of(comparison, "en");
  CHECK(english.metric == "acc");
  CHECK(english.scale == Scale::kPoints);
  CHECK(english.margin == -0.01);
  CHECK(english.change() == Approx(candidate.results["results"]["qa_en"]["acc,none"].get<double>() -
                                   baseline.results["results"]["qa_en"]["acc,none"].get<double>()));
}

TEST_CASE("a fall in accuracy beyond the margin fails, a rise passes", "[eval][compare]") {
  const auto folder = [](int correct) {
    return folder_of("xcopa_it", 400, [correct](int i) { return i < correct; });
  };
  CHECK(compare_results(folder(300), folder(280), {}).outcome == Outcome::kFail);
  CHECK(compare_results(folder(300), folder(300), {}).outcome == Outcome::kPass);
  CHECK(compare_results(folder(300), folder(320), {}).outcome == Outcome::kPass);
}

}  // namespace polygraft::eval
