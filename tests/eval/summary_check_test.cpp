// tests/eval/summary_check_test.cpp: a results file that its own samples contradict.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "eval/choice.h"
#include "eval/results.h"
#include "tests/eval/fixture.h"

namespace polygraft::eval {
namespace {

const std::string kLmEval = "lm_eval/baseline";

BpbResult german_with_causes() {
  BpbResult result;
  result.languages["de"] = {{"de.txt:1", sha256("eins"), 4, 2, 3.25},
                            {"de.txt:2", sha256("zwei"), 5, 3, 0.1}};
  Causes& causes = result.causes["de"];
  causes.bits_per_byte_base = 0.5;
  causes.bits_per_byte_expanded = bits_per_byte(result.languages["de"]);
  causes.num_documents = 2;
  return result;
}

fs::path results_file_below(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with("results_")) return entry.path();
  }
  throw IoError(folder, "no results file");
}

/// What reading says after an edit of the results file, or "".
std::string error_after(const fs::path& folder, const std::function<void(OrderedJson&)>& edit) {
  const fs::path file = results_file_below(folder);
  OrderedJson results = read_ordered_json(file);
  edit(results);
  write_json(file, results);
  try {
    read_result_folder(folder);
  } catch (const NotComparable& error) {
    CHECK_THAT(error.what(), Catch::Contains(file.string()));
    return error.what();
  }
  return "";
}

std::string error_after_setting(const std::string& pointer, const OrderedJson& value) {
  const TemporaryFolder temporary;
  write_bpb_result(german_with_causes(), temporary / "run");
  return error_after(temporary / "run", [&](OrderedJson& results) {
    const OrderedJson::json_pointer where(pointer);
    REQUIRE(results.contains(where));
    results[where] = value;
  });
}

std::string lm_eval_error_after(const std::function<void(OrderedJson&)>& edit) {
  const TemporaryFolder temporary;
  fs::copy(fixture_path(kLmEval), temporary / "copy", fs::copy_options::recursive);
  return error_after(temporary / "copy", edit);
}

}  // namespace

TEST_CASE("a summary that its samples contradict is refused by file and key", "[eval][results]") {
  const std::string totals = "/polygraft/languages/de/";
  const std::pair<std::string, OrderedJson> edits[] = {
      {"/results/bpb_de/bits_per_byte,none", 0.5},
      {"/results/bpb_de/bits_per_byte,none", 3.35 / M_LN2 / 9 * 1.00001},
      {"/results/bpb_de/byte_perplexity,none", 1.5},
      {totals + "documents", 3},
      {totals + "nats", 3.36},
      {totals + "num_bytes", 10},
      {totals + "causes/documents", 1},
      {totals + "causes/bits_per_byte_expanded", 0.5}};
  for (const auto& [pointer, value] : edits) {
    INFO(pointer);
    std::string key = pointer.substr(1);
    std::replace(key.begin(), key.end(), '/', '.');
    CHECK_THAT(error_after_setting(pointer, value), Catch::Contains(concat("key '", key, "'")) &&
                                                        Catch::Contains(value.dump()) &&
                                                        Catch::Contains("by 2 samples"));
  }
}

TEST_CASE("another order of adding up, and what is no number, are no contradiction",
          "[eval][results]") {
  const double bits_per_byte = 3.35 / M_LN2 / 9;
  CHECK(error_after_setting("/results/bpb_de/bits_per_byte,none", bits_per_byte * (1 + 1e-9)) ==
        "");
  CHECK(error_after_setting("/results/bpb_de/bits_per_byte,none", "N/A") == "");
  CHECK(error_after_setting("/polygraft", OrderedJson::object()) == "");
}

TEST_CASE("accuracies of our own choices are means of the samples", "[eval][results]") {
  const TemporaryFolder temporary;
  ChoiceResult result;
  ChoiceTask& task = result.tasks["quiz_de"];
  for (const int64_t gold : {0, 1, 1}) {
    ChoiceItem item;
    item.gold = gold;
    item.json = {{"id", concat("q", task.items.size())}, {"gold", gold}};
    task.items.push_back(item);
    ChoiceScore score;
    score.choices.resize(2);  // " ja" is the likelier one
    score.choices[0] = {1, 1, 3, 3};
    score.choices[1] = {2, 1, 5, 5};
    task.scores.push_back(score);
  }
  write_choice_result(result, temporary / "run");
  CHECK(error_after(temporary / "run", [](OrderedJson&) {}) == "");
  CHECK_THAT(error_after(
                 temporary / "run",
                 [](OrderedJson& results) { results["results"]["quiz_de"]["acc,none"] = 2.0 / 3; }),
             Catch::Contains("results.quiz_de.acc,none") && Catch::Contains("by 3 samples"));
}

TEST_CASE("lm-eval's means are checked where they are means", "[eval][results]") {
  const auto raise = [](OrderedJson& results) { results["results"]["qa_en"]["acc,none"] = 0.51; };
  CHECK(lm_eval_error_after([](OrderedJson&) {}) == "");
  CHECK_THAT(lm_eval_error_after(raise), Catch::Contains("results.qa_en.acc,none"));
  const auto raise_with = [&](const std::string& aggregation) {
    return lm_eval_error_after([&](OrderedJson& results) {
      raise(results);
      for (OrderedJson& metric : results["configs"]["qa_en"]["metric_list"])
        metric["aggregation"] = aggregation;
    });
  };
  CHECK_THAT(raise_with("mean"), Catch::Contains("results.qa_en.acc,none"));
  CHECK(raise_with("def weighted(items): ...") == "");
  const auto raise_named = [&](const std::string& metric) {
    return lm_eval_error_after([&](OrderedJson& results) {
      raise(results);
      for (OrderedJson& entry : results["configs"]["qa_en"]["metric_list"])
        entry["metric"] = metric;
    });
  };
  CHECK(raise_named("def acc(items): ...") == "");
}

TEST_CASE("a rolling metric is checked where it is aggregated as usual", "[eval][results]") {
  for (const auto& [metric, usual] : {std::pair("bits_per_byte", "bits_per_byte"),
                                      std::pair("byte_perplexity", "weighted_perplexity")}) {
    INFO(metric);
    const auto raise_with = [&, name = metric](const std::string& aggregation) {
      const TemporaryFolder temporary;
      write_bpb_result(german_with_causes(), temporary / "run");
      return error_after(temporary / "run", [&](OrderedJson& results) {
        results["results"]["bpb_de"][concat(name, ",none")] = 2.5;
        results["configs"]["bpb_de"]["metric_list"] = {
            {{"metric", name}, {"aggregation", aggregation}}};
      });
    };
    CHECK_THAT(raise_with(usual), Catch::Contains(metric));
    CHECK(raise_with("median") == "");
  }
}

}  // namespace polygraft::eval
