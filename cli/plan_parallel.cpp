// cli/plan_parallel.cpp: `polygraft plan-parallel PIPELINE.yaml`: memory, bytes and time of a step
// on every grid of so many ranks, from the pipeline's shape and its machine's rates.
#include <charconv>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "cli/command.h"
#include "cli/pipeline/checks.h"
#include "cli/pipeline/pipeline.h"
#include "cli/pipeline/shape_plan.h"
#include "core/text.h"
#include "trainer/parallel/parallel_step.h"

namespace polygraft::cli {
namespace {

constexpr size_t kShownGrids = 6;  // of one number of ranks, in the table

void require_rates(const PipelineConfig& pipeline, const fs::path& file) {
  if (pipeline.machine.rank) return;
  throw ConfigError(file.string(), "says nothing of a rank's memory, rates and links")
      .expected("machine.rank: {memory_gib, teraflops, memory_gb_s, link_gb_s, ...}")
      .hint(
          "to start from: the example of `polygraft plan-parallel --help`, or "
          "configs/qwen3-30b-a3b.yaml in polygraft's source");
}

int64_t parse_count(const std::string& text) {
  int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, count);
  if (parsed.ec == std::errc() && parsed.ptr == end && count >= 1 && count <= 65536) return count;
  throw ConfigError("--ranks", "is no number of ranks").expected("1 to 65536").found(text);
}

/// Those asked for; else a host's.
std::vector<int64_t> rank_counts(const Arguments& arguments, const MachineConfig& machine) {
  std::vector<int64_t> counts;
  for (const std::string& text : arguments.texts("ranks")) counts.push_back(parse_count(text));
  if (counts.empty()) counts.push_back(machine.rank ? machine.rank->per_host : 1);
  return counts;
}

/// All that a pipeline for one process leaves out, together.
void check_settings(const PipelineConfig& pipeline, int64_t num_ranks, const fs::path& file) {
  Checks checks;
  checks.run([&] { require_rates(pipeline, file); });
  checks.run([&] { trainer::require_pieces(pipeline.train, static_cast<int>(num_ranks)); });
  checks.throw_if_any(file.string());
}

Json to_json(const trainer::GridPlan& plan) {
  return {{"ep", plan.ep},
          {"dp", plan.dp},
          {"fits", plan.fits},
          {"memory_bytes", plan.memory_bytes},
          {"exchange_bytes", plan.exchange_bytes},
          {"gradient_bytes", plan.gradient_bytes},
          {"compute_seconds", plan.compute_s},
          {"exchange_seconds", plan.exchange_s},
          {"gradient_seconds", plan.gradient_s},
          {"optimizer_seconds", plan.optimizer_s},
          {"step_seconds", plan.step_s()}};
}

/// Of one number of ranks. @param alone_s a step's time on one rank.
Json plans_json(const std::vector<trainer::GridPlan>& plans, int64_t ranks, double batch_tokens,
                double alone_s) {
  const trainer::GridPlan& best = plans.front();
  Json json = {{"ranks", ranks},
               {"tokens_per_second", batch_tokens / best.step_s()},
               {"efficiency", alone_s / (static_cast<double>(ranks) * best.step_s())},
               {"grids", Json::array()}};
  for (const trainer::GridPlan& plan : plans) json["grids"].push_back(to_json(plan));
  return json;
}

void print_grid(const Json& grid, bool is_best, std::ostream& out) {
  const auto number = [&](const char* key) { return grid.at(key).get<double>(); };
  const auto column = [&](const std::string& text, int width) { out << std::setw(width) << text; };
  column(concat(grid.at("ep").get<int64_t>(), "x", grid.at("dp").get<int64_t>()), 8);
  column(human_bytes(static_cast<uint64_t>(number("memory_bytes"))), 12);
  column(human_bytes(static_cast<uint64_t>(number("exchange_bytes"))), 12);
  column(human_bytes(static_cast<uint64_t>(number("gradient_bytes"))), 12);
  for (const char* part : {"compute", "exchange", "gradient", "optimizer", "step"}) {
    column(fixed(number(concat(part, "_seconds").c_str()), 3), 11);
  }
  out << (grid.at("fits").get<bool>() ? (is_best ? "  best" : "") : "  does NOT fit") << "\n";
}

void print_plans(const Json& plans, std::ostream& out) {
  out << plans.at("ranks").get<int64_t>() << " ranks: "
      << human_count(static_cast<uint64_t>(plans.at("tokens_per_second").get<double>()))
      << " tokens a second, " << fixed(100 * plans.at("efficiency").get<double>(), 0)
      << " % of as many times one rank\n   ep x dp      memory   exchanged   gradients  compute s "
         "exchange s gradient s  optim. s     step s\n";
  const Json& grids = plans.at("grids");
  for (size_t i = 0; i < std::min(grids.size(), kShownGrids); ++i) {
    print_grid(grids[i], i == 0, out);
  }
}

ExitCode run_plan_parallel(const Arguments& arguments) {
  const fs::path file = arguments.path("pipeline");
  const PipelineConfig pipeline =
      resolve_pipeline(arguments.config("pipeline"), fs::absolute(file).parent_path()).config;
  const std::vector<int64_t> counts = rank_counts(arguments, pipeline.machine);
  check_settings(pipeline, counts.front(), file);
  const trainer::RankRates& rates = *pipeline.machine.rank;
  const ExpandedShape shape = expanded_shape(pipeline);
  const trainer::PlannedRun planned{shape.expanded, shape.num_added_experts,
                                    shape.num_added_vocab_rows, pipeline.train};
  const double alone_s = trainer::plan_grids(planned, rates, 1).front().step_s();
  const auto batch_tokens = static_cast<double>(pipeline.train.batch_tokens);
  Json json = {{"machine", pipeline.machine.name},
               {"micro_batches", trainer::pieces_of_step(pipeline.train)},
               {"assumptions", trainer::plan_assumptions(pipeline.train)},
               {"plans", Json::array()}};
  for (const int64_t ranks : counts) {
    json["plans"].push_back(
        plans_json(trainer::plan_grids(planned, rates, ranks), ranks, batch_tokens, alone_s));
  }
  if (arguments.stdout_is_free()) {
    for (const Json& plans : json.at("plans")) print_plans(plans, std::cout);
    std::cout << "a step has " << human_count(json.at("micro_batches").get<uint64_t>())
              << " micro-batches; bytes are what its busiest rank sends. Assumed:\n";
    for (const auto& line : json.at("assumptions")) {
      std::cout << "- " << line.get<std::string>() << "\n";
    }
  }
  arguments.emit_json(json);
  return ExitCode::kDone;
}

}  // namespace

Command plan_parallel_command() {
  return {.name = "plan-parallel",
          .summary = "memory, traffic and time of a training step on many ranks, before it is run",
          .operands = "PIPELINE.yaml",
          .example =
              "polygraft plan-parallel indonesian.yaml --set train.micro_batch_tokens=512 --set "
              "'machine.rank={memory_gib: 24, teraflops: 0.1, memory_gb_s: 20, link_gb_s: 5}' "
              "--ranks 1 2 4",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("pipeline", po::value<std::string>()->value_name("FILE"),
                    "pipeline.yaml, with machine.rank; its base may be a config.json alone");
                add("ranks",
                    po::value<std::vector<std::string>>()->multitoken()->value_name("N..."),
                    "numbers of ranks to plan for (default: machine.rank.per_host)");
              },
          .add_operands = [](po::positional_options_description& p) { p.add("pipeline", 1); },
          .run = run_plan_parallel,
          .settings = documented_settings<PipelineConfig>,
          .has_paths = true};
}

}  // namespace polygraft::cli
