// cli/model_option.h: the options by which a command reads a model: its folder, and packs put onto
// it in memory.
#pragma once
#include "cli/command.h"
#include "expand/packs/open_model.h"

namespace polygraft::cli {

/// --pack and --allow-base-mismatch.
void add_pack_options(po::options_description& options);
/// --model and those.
void add_model_options(po::options_description& options);
/// What they say.
expand::PackChoice chosen_packs(const Arguments& arguments);

}  // namespace polygraft::cli
