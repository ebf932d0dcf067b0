// tests/trainer/budget_test.cpp: how multipliers move, when a run rolls back or stops, and which
// probe is the result.
#include "trainer/budget.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "core/json.h"
#include "trainer/blend_search.h"

namespace polygraft::trainer {
namespace {

constexpr double kBudget = 0.001;

BudgetConfig budget_config(const std::string& on_exceeded = "protect") {
  BudgetConfig config;
  config.max_relative_bpb = kBudget;
  config.on_exceeded = on_exceeded;
  return config;
}

/// A probe whose interval is +-10 % of its estimate, and whose causes are equal.
ProbeSummary probe_at(int64_t step, double delta, double new_bits_per_byte = 2.0) {
  return {.step = step,
          .worst = "aa",
          .worst_delta = delta,
          .worst_high = delta * 1.1,
          .worst_low = delta * 0.9,
          .routing = delta / 2,
          .head = delta / 2,
          .new_bits_per_byte = new_bits_per_byte};
}

TEST_CASE("before the first step there is nothing to blame on training", "[trainer][budget]") {
  BudgetController controller(budget_config("stop"));
  CHECK(controller.decide(probe_at(0, 0.5), true) == BudgetAction::kNone);
  CHECK(controller.multipliers().routing == 1.0);
}

/// The multiplier after one probe whose bound is at `share` of the limit.
double moved_by(double share, double learning_rate = 0) {
  BudgetController controller(budget_config());
  ProbeSummary probe = probe_at(10, 0);
  probe.rate_to_fall = learning_rate;
  probe.worst_high = share * controller.limit(probe);
  controller.decide(probe, true);
  return controller.multipliers().routing;
}

TEST_CASE("multipliers move by the bound's distance from 75 % of the limit, at most by two a probe",
          "[trainer][budget]") {
  CHECK(moved_by(0.75) == 1.0);
  CHECK(moved_by(1.0) == Approx(std::exp2(0.375)));
  CHECK(moved_by(0.35) == Approx(std::exp2(-0.6)));
  CHECK(moved_by(1.0 + 5.0 / 12) == Approx(2.0));
  CHECK(moved_by(50.0) == 2.0);
  CHECK(moved_by(-3.0) == 0.5);
}

TEST_CASE("the limit is three budgets at the peak of the learning rate, and one at its end",
          "[trainer][budget]") {
  const BudgetController controller(budget_config());
  ProbeSummary probe = probe_at(10, 0);
  probe.rate_to_fall = 1;
  CHECK(controller.limit(probe) == Approx(3 * kBudget));
  probe.rate_to_fall = 0.5;
  CHECK(controller.limit(probe) == Approx(1.5 * kBudget));
  probe.rate_to_fall = 0;
  CHECK(controller.limit(probe) == kBudget);
  CHECK(moved_by(1.0, 0.5) == moved_by(1.0));
}

TEST_CASE("where nothing protects, weights beyond the budget are given up at once",
          "[trainer][budget]") {
  BudgetController controller(budget_config(), /*most=*/0);
  CHECK(controller.decide(probe_at(10, 1.0), /*can_roll_back=*/true) == BudgetAction::kRollback);
  CHECK(controller.decide(probe_at(20, 1.0), /*can_roll_back=*/false) == BudgetAction::kNone);
  CHECK(controller.multipliers().routing == 1.0);
  CHECK(controller.multipliers().head == 1.0);
}

TEST_CASE("multipliers stay within limits", "[trainer][budget]") {
  BudgetController controller(budget_config());
  for (int64_t step = 10; step <= 90; step += 10) controller.decide(probe_at(step, 1.0), true);
  CHECK(controller.multipliers().head == 64.0);
  for (int64_t step = 100; step <= 300; step += 10) controller.decide(probe_at(step, 0.0), true);
  CHECK(controller.multipliers().head == 0.125);
}

TEST_CASE("multipliers that shorten steps are not raised beyond whole ones", "[trainer][budget]") {
  BudgetController controller(budget_config(), /*most=*/1);
  CHECK(controller.decide(probe_at(10, 1.0), /*can_roll_back=*/true) == BudgetAction::kRollback);
  CHECK(controller.multipliers().routing == 1.0);
  controller.decide(probe_at(20, 0.0), true);
  CHECK(controller.multipliers().routing < 1.0);
  CHECK(controller.decide(probe_at(30, 1.0), true) == BudgetAction::kProtect);
}

TEST_CASE("only what does harm is held harder", "[trainer][budget]") {
  BudgetController controller(budget_config());
  ProbeSummary probe = probe_at(10, 10 * kBudget);
  probe.routing = 0.012;
  probe.head = -0.002;
  controller.decide(probe, true);
  CHECK(controller.multipliers().routing == 2.0);
  CHECK(controller.multipliers().head == 1.0);
  probe.routing = 0.005;
  probe.head = 0.010;
  controller.decide(probe, true);
  CHECK(controller.multipliers().routing == Approx(2 * std::sqrt(2.0)));
  CHECK(controller.multipliers().head == 2.0);
}

TEST_CASE("where segmentation leads, no multiplier is raised for what the others do not do",
          "[trainer][budget]") {
  BudgetController controller(budget_config());
  ProbeSummary probe = probe_at(10, 10 * kBudget);
  probe.segmentation = 0.010;
  probe.routing = 0.005;
  probe.head = 0;
  controller.decide(probe, true);
  CHECK(controller.multipliers().routing == Approx(std::sqrt(2.0)));
  CHECK(controller.multipliers().head == 1.0);
}

TEST_CASE("a budget of zero is a budget", "[trainer][budget]") {
  BudgetConfig config = budget_config();
  config.max_relative_bpb = 0;
  BudgetController controller(config);
  CHECK(controller.decide(probe_at(10, 1e-6), true) == BudgetAction::kProtect);
  CHECK(controller.multipliers().routing == 2.0);
}

/// Two harms, each of which its penalty alone can lower: minimise
///   sum_c (x_c - 1)^2 / 2 + m_c weight_c x_c^2 / 2,  harm_c = scale_c x_c^2
/// at every probe exactly (x_c = 1 / (1 + m_c weight_c)), with the harm's interval of no width.
struct TwoHarms {
  double routing_weight, head_weight, routing_scale, head_scale;

