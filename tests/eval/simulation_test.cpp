// tests/eval/simulation_test.cpp: how often the gate passes, by simulation: at a true loss equal to
// the margin no more often than alpha, and for an unchanged model as often as stated. The long form
// (more simulations, few and many documents, accuracy, samples that share documents):
// test_eval "[simulation]", one of them test_eval "[simulation]" -c "accuracy of 200"
#include <catch2/catch.hpp>
#include <cmath>

#include "core/parallel.h"
#include "core/random.h"
#include "tests/eval/comparison_fixture.h"

namespace polygraft::eval {
namespace {

constexpr double kAlpha = 0.05;

/// One kind of evaluation, again and again with other documents.
struct World {
  std::string name;
  int documents = 200;
  int samples = 1;       ///< that share a document, and change alike
  double spread = 0.01;  ///< of a document's relative change; of accuracy, the share of answers
                         ///< that change sides by chance, both ways
  bool accuracy = false;
  double margin = 0.002;
  double harmed = 1;  ///< of the documents, the share that carries the loss, each as chance has it
  double tail = 0;    ///< standard deviation of the logarithm of a harmed document's loss
};

struct Sides {
  ResultFolder baseline, candidate;

  void add(const TaskKey& key, Sample sample, double before, double after) {
    sample.values.insert(sample.values.begin(), before);
    baseline.tasks[key].samples.push_back(sample);
    sample.values.front() = after;
    candidate.tasks[key].samples.push_back(sample);
  }
};

/// Of one document.
double harm_of(const World& world, double loss, RandomStream& random) {
  if (world.tail > 0)
    return loss * std::exp(world.tail * random.normal() - world.tail * world.tail / 2);
  if (world.harmed == 1) return loss;
  if (random.uniform() >= world.harmed) return 0;
  return loss / world.harmed * -std::log(1 - random.uniform());
}

Sides simulated(const World& world, double loss, uint64_t seed) {
  RandomStream random(seed, world.name);
  Sides sides;
  const TaskKey key = world.accuracy ? TaskKey{"quiz_de", "none"} : bpb_key("de");
  for (ResultFolder* folder : {&sides.baseline, &sides.candidate}) {
    folder->tasks[key].metrics = world.accuracy ? std::vector<std::string>{"acc"}
                                                : std::vector<std::string>{"nats", "num_bytes"};
  }
  for (int d = 0; d < world.documents; ++d) {
    const double u = random.uniform(), own = harm_of(world, loss, random);
    const double change = own + world.spread * random.normal();
    for (int s = 0; s < world.samples; ++s) {
      Sample sample{.doc_id = std::to_string(d * world.samples + s),
                    .document = static_cast<uint64_t>(d + 1)};
      if (world.accuracy) {
        const double lost = world.spread / 2 + loss;
        const double before = u < lost ? 1 : u < lost + world.spread / 2 ? 0 : u < 0.7 ? 1 : 0;
        const double after = u < lost ? 0 : u < lost + world.spread / 2 ? 1 : before;
        sides.add(key, sample, before, after);
        continue;
      }
      const double num_bytes = 100 + static_cast<double>(random.below(400));
      const double nats = num_bytes * (1 + 0.1 * random.normal());
      sample.values = {num_bytes};
      sides.add(key, sample, nats, nats * (1 + change));
    }
  }
  return sides;
}

double pass_rate(const World& world, double loss, int simulations, int64_t resamples) {
  std::vector<char> passed(static_cast<size_t>(simulations));
  const GateConfig gate = {
      .margin_relative_bpb = world.margin, .margin_accuracy = world.margin, .resamples = resamples};
  parallel_for(passed.size(), /*num_threads=*/0, [&](size_t i) {
    const Sides sides = simulated(world, loss, i);
    passed[i] = compare_results(sides.baseline, sides.candidate, gate).outcome == Outcome::kPass;
  });
  double sum = 0;
  for (const char one : passed) sum += one;
  return sum / simulations;
}

double error_of(double rate, int simulations) { return std::sqrt(rate * (1 - rate) / simulations); }

}  // namespace

TEST_CASE("at a true loss equal to the margin the gate passes no more often than alpha",
          "[eval][compare]") {
  constexpr int kSimulations = 1000;
  const World world{.name = "simulation"};
  const double at_margin = pass_rate(world, world.margin, kSimulations, 500);
  const double unchanged = pass_rate(world, 0, kSimulations, 500);
  WARN("200 documents, spread 1 %, margin 0.2 %: passes at a loss of the margin "
       << at_margin << ", of nothing " << unchanged);
  CHECK(at_margin <= kAlpha + 4 * error_of(kAlpha, kSimulations));
  const World few{.name = "few documents", .documents = 20, .margin = 0.006};
  CHECK(pass_rate(few, few.margin, kSimulations, 500) <=
        kAlpha + 4 * error_of(kAlpha, kSimulations));
  const World shared{.name = "shared",
                     .documents = 60,
                     .samples = 4,
                     .spread = 0.02,
                     .accuracy = true,
                     .margin = 0.08};
  CHECK(pass_rate(shared, shared.margin, kSimulations, 500) <=
        kAlpha + 4 * error_of(kAlpha, kSimulations));
  // Where one document in ten carries it all, percentiles alone let 13 % pass.
  const World few_harmed{.name = "few harmed", .documents = 140, .spread = 0, .harmed = 0.1};
  CHECK(pass_rate(few_harmed, few_harmed.margin, kSimulations, 500) <=
        kAlpha + 4 * error_of(kAlpha, kSimulations));
  // The stated power: what the normal approximation says of an unchanged model.
  const double error = 0.01 / std::sqrt(200.0 / 1.16);
  const double power = non_inferiority_power(0.002, error, 1.645 * error);
  CHECK(unchanged == Approx(power).margin(0.07));
}

TEST_CASE("the gate's error and power, few documents and many", "[.][simulation]") {
  constexpr int kSimulations = 5'000;
  const auto world = GENERATE(values<World>({
      {.name = "20 documents", .documents = 20, .margin = 0.006},
      {.name = "40 documents", .documents = 40, .margin = 0.004},
      {.name = "200 documents"},
      {.name = "1000 documents", .documents = 1000, .margin = 0.001},
      {.name = "50 documents of 4", .documents = 50, .samples = 4, .margin = 0.004},
      {.name = "accuracy of 200", .spread = 0.04, .accuracy = true, .margin = 0.04},
      {.name = "accuracy of 100 documents of 4",
       .documents = 100,
       .samples = 4,
       .spread = 0.04,
       .accuracy = true,
       .margin = 0.06},
      {.name = "accuracy of 2000",
       .documents = 2000,
       .spread = 0.04,
       .accuracy = true,
       .margin = 0.01},
  }));
  DYNAMIC_SECTION(world.name) {
    const double at_margin = pass_rate(world, world.margin, kSimulations, 1000);
    const double unchanged = pass_rate(world, 0, kSimulations, 1000);
    WARN(world.name << ", spread " << 100 * world.spread << " %, margin " << 100 * world.margin
                    << " %: passes at a loss of the margin " << 100 * at_margin << " %, of nothing "
                    << 100 * unchanged << " % (" << kSimulations << " simulations each)");
    CHECK(at_margin <= kAlpha + 4 * error_of(kAlpha, kSimulations));
  }
}

TEST_CASE("how often harm of very uneven size passes", "[.][simulation]") {
  constexpr int kSimulations = 2'000;
  const auto documents = GENERATE(50, 140, 500);
  const auto tail = GENERATE(0.8, 1.5);
  const World world{.name = "uneven", .documents = documents, .spread = 0, .tail = tail};
  const double at_margin = pass_rate(world, world.margin, kSimulations, 1000);
  WARN(documents << " documents, the logarithm of whose losses has a standard deviation of " << tail
                 << ": passes at a loss of the margin " << 100 * at_margin << " %");
  CHECK(at_margin < 0.2);
}

TEST_CASE("how often harm in few documents passes", "[.][simulation]") {
  constexpr int kSimulations = 2'000;
  const auto documents = GENERATE(50, 140, 500);
  const auto harmed = GENERATE(0.1, 0.03, 0.01);
  const World world{.name = "harmed", .documents = documents, .spread = 0, .harmed = harmed};
  const double at_margin = pass_rate(world, world.margin, kSimulations, 1000);
  const double at_half = pass_rate(world, world.margin / 2, kSimulations, 1000);
  const double at_hundredth = pass_rate(world, world.margin / 100, kSimulations, 1000);
  WARN(documents << " documents, " << 100 * harmed
                 << " % of them harmed: passes at a loss of the margin " << 100 * at_margin
                 << " %, of half of it " << 100 * at_half << " %, of a hundredth "
                 << 100 * at_hundredth << " %");
  // None of them is measured with a chance of (1 - harmed)^documents.
  const double unseen = std::pow(1 - harmed, documents);
  CHECK(at_margin <= unseen + (1 - unseen) * kAlpha * 2.5);
  CHECK(at_hundredth > 0.9);
}

}  // namespace polygraft::eval
