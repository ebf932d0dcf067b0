// expand/donors.cpp: ranking of languages and of experts.
#include "expand/donors.h"

#include <algorithm>

#include "core/error.h"
#include "core/text.h"

namespace polygraft::expand {

std::vector<std::pair<std::string, double>> rank_old_languages(const Profile& profile,
                                                               const std::string& language) {
  const auto row = profile.similarity.find(language);
  if (row == profile.similarity.end() || profile.roles.count(language) == 0) {
    std::vector<std::string> known;
    for (const auto& [name, role] : profile.roles) known.push_back(name);
    throw ConfigError(concat("language '", language, "'"), "is not in the profile")
        .found("languages " + join(known, ", "))
        .hint("add it to corpus.yaml with role new, and run `polygraft expand profile` again");
  }
  std::vector<std::pair<std::string, double>> ranked;
  for (const auto& [other, similarity] : row->second) {
    const auto role = profile.roles.find(other);
    const bool is_old = role != profile.roles.end() && role->second == "old";
    if (is_old && other != language) ranked.emplace_back(other, similarity);
  }
  if (ranked.empty()) {
    throw ConfigError("profile", "it has no old language")
        .hint("the fits protect old languages: list at least one in corpus.yaml with role old");
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return ranked;
}

namespace {

double mean_share(const LayerProfile& layer, size_t expert,
                  const std::vector<std::pair<std::string, double>>& languages,
                  size_t num_languages) {
  double sum = 0;
  for (size_t i = 0; i < num_languages; ++i) {
    sum += layer.signature.at(languages[i].first)[expert];
  }
  return sum / static_cast<double>(num_languages);
}

}  // namespace

std::vector<Donor> choose_donors(const LayerProfile& layer, const std::string& language,
                                 const std::vector<std::pair<std::string, double>>& nearest,
                                 bool weigh_by_specificity, int64_t num_donors) {
  const std::vector<double>& use = layer.signature.at(language);
  const size_t num_nearest = std::min<size_t>(3, (nearest.size() + 1) / 2);
  std::vector<Donor> ranked;
  for (size_t expert = 0; expert < use.size(); ++expert) {
    double score = use[expert];
    if (weigh_by_specificity) {
      const double all = mean_share(layer, expert, nearest, nearest.size());
      if (all > 0) score *= mean_share(layer, expert, nearest, num_nearest) / all;
    }
    ranked.push_back({static_cast<int64_t>(expert), score});
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Donor& a, const Donor& b) { return a.score > b.score; });
  ranked.resize(std::min(ranked.size(), static_cast<size_t>(num_donors)));
  return ranked;
}

}  // namespace polygraft::expand
