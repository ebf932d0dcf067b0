// cli/earlier_output.h: --force replaces what a command has written before, and no other folder.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace polygraft::cli {

/// @param output what `option` names. @throws ConfigError where it is a folder that no command can
/// have left: with another folder in it, or with neither a model, a pack, a tokenizer, results nor
/// texts.
void require_earlier_output(const std::string& option, const std::filesystem::path& output);

/// A run replaces what it finds under the `names` of its results. @param mark what a run leaves
/// before all of them. @throws ConfigError where one of them is there without the mark.
void require_earlier_run(const std::filesystem::path& run_dir, const std::string& mark,
                         const std::vector<std::string>& names);

}  // namespace polygraft::cli
