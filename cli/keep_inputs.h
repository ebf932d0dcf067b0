// cli/keep_inputs.h: what a command reads is never what it replaces.
#pragma once
#include "cli/command.h"

namespace polygraft::cli {

/// Before any work. @throws ConfigError when -o, --json, --html, --markdown or --junit name a file
/// or folder that an option of the command reads, or a folder that holds one, or a file of a model
/// that it reads; when such a file's folder does not exist.
void keep_inputs(const Arguments& arguments);

/// @throws ConfigError when `output` is or holds `input`.
void refuse_replacing(const fs::path& output, const fs::path& input);

}  // namespace polygraft::cli
