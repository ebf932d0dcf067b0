// eval/roles.h: which languages a corpus list marked as new when results were measured.
// results["polygraft"]["languages"][LANGUAGE]["role"] is "old" or "new"; lm-evaluation-harness's
// results and those of earlier versions state none.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "eval/results.h"

namespace polygraft::eval {

/// {language: role}, of the languages that have one. @param results as in ResultFolder
std::map<std::string, std::string> stated_roles(const OrderedJson& results);

/// The languages that one side or both mark as new, sorted.
/// @throws NotComparable naming a language that is new on one side and old on the other.
std::vector<std::string> stated_new_languages(const ResultFolder& baseline,
                                              const ResultFolder& candidate);

}  // namespace polygraft::eval
