// cli/keep_inputs.h: what a command reads is never what it replaces.
#pragma once
#include "cli/command.h"
#include "tokenizer/corpus.h"

namespace polygraft::cli {

/// Before any work. @throws ConfigError when -o, --json, --html, --markdown, --junit or
/// --write-baseline name a file or folder that an option of the command reads, or a folder that
/// holds one, or a file of a model or of a result folder that it reads; when two of them name the
/// same; when one is a folder (-o may be), a pipe, a socket or a device, or its folder does not
/// exist; when one but -o names a file that is no earlier one of its kind; when -o, with --force,
/// names a folder that no command has written. @throws IoError when that folder cannot be written.
void keep_inputs(const Arguments& arguments);

/// The same for what a configuration names: --json and the others are none of these files, and lie
/// in none of these folders. "" is nothing.
void keep_inputs(const Arguments& arguments, const std::vector<fs::path>& inputs);

/// Of an output that is a file. @throws ConfigError as keep_inputs() for what is in its place, or
/// that its folder does not exist; IoError when that cannot be written.
void check_output_file(const std::string& option, const fs::path& file);

/// A corpus's texts, to be kept.
std::vector<fs::path> files_of(const tokenizer::Corpus& corpus);

/// @throws ConfigError when `output` is or holds `input`.
void refuse_replacing(const fs::path& output, const fs::path& input);

}  // namespace polygraft::cli
