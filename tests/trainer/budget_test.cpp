// tests/trainer/budget_test.cpp: when protection rises, when a run stops, and which probe is the
// result.
#include "trainer/budget.h"

#include <catch2/catch.hpp>

namespace polygraft::trainer {
namespace {

BudgetConfig budget_config(const std::string& on_exceeded) {
  BudgetConfig config;
  config.max_relative_bpb = 0.001;
  config.on_exceeded = on_exceeded;
  return config;
}

/// A probe whose interval is +-10 % of its estimate.
ProbeSummary probe_at(int64_t step, double worst_delta, double new_bits_per_byte = 2.0) {
  return {step, static_cast<double>(step) / 100.0, worst_delta, worst_delta * 0.9,
          new_bits_per_byte};
}

TEST_CASE("inside the budget nothing happens", "[trainer][budget]") {
  BudgetController controller(budget_config("protect"));
  CHECK(controller.decide(probe_at(10, 0.0005)) == BudgetAction::kNone);
  CHECK(controller.protection_scale() == 1.0);
}

TEST_CASE("a rise that is not confidently beyond the budget is left alone", "[trainer][budget]") {
  BudgetController controller(budget_config("protect"));
  CHECK(controller.decide(probe_at(10, 0.00105)) == BudgetAction::kNone);  // lower bound 0.00095
}

TEST_CASE("before the first step there is nothing to blame on training", "[trainer][budget]") {
  BudgetController controller(budget_config("stop"));
  CHECK(controller.decide(probe_at(0, 0.5)) == BudgetAction::kNone);
}

TEST_CASE("interference that does not fall doubles protection, up to a limit",
          "[trainer][budget]") {
  BudgetController controller(budget_config("protect"));
  controller.decide(probe_at(0, 0.01));
  CHECK(controller.decide(probe_at(10, 0.02)) == BudgetAction::kProtect);
  CHECK(controller.protection_scale() == 2.0);
  for (int64_t step = 20; step <= 90; step += 10) controller.decide(probe_at(step, 0.02));
  CHECK(controller.protection_scale() == 64.0);
}

TEST_CASE("too slow a fall raises protection by half", "[trainer][budget]") {
  BudgetController controller(budget_config("protect"));
  controller.decide(probe_at(0, 0.0200));
  CHECK(controller.decide(probe_at(50, 0.0150)) == BudgetAction::kProtect);  // would end at 0.011
  CHECK(controller.protection_scale() == 1.5);
}

TEST_CASE("a fall that would end inside the budget is left alone", "[trainer][budget]") {
  BudgetController controller(budget_config("stop"));
  controller.decide(probe_at(0, 0.02));
  CHECK(controller.decide(probe_at(10, 0.01)) == BudgetAction::kNone);  // halves 9 times more
  CHECK(controller.decide(probe_at(20, 0.0099)) == BudgetAction::kStop);
}

TEST_CASE("rollback also raises protection; stop does not", "[trainer][budget]") {
  BudgetController rollback(budget_config("rollback"));
  CHECK(rollback.decide(probe_at(10, 0.02)) == BudgetAction::kRollback);
  CHECK(rollback.protection_scale() == 2.0);
  BudgetController stop(budget_config("stop"));
  CHECK(stop.decide(probe_at(10, 0.02)) == BudgetAction::kStop);
  CHECK(stop.protection_scale() == 1.0);
}

TEST_CASE("a restored controller decides as the one it was saved from", "[trainer][budget]") {
  BudgetController first(budget_config("protect"));
  first.decide(probe_at(0, 0.02));
  first.decide(probe_at(10, 0.019));
  BudgetController second(budget_config("protect"));
  second.restore(parse_json(first.to_json().dump(), "state"), "state");
  CHECK(second.protection_scale() == first.protection_scale());
  CHECK(first.decide(probe_at(20, 0.018)) == second.decide(probe_at(20, 0.018)));
  CHECK(second.to_json() == first.to_json());
}

TEST_CASE("outside the budget the least harmful probe is best", "[trainer][best]") {
  BestTracker best(0.001);
  CHECK(best.offer(probe_at(0, 0.02, 3.0)));
  CHECK_FALSE(best.offer(probe_at(10, 0.03, 2.0)));
  CHECK(best.offer(probe_at(20, 0.01, 2.5)));
  CHECK_FALSE(best.has_inside());
  CHECK(best.best()->step == 20);
}

TEST_CASE("inside the budget the one that learned most is best", "[trainer][best]") {
  BestTracker best(0.001);
  best.offer(probe_at(0, 0.02, 1.0));
  CHECK(best.offer(probe_at(10, 0.0009, 2.5)));
  CHECK_FALSE(best.offer(probe_at(20, 0.0001, 2.6)));
  CHECK(best.offer(probe_at(30, 0.0008, 2.4)));
  CHECK_FALSE(best.offer(probe_at(40, 0.0011, 1.5)));
  CHECK(best.has_inside());
  CHECK(best.best()->step == 30);
}

}  // namespace
}  // namespace polygraft::trainer
