// expand/similarity.h: how alike two languages use the experts.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "expand/profile.h"

namespace polygraft::expand {

/// Pearson correlation of two equally long, non-empty vectors; 0 when one of them is constant.
double pearson(const std::vector<double>& a, const std::vector<double>& b);

/// Every pair of languages: the correlation of their signatures in each layer, averaged over the
/// layers. Symmetric; exactly 1 on the diagonal.
std::map<std::string, std::map<std::string, double>> language_similarity(
    const std::vector<LayerProfile>& layers);

}  // namespace polygraft::expand
