// eval/dendrogram.h: which languages are near each other, as a tree: average linkage over their
// similarities (UPGMA, Sokal & Michener 1958; scipy.cluster.hierarchy, method "average").
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace polygraft::eval {

/// Two nodes become one. Nodes below the number of leaves are leaves; the others are joins, in
/// their order.
struct Join {
  size_t left = 0, right = 0;
  double similarity = 0;  ///< mean over the pairs of leaves on both sides
};

/// The joins from the nearest pair to the root; of equal similarities the first pair's comes first.
/// @param similarity symmetric, finite; its diagonal is not looked at.
std::vector<Join> average_linkage(const std::vector<std::vector<double>>& similarity);

/// The leaves as the tree is drawn, no line crossing another.
std::vector<size_t> leaf_order(const std::vector<Join>& joins, size_t num_leaves);

/// "((de, en), id)": the tree for those who do not see it. One name for each leaf.
std::string tree_text(const std::vector<Join>& joins, const std::vector<std::string>& names);

}  // namespace polygraft::eval
