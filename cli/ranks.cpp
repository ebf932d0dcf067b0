// cli/ranks.cpp: see ranks.h.
#include "cli/ranks.h"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "core/log.h"
#include "core/text.h"

namespace polygraft::cli {
namespace {

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

parallel::Timeout timeout_of(const Arguments& arguments) {
  constexpr double kMostSeconds = 1e9;  // clocks count nanoseconds
  const double seconds = arguments.number("rank-timeout");
  if (!(seconds > 0 && seconds <= kMostSeconds)) {
    throw ConfigError("--rank-timeout", "is no time to wait")
        .expected(concat("more than 0 seconds, at most ", kMostSeconds))
        .found(concat(seconds));
  }
  return std::chrono::duration_cast<parallel::Timeout>(std::chrono::duration<double>(seconds));
}

}  // namespace

Ranks::Ranks(const Arguments& arguments, parallel::GridShape asked)
    : launch_(parallel::read_launch(environment)) {
  const parallel::GridShape shape = parallel::resolve_grid(asked, launch_.size);
  const parallel::Timeout timeout = timeout_of(arguments);
  if (!is_first()) set_log_level(LogLevel::kError);
  if (launch_.size == 1 || arguments.dry_run()) return;
  world_ = parallel::join_world(launch_, timeout);
  grid_.emplace(*world_, shape);
  log_info(
      concat(launch_.size, " ranks by ", launch_.launcher, ": ep ", shape.ep, " x dp ", shape.dp));
}

int64_t Ranks::share_of_cores() {
  const parallel::Launch launch = parallel::read_launch(environment);
  if (launch.local_size == 1 || environment("OMP_NUM_THREADS") != "1") return 0;
  const auto cores = static_cast<int64_t>(std::thread::hardware_concurrency());
  return std::max<int64_t>(cores / launch.local_size, 1);
}

trainer::Processes Ranks::processes() {
  const parallel::Launch launch = parallel::read_launch(environment);
  return {launch.size, launch.meets_on_gpus()};
}

void Ranks::add_options(po::options_description& options) {
  options.add_options()(
      "rank-timeout", po::value<double>()->default_value(1800)->value_name("SECONDS"),
      "with several processes: how long a rank that does not answer is waited for");
}

void Ranks::add_grid_options(po::options_description& options) {
  auto add = options.add_options();
  add("ep", po::value<int64_t>()->default_value(0)->value_name("N"),
      "with several processes: ranks that share out the experts of every layer; 0: what --dp "
      "leaves, or 1");
  add("dp", po::value<int64_t>()->default_value(0)->value_name("M"),
      "such groups of ranks, ep x dp in all; 0: what --ep leaves");
  add_options(options);
}

parallel::GridShape Ranks::grid_shape(const Arguments& arguments) {
  return {arguments.integer("ep"), arguments.integer("dp")};
}

void require_one_process(const std::string& command) {
  const parallel::Launch launch = parallel::read_launch(environment);
  if (launch.size == 1) return;
  throw ConfigError(command, "is the work of one process")
      .found(concat(launch.size, " by ", launch.launcher))
      .hint(concat(
          "several share `run`, `train`, `eval bpb`, `eval choice`, `expand profile` and `expand "
          "graft`; to run on its own in each, unset ",
          launch.sign));
}

}  // namespace polygraft::cli
