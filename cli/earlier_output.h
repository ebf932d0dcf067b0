// cli/earlier_output.h: what an earlier call has written: --force replaces that, and no other
// folder; a verdict goes before another one is sought.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "cli/command.h"

namespace polygraft::cli {

/// @param output what `option` names. @throws ConfigError where it is a folder that no command can
/// have left: with another folder in it, or with neither a model, a pack, a tokenizer, results nor
/// texts.
void require_earlier_output(const std::string& option, const std::filesystem::path& output);

/// A run replaces what it finds under the `names` of its results. @param mark what a run leaves
/// before all of them. @throws ConfigError where one of them is there without the mark.
void require_earlier_run(const std::filesystem::path& run_dir, const std::string& mark,
                         const std::vector<std::string>& names);

/// Removes the files that these options name: an earlier verdict must not stand where this call
/// ends without one. @throws IoError.
void remove_earlier_reports(const Arguments& arguments, const std::vector<std::string>& options);

}  // namespace polygraft::cli
