// eval/decision.h: the gate's one rule (compare.h) for one test, and its reason in a sentence.
#pragma once
#include "eval/compare.h"

namespace polygraft::eval {

/// Sets `outcome` and `reason` of a measured test whose p-value is adjusted.
void decide(LanguageTest& test, const GateConfig& gate);

}  // namespace polygraft::eval
