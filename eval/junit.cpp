// eval/junit.cpp: the comparison as JUnit XML, the form CI systems show: a suite per language, a
// case per test.
#include <map>

#include "core/text.h"
#include "eval/comparison_text.h"
#include "eval/embedded_texts.h"
#include "eval/number_text.h"
#include "eval/page_template.h"
#include "eval/report.h"

namespace polygraft::eval {
namespace {

using ctemplate::TemplateDictionary;
using Tests = std::vector<const LanguageTest*>;

void set_counts(TemplateDictionary& dictionary, const Tests& tests) {
  size_t failures = 0, errors = 0;
  for (const LanguageTest* test : tests) {
    failures += test->outcome == Outcome::kFail ? 1 : 0;
    errors +=
        test->outcome == Outcome::kInsufficient || test->outcome == Outcome::kNotComparable ? 1 : 0;
  }
  set(dictionary, "TESTS", concat(tests.size()));
  set(dictionary, "FAILURES", concat(failures));
  set(dictionary, "ERRORS", concat(errors));
}

void fill_case(TemplateDictionary& out, const LanguageTest& test) {
  set(out, "TASK", test.task);
  set(out, "METRIC", test.metric);
  if (test.outcome == Outcome::kFail) {
    set(*out.AddSectionDictionary("FAILURE"), "REASON", test.reason);
  } else if (test.outcome != Outcome::kPass) {
    TemplateDictionary* error = out.AddSectionDictionary("ERROR");
    set(*error, "KIND", std::string(outcome_name(test.outcome)));
    set(*error, "REASON", test.reason);
  }
  if (test.outcome == Outcome::kNotComparable) return;
  set(out, "NUMBERS",
      concat(level_text(test, test.estimate.baseline), " -> ",
             level_text(test, test.estimate.candidate), ", ", change_text(test), " ",
             change_interval_text(test), ", margin ", margin_text(test), ", p ",
             p_text(test.p_adjusted), ", ", test.estimate.num_pairs, " documents; ", test.reason));
}

}  // namespace

std::string report_junit(const std::string& title, const Comparison& comparison) {
  TemplateDictionary document("junit");
  Tests all;
  std::map<std::string, Tests> suites;
  for (const LanguageTest& test : comparison.tests) {
    all.push_back(&test);
    suites[display_language(test)].push_back(&test);
  }
  set(document, "NAME", title);
  set_counts(document, all);
  for (const auto& [language, tests] : suites) {
    TemplateDictionary* suite = document.AddSectionDictionary("SUITE");
    set(*suite, "LANGUAGE", language);
    set_counts(*suite, tests);
    for (const LanguageTest* test : tests) fill_case(*suite->AddSectionDictionary("CASE"), *test);
  }
  return expand_template(kJunitTemplate, document);
}

}  // namespace polygraft::eval
