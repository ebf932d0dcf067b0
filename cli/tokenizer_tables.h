// cli/tokenizer_tables.h: a tokenizer report as tables, for the terminal and for a run's report.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "eval/report.h"
#include "tokenizer/corpus.h"

namespace polygraft::cli {

/// The files of a corpus that a command reads, by language. @param split "heldout" or "train".
/// @throws ConfigError naming a language that has none.
std::map<std::string, std::vector<std::filesystem::path>> corpus_files(
    const tokenizer::Corpus& corpus, const std::string& split);

/// Tables out of what TokenizerReport::to_json() gives: a line per language, the vocabulary's use,
/// and the words that take most tokens.
std::vector<eval::Table> tokenizer_tables(const Json& report);

}  // namespace polygraft::cli