  ProbeSummary probe(int64_t step, const Multipliers& m) const {
    const double routing = routing_scale / std::pow(1 + m.routing * routing_weight, 2);
    const double head = head_scale / std::pow(1 + m.head * head_weight, 2);
    ProbeSummary summary{.step = step, .worst = "aa", .worst_delta = routing + head};
    summary.worst_high = summary.worst_low = summary.worst_delta;
    summary.routing = routing;
    summary.head = head;
    return summary;
  }
};

TEST_CASE("on a problem that protection can solve, the harm ends at 75 % of the budget",
          "[trainer][budget][property]") {
  // From far too little to far too much; budgets that multipliers of 1/8 to 64 can reach.
  const double weight = GENERATE(0.05, 1.0, 20.0);
  const double routing_scale = GENERATE(0.0, 0.004, 0.05), head_scale = GENERATE(0.001, 0.02);
  const TwoHarms harms{weight, weight, routing_scale, head_scale};
  const Multipliers least{0.125, 0.125}, most{64, 64};
  BudgetController controller(budget_config());
  for (int64_t step = 1; step <= 60; ++step)
    controller.decide(harms.probe(step, controller.multipliers()), true);
  const ProbeSummary last = harms.probe(61, controller.multipliers());
  INFO(weight << " " << routing_scale << " " << head_scale << " " << last.worst_delta);
  const double lowest = harms.probe(1, most).worst_delta,
               highest = harms.probe(1, least).worst_delta;
  CHECK(last.worst_delta <= std::max(kBudget, lowest * 1.01));
  CHECK(last.worst_delta >= std::min(0.6 * kBudget, highest * 0.999));
}

TEST_CASE("exceeded with confidence: protect, and roll back when that does not help",
          "[trainer][budget]") {
  BudgetController controller(budget_config());
  CHECK(controller.decide(probe_at(10, 0.00105), true) == BudgetAction::kNone);  // from 0.00095 on
  CHECK(controller.decide(probe_at(20, 0.020), true) == BudgetAction::kProtect);
  CHECK(controller.decide(probe_at(30, 0.019), true) == BudgetAction::kProtect);
  CHECK(controller.decide(probe_at(40, 0.019), true) == BudgetAction::kRollback);
  CHECK(controller.decide(probe_at(50, 0.030), true) == BudgetAction::kProtect);  // other weights
  CHECK(controller.decide(probe_at(60, 0.0004), true) == BudgetAction::kNone);
  CHECK(controller.decide(probe_at(70, 0.030), true) == BudgetAction::kProtect);
}

TEST_CASE("there is no way back to weights that are outside the budget themselves",
          "[trainer][budget]") {
  BudgetController controller(budget_config());
  CHECK(controller.decide(probe_at(20, 0.020), false) == BudgetAction::kProtect);
  CHECK(controller.decide(probe_at(30, 0.030), false) == BudgetAction::kProtect);
  CHECK(controller.decide(probe_at(40, 0.031), true) == BudgetAction::kRollback);
}

TEST_CASE("a run that is to stop stops when the budget is exceeded with confidence",
          "[trainer][budget]") {
  BudgetController controller(budget_config("stop"));
  CHECK(controller.decide(probe_at(10, 0.00105), true) == BudgetAction::kNone);
  CHECK(controller.decide(probe_at(20, 0.02), true) == BudgetAction::kStop);
}

TEST_CASE("a restored controller decides as the one it was saved from", "[trainer][budget]") {
  BudgetController first(budget_config());
  first.decide(probe_at(10, 0.00105), true);
  first.decide(probe_at(20, 0.019), true);
  BudgetController second(budget_config());
  second.restore(parse_json(first.to_json().dump(), "state"), "state");
  CHECK(second.multipliers().routing == first.multipliers().routing);
  CHECK(second.multipliers().head == first.multipliers().head);
  CHECK(first.decide(probe_at(30, 0.020), true) == BudgetAction::kRollback);
  CHECK(second.decide(probe_at(30, 0.020), true) == BudgetAction::kRollback);
  CHECK(second.to_json() == first.to_json());
}

TEST_CASE("outside the budget the probe with the lowest bound is best", "[trainer][best]") {
  BestTracker best(kBudget);
  CHECK(best.offer(probe_at(10, 0.02, 3.0)));
  CHECK_FALSE(best.offer(probe_at(20, 0.03, 2.0)));
  CHECK(best.offer(probe_at(30, 0.01, 2.5)));
  CHECK_FALSE(best.has_inside());
  CHECK(best.best()->step == 30);
}

TEST_CASE("outside the budget, weights that learned nothing are not the least harmful",
          "[trainer][best]") {
  BestTracker best(kBudget);
  CHECK(best.offer(probe_at(0, 0.0018, 3.0)));
  CHECK(best.offer(probe_at(10, 0.0026, 2.0)));
  CHECK_FALSE(best.offer(probe_at(20, 0.0027, 1.5)));
  CHECK(best.best()->step == 10);
  BestTracker inside(kBudget);
  CHECK(inside.offer(probe_at(0, 0.0005, 3.0)));
  CHECK_FALSE(inside.offer(probe_at(10, 0.0026, 2.0)));
  CHECK(inside.best()->step == 0);
  CHECK_FALSE(inside.has_trained_inside());
  CHECK_FALSE(inside.offer(probe_at(20, 0.0001, 3.5)));  // inside, and knows less than the start
  CHECK(inside.has_trained_inside());
  BestTracker restored(kBudget);
  restored.restore(parse_json(inside.to_json().dump(), "state"), "state");
  CHECK(restored.has_trained_inside());
}

TEST_CASE("inside the budget, upper bound and all, the one that learned most is best",
          "[trainer][best]") {
  BestTracker best(kBudget);
  best.offer(probe_at(0, 0.02, 1.0));
  CHECK(best.offer(probe_at(10, 0.0009, 2.5)));
  CHECK_FALSE(best.offer(probe_at(20, 0.0001, 2.6)));
  CHECK(best.offer(probe_at(30, 0.0008, 2.4)));
  CHECK_FALSE(best.offer(probe_at(40, 0.00095, 1.5)));  // its estimate is inside, its bound is not
  CHECK(best.has_inside());
  CHECK(best.best()->step == 30);
  BestTracker restored(kBudget);
  restored.restore(parse_json(best.to_json().dump(), "state"), "state");
  CHECK(restored.to_json() == best.to_json());
  CHECK(restored.has_inside());
}

/// The largest share that three tries find inside. @param excess of the bound at a share
template <class Excess>
double share_found(const Excess& excess) {
  BlendSearch search(excess(0), excess(1));
  double found = 0;
  for (int i = 0; i < 3; ++i) {
    const double share = search.share();
    CHECK(share > found);
    CHECK(share < 1);
    search.tell(excess(share));
    if (excess(share) <= 0) found = share;
  }
  return found;
}

TEST_CASE("weights just outside the budget are drawn back by as little", "[trainer][best]") {
  for (const double harm : {1.001, 1.01, 1.1, 1.3}) {
    INFO("the last weights' bound: " << harm << " times the limit");
    CHECK(BlendSearch(-1, harm - 1).share() == Approx(1 / harm).epsilon(1e-12));
    const double root = 1 / std::sqrt(harm);
    CHECK(share_found([&](double s) { return harm * s * s - 1; }) > 1 - 1.2 * (1 - root));
  }
}

TEST_CASE("where no chord helps, a blend is at least half as far as it may be", "[trainer][best]") {
  for (double root = 0.14; root < 1; root += 0.02) {
    INFO("inside up to a share of " << root);
    CHECK(share_found([&](double s) { return s <= root ? -1e-6 : 1.0; }) > root / 2);
    if (root < 0.5) continue;  // the next is tried at the far end first
    CHECK(share_found([&](double s) { return s <= root ? -1.0 : 1e-6; }) > root / 2);
  }
}

}  // namespace
}  // namespace polygraft::trainer
