// eval/comparison_text.h: one test's numbers as cells, shared by every table that shows a
// comparison.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "eval/compare.h"

namespace polygraft::eval {

/// A change or margin on the test's scale: "+0.123 %", "-1.25 pp" or "-1.25".
std::string change_text(const LanguageTest& test, double change);
std::string change_text(const LanguageTest& test, Interval change);  ///< "[+0.091, +0.155] %"
std::string change_text(const LanguageTest& test);
std::string change_interval_text(const LanguageTest& test);
std::string margin_text(const LanguageTest& test);
std::string level_text(const LanguageTest& test,
                       double level);  ///< "1.3705" bits per byte, "61.3 %" accuracy, "41.2750"
std::string display_language(
    const LanguageTest& test);  ///< the task's name where no language is known

/// How the tests of one comparison are told apart: by their language, and by their task as well
/// where a language has several whose changes are on one scale.
class TestNames {
 public:
  explicit TestNames(const Comparison& comparison);
  std::string of(const LanguageTest& test) const;  ///< "id", or "id, xcopa_id"

 private:
  std::set<std::string> several_;  ///< languages
};

/// What was found, for people: "Gate passed", and one or two sentences.
struct Verdict {
  std::string headline, detail;
};
Verdict verdict_of(const Comparison& comparison);

/// How intervals and the gate's bound are made, in one sentence.
std::string method_note(const Comparison& comparison);

}  // namespace polygraft::eval
