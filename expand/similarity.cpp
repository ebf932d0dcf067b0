// expand/similarity.cpp: centred correlation of routing signatures.
#include "expand/similarity.h"

#include <cmath>
#include <numeric>

namespace polygraft::expand {

namespace {

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

double pearson(const std::vector<double>& a, const std::vector<double>& b) {
  const double mean_a = mean(a), mean_b = mean(b);
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double da = a[i] - mean_a, db = b[i] - mean_b;
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0.0;
}

std::map<std::string, std::map<std::string, double>> language_similarity(
    const std::vector<LayerProfile>& layers) {
  std::map<std::string, std::map<std::string, double>> similarity;
  if (layers.empty()) return similarity;
  for (const auto& [a, ignored] : layers.front().signature) {
    similarity[a][a] = 1.0;
    for (const auto& [b, also_ignored] : layers.front().signature) {
      if (!(a < b)) continue;
      double sum = 0;
      for (const LayerProfile& layer : layers) {
        sum += pearson(layer.signature.at(a), layer.signature.at(b));
      }
      similarity[a][b] = similarity[b][a] = sum / static_cast<double>(layers.size());
    }
  }
  return similarity;
}

}  // namespace polygraft::expand
