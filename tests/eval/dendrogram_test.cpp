// tests/eval/dendrogram_test.cpp: the tree against scipy's (fixtures/make_statistics.py), and how
// it is read aloud.
#include "eval/dendrogram.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "eval/routing_map.h"
#include "tests/eval/fixture.h"

namespace polygraft::eval {

TEST_CASE("joins and their similarities are scipy's average linkage", "[eval][dendrogram]") {
  const Json fixture = fixture_json("statistics.json").at("linkage");
  const auto similarity = fixture.at("similarity").get<std::vector<std::vector<double>>>();
  const auto joins = average_linkage(similarity);
  REQUIRE(joins.size() == fixture.at("joins").size());
  for (size_t j = 0; j < joins.size(); ++j) {
    const auto expected = fixture["joins"][j].get<std::vector<double>>();  // left, right, distance
    CHECK(std::min(joins[j].left, joins[j].right) == static_cast<size_t>(expected[0]));
    CHECK(std::max(joins[j].left, joins[j].right) == static_cast<size_t>(expected[1]));
    CHECK(1 - joins[j].similarity == Approx(expected[2]));
  }
  auto order = leaf_order(joins, similarity.size());
  std::sort(order.begin(), order.end());
  for (size_t leaf = 0; leaf < similarity.size(); ++leaf) CHECK(order[leaf] == leaf);
}

TEST_CASE("a tree in words, of any size", "[eval][dendrogram]") {
  const auto joins = average_linkage({{1, 0.1, 0.8}, {0.1, 1, 0.2}, {0.8, 0.2, 1}});
  CHECK(tree_text(joins, {"de", "id", "en"}) == "((de, en), id)");
  CHECK(leaf_order(joins, 3) == std::vector<size_t>{0, 2, 1});
  CHECK(average_linkage({{1}}).empty());
  CHECK(leaf_order({}, 1) == std::vector<size_t>{0});
  CHECK(tree_text({}, {"de"}) == "de");
  CHECK(leaf_order({}, 0).empty());
  CHECK(average_linkage({{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}).size() == 2);
}

TEST_CASE("leading experts, and how few take half", "[eval][routing_map]") {
  CHECK(leading_experts({0.2, 0.5, 0.1, 0.2}) == "e1 50.0 %, e0 20.0 %, e3 20.0 %");
  CHECK(leading_experts({1}) == "e0 100.0 %");
  CHECK(experts_for_half({0.2, 0.5, 0.1, 0.2}) == 1);
  CHECK(experts_for_half({0.25, 0.25, 0.25, 0.25}) == 2);
  CHECK(experts_for_half({0, 0}) == 0);
  CHECK(heat_digits({0, 0.25, 1}, 1) == "0080ff");
  CHECK(heat_digits({0.5}, 0) == "00");
}

}  // namespace polygraft::eval
