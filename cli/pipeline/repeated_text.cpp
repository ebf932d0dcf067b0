// cli/pipeline/repeated_text.cpp: see repeated_text.h.
#include "cli/pipeline/repeated_text.h"

#include <functional>
#include <map>
#include <string_view>
#include <unordered_map>

#include "core/file.h"
#include "core/text.h"
#include "expand/sequences.h"

namespace polygraft::cli {
namespace {

constexpr int64_t kLookedAtBytes = int64_t{64} << 20;
constexpr size_t kToleratedShare = 20;  ///< one document in so many repeats by chance

using DocumentHash = size_t;

/// Of each document, in order.
std::vector<DocumentHash> hashes_of(const std::vector<std::string>& files) {
  std::vector<std::string> present;
  for (const std::string& file : files)
    if (fs::exists(file)) present.push_back(file);
  std::vector<DocumentHash> hashes;
  for (const auto& document : expand::leading_documents(present, kLookedAtBytes))
    hashes.push_back(std::hash<std::string_view>{}(document.text));
  return hashes;
}

/// Which language trains on a document; of several one.
using TrainedBy = std::unordered_map<DocumentHash, std::string>;

/// How many of these documents each language trains on.
std::map<std::string, size_t> count_trained(const std::vector<DocumentHash>& hashes,
                                            const TrainedBy& trained_by) {
  std::map<std::string, size_t> counts;
  for (const DocumentHash hash : hashes) {
    const auto found = trained_by.find(hash);
    if (found != trained_by.end()) ++counts[found->second];
  }
  return counts;
}

/// "120 of 131 held-out documents of id are training text of id: ..."
void tell(const std::string& what, const std::string& language,
          const std::vector<DocumentHash>& hashes, const TrainedBy& trained_by,
          const std::string& consequence, std::vector<std::string>& found) {
  for (const auto& [by, count] : count_trained(hashes, trained_by)) {
    if (count * kToleratedShare <= hashes.size()) continue;
    found.push_back(concat(count, " of ", hashes.size(), " ", what, " documents of ", language,
                           " are training text of ", by, ": ", consequence));
  }
}

}  // namespace

std::vector<std::string> find_repeated_text(const tokenizer::Corpus& corpus) {
  std::vector<std::string> found;
  TrainedBy trained_by;
  for (const char* role : {"old", "new"}) {
    for (const std::string& language : corpus.with_role(role)) {
      const auto hashes = hashes_of(corpus.languages.at(language).train);
      if (role == std::string_view("new"))
        tell("training", language, hashes, trained_by, "it is learned and held back at once",
             found);
      for (const DocumentHash hash : hashes) trained_by.emplace(hash, language);
    }
  }
  for (const auto& [language, texts] : corpus.languages)
    tell("held-out", language, hashes_of(texts.heldout), trained_by,
         "what they show is not what other text would", found);
  return found;
}

}  // namespace polygraft::cli
