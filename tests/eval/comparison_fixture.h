// tests/eval/comparison_fixture.h: result folders in memory, with known changes.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/hash.h"
#include "core/random.h"
#include "eval/compare.h"

namespace polygraft::eval {

/// How one language's documents change: relative change of each document = mean + spread * normal.
struct Change {
  double mean = 0, spread = 0;
  int64_t documents = 200;
};

inline TaskKey bpb_key(const std::string& language) { return {"bpb_" + language, "none"}; }

/// The samples of bpb_<language>; `values` are nats and bytes.
inline std::vector<Sample>& bpb_samples(ResultFolder& folder, const std::string& language) {
  return folder.tasks[bpb_key(language)].samples;
}

/// bpb_<lang> tasks; both sides hold the same documents.
inline std::pair<ResultFolder, ResultFolder> bpb_folders(
    const std::map<std::string, Change>& languages) {
  ResultFolder baseline, candidate;
  for (const auto& [language, change] : languages) {
    RandomStream random(11, language);
    for (ResultFolder* folder : {&baseline, &candidate})
      folder->tasks[bpb_key(language)].metrics = {"nats", "num_bytes"};
    for (int64_t i = 0; i < change.documents; ++i) {
      const double num_bytes = 100 + static_cast<double>(random.below(400));
      const double nats = num_bytes * (1.0 + 0.1 * random.normal());
      Sample sample;
      sample.doc_id = std::to_string(i);
      sample.doc_hash = sample.prompt_hash = sample.target_hash = sample.document =
          fingerprint(sha256(language + sample.doc_id));
      sample.values = {nats, num_bytes};
      bpb_samples(baseline, language).push_back(sample);
      sample.values[0] = nats * (1 + change.mean + change.spread * random.normal());
      bpb_samples(candidate, language).push_back(sample);
    }
  }
  return {baseline, candidate};
}

inline Comparison compare_bpb(const std::map<std::string, Change>& languages,
                              GateConfig gate = {}) {
  const auto [baseline, candidate] = bpb_folders(languages);
  return compare_results(baseline, candidate, gate);
}

inline const LanguageTest& test_of(const Comparison& comparison, const std::string& language) {
  for (const LanguageTest& test : comparison.tests) {
    if (test.language == language) return test;
  }
  throw NotComparable(language, "there is no such test");
}

}  // namespace polygraft::eval
