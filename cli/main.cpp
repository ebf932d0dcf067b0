// cli/main.cpp: the program's entry; everything is in run_command_line.
#include "cli/command_line.h"

int main(int argc, char** argv) { return polygraft::cli::run_command_line(argc, argv); }
