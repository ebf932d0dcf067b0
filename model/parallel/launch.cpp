// model/parallel/launch.cpp: see launch.h. Variables: Open MPI's mpirun(1), "Environment
// Variables"; torch.distributed.run, "Environment Variables"; Slurm's srun(1), "OUTPUT ENVIRONMENT
// VARIABLES".
#include "model/parallel/launch.h"

#include <charconv>

#include "core/text.h"

namespace polygraft::parallel {
namespace {

using Variable = std::function<std::optional<std::string>(const std::string&)>;

/// The names under which a launcher says the same things.
struct Names {
  const char *launcher, *rank, *size, *local_rank, *local_size, *address, *port;
  const char* sure_sign;  // set for processes that it started, and for no others
};
// A later launcher may have started an earlier one, whose ranks then count. srun's variables stand
// in the environment of a batch script too, but for SLURM_STEP_ID.
constexpr Names kLaunchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "", "",
     "", "OMPI_COMM_WORLD_SIZE"},
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR",
     "MASTER_PORT", "WORLD_SIZE"},
    {"srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "", "SLURM_LAUNCH_NODE_IPADDR", "",
     "SLURM_STEP_ID"},
};

constexpr const char* kAttempt = "TORCHELASTIC_RESTART_COUNT";

int number(const Variable& variable, const Names& names, const std::string& name) {
  const std::string text = variable(name).value_or("");
  int value = -1;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && value >= 0)
    return value;
  throw ConfigError(name, concat("is not what ", names.launcher, " sets"))
      .expected("a number, 0 or more")
      .found(text.empty() ? "nothing" : text)
      .hint(concat("start all processes with one ", names.launcher,
                   ", or unset the variable to run alone"));
}

}  // namespace

Launch read_launch(const Variable& variable) {
  for (const Names& names : kLaunchers) {
    if (!variable(names.sure_sign)) continue;
    Launch launch;
    launch.launcher = names.launcher;
    launch.sign = names.sure_sign;
    launch.rank = number(variable, names, names.rank);
    launch.size = number(variable, names, names.size);
    if (variable(names.local_rank)) launch.local_rank = number(variable, names, names.local_rank);
    if (variable(names.local_size)) launch.local_size = number(variable, names, names.local_size);
    launch.address = variable(names.address).value_or("");
    if (variable(names.port)) launch.port = number(variable, names, names.port);
    launch.store_is_up = variable("TORCHELASTIC_USE_AGENT_STORE").value_or("") == "True";
    if (variable(kAttempt)) launch.attempt = number(variable, names, kAttempt);
    if (launch.rank >= launch.size) {
      throw ConfigError(names.rank, "lies outside the world")
          .expected(concat("below ", names.size, " = ", launch.size))
          .found(concat(launch.rank));
    }
    return launch;
  }
  return {};
}

}  // namespace polygraft::parallel
