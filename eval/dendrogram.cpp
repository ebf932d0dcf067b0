// eval/dendrogram.cpp: see dendrogram.h.
#include "eval/dendrogram.h"

#include <optional>

#include "core/text.h"

namespace polygraft::eval {
namespace {

/// A cluster not yet joined: its node, its leaves, and its similarity to each other node.
struct Cluster {
  size_t node = 0;
  double num_leaves = 1;
  std::vector<double> similarity;
};

/// The nearest two clusters, as indices; the first pair of equals.
std::pair<size_t, size_t> nearest(const std::vector<Cluster>& clusters) {
  std::pair<size_t, size_t> best{0, 1};
  for (size_t a = 0; a < clusters.size(); ++a) {
    for (size_t b = a + 1; b < clusters.size(); ++b) {
      if (clusters[a].similarity[b] > clusters[best.first].similarity[best.second]) best = {a, b};
    }
  }
  return best;
}

/// Puts cluster `b` into `a`: the mean over leaves of a union is the weighted mean of means.
void merge(std::vector<Cluster>& clusters, size_t a, size_t b) {
  Cluster& into = clusters[a];
  const Cluster& from = clusters[b];
  const double all = into.num_leaves + from.num_leaves;
  for (size_t other = 0; other < clusters.size(); ++other) {
    if (other == a || other == b) continue;
    const double mean =
        (into.num_leaves * into.similarity[other] + from.num_leaves * from.similarity[other]) / all;
    into.similarity[other] = clusters[other].similarity[a] = mean;
  }
  into.num_leaves = all;
  clusters.erase(clusters.begin() + static_cast<ptrdiff_t>(b));
  for (Cluster& cluster : clusters)
    cluster.similarity.erase(cluster.similarity.begin() + static_cast<ptrdiff_t>(b));
}

}  // namespace

std::vector<Join> average_linkage(const std::vector<std::vector<double>>& similarity) {
  std::vector<Cluster> clusters;
  for (size_t i = 0; i < similarity.size(); ++i) clusters.push_back({i, 1, similarity[i]});
  std::vector<Join> joins;
  while (clusters.size() > 1) {
    const auto [a, b] = nearest(clusters);
    joins.push_back({clusters[a].node, clusters[b].node, clusters[a].similarity[b]});
    merge(clusters, a, b);
    clusters[a].node = similarity.size() + joins.size() - 1;
  }
  return joins;
}

std::vector<size_t> leaf_order(const std::vector<Join>& joins, size_t num_leaves) {
  std::vector<size_t> order, open;
  if (num_leaves > 0) open.push_back(num_leaves + joins.size() - 1);
  while (!open.empty()) {
    const size_t node = open.back();
    open.pop_back();
    if (node < num_leaves) {
      order.push_back(node);
      continue;
    }
    open.push_back(joins[node - num_leaves].right);
    open.push_back(joins[node - num_leaves].left);
  }
  return order;
}

std::string tree_text(const std::vector<Join>& joins, const std::vector<std::string>& names) {
  std::vector<std::string> nodes = names;
  for (const Join& join : joins)
    nodes.push_back(concat("(", nodes[join.left], ", ", nodes[join.right], ")"));
  return nodes.empty() ? "" : nodes.back();
}

}  // namespace polygraft::eval
