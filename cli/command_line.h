// cli/command_line.h: the program: finds the subcommand, parses its options, runs it, maps errors
// to exit codes.
#pragma once

namespace polygraft::cli {

/// @return the process's exit code (`polygraft --help`).
int run_command_line(int argc, char** argv);

}  // namespace polygraft::cli
