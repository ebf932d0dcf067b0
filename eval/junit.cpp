// eval/junit.cpp: the comparison as JUnit XML, the form CI systems show: a suite per language, a
// case per test. The two schemas in use, Ant's (JUnit.xsd) and the Jenkins xUnit plugin's
// (junit-10.xsd), disagree; what is written here is allowed by both, so the numbers of tests that
// passed are in the suite's output, and the counts stand on the suites alone.
#include <map>
#include <string_view>

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

void fill_outcome(TemplateDictionary& out, const LanguageTest& test) {
  if (test.outcome == Outcome::kFail) {
    set(*out.AddSectionDictionary("FAILURE"), "REASON", test.reason);
  } else if (test.outcome != Outcome::kPass) {
    TemplateDictionary* error = out.AddSectionDictionary("ERROR");
    set(*error, "KIND", std::string(outcome_name(test.outcome)));
    set(*error, "REASON", test.reason);
  }
}

std::string numbers_text(const LanguageTest& test) {
  if (test.outcome == Outcome::kNotComparable) return test.reason;
  return concat(level_text(test, test.estimate.baseline), " -> ",
                level_text(test, test.estimate.candidate), ", ", change_text(test), " ",
                change_interval_text(test), ", margin ", margin_text(test), ", p ",
                p_text(test.p_adjusted), ", ", test.estimate.num_documents, " documents; ",
                test.reason);
}

void fill_suite(TemplateDictionary& suite, const Tests& tests) {
  set_counts(suite, tests);
  for (const LanguageTest* test : tests) {
    for (const char* section : {"CASE", "CASE_NUMBERS"}) {
      TemplateDictionary* out = suite.AddSectionDictionary(section);
      set(*out, "TASK", test->task);
      set(*out, "METRIC", test->metric);
      set(*out, "NUMBERS", numbers_text(*test));
      if (section == std::string_view("CASE")) fill_outcome(*out, *test);
    }
  }
}

}  // namespace

std::string report_junit(const std::string& title, const Comparison& comparison) {
  TemplateDictionary document("junit");
  std::map<std::string, Tests> suites;
  for (const LanguageTest& test : comparison.tests) suites[display_language(test)].push_back(&test);
  set(document, "NAME", title);
  set(document, "TIME", utc_text("%Y-%m-%dT%H:%M:%S", comparison.candidate.date));
  int64_t id = 0;
  for (const auto& [language, tests] : suites) {
    TemplateDictionary* suite = document.AddSectionDictionary("SUITE");
    set(*suite, "ID", concat(id++));
    set(*suite, "LANGUAGE", language);
    if (!comparison.note.empty())
      set(*suite->AddSectionDictionary("REMARK"), "TEXT", comparison.note);
    fill_suite(*suite, tests);
  }
  return expand_template(kJunitTemplate, document);
}

}  // namespace polygraft::eval
