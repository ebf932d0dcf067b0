// cli/tokenizer_report.cpp: `polygraft tokenizer report`: what a tokenizer does to each language's
// text, alone or against another one.
#include "tokenizer/tokenizer_report.h"

#include <iostream>

#include "cli/command.h"
#include "cli/tokenizer_tables.h"
#include "core/text.h"
#include "eval/number_text.h"

namespace polygraft::cli {
namespace {

void print(const Json& json) {
  for (const eval::Table& table : tokenizer_tables(json)) {
    std::cout << eval::text_table(table.header, table.rows, /*first_right=*/1) << "\n";
  }
  std::cout << "Tokens per word: all tokens over the words of Unicode's UAX #29.\n";
}

ExitCode run_tokenizer_report(const Arguments& arguments) {
  const std::string split = arguments.text("split");
  if (split != "heldout" && split != "train") {
    throw ConfigError("--split", "no such part of a corpus")
        .expected("heldout or train")
        .found(split);
  }
  const auto files = corpus_files(tokenizer::load_corpus(arguments.path("corpus")), split);
  const auto tokenizer = tokenizer::Tokenizer::load(arguments.path("tokenizer"));
  std::optional<tokenizer::Tokenizer> against;
  if (const auto other = arguments.optional_text("against")) {
    against = tokenizer::Tokenizer::load(*other);
  }
  if (arguments.dry_run()) {
    arguments.say_plan(concat("would read the ", split, " text of ", files.size(), " languages"));
    return ExitCode::kDone;
  }
  const Json json =
      tokenizer::report_tokenizer(tokenizer, against ? &*against : nullptr, files).to_json();
  if (arguments.stdout_is_free()) print(json);
  arguments.emit_json(json);
  return ExitCode::kDone;
}

}  // namespace

Command tokenizer_report_command() {
  return {.name = "tokenizer report",
          .summary = "fertility, bytes per token and changed documents, by language",
          .operands = "",
          .example =
              "polygraft tokenizer report --tokenizer models/tokenizer-id --against models/base "
              "--corpus data/corpus.yaml",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("tokenizer", po::value<std::string>()->value_name("TOKENIZER"),
                    "model folder, tokenizer.json or tokenizer.model");
                add("against", po::value<std::string>()->value_name("TOKENIZER"),
                    "the same of the tokenizer to compare with, such as the base's");
                add("corpus", po::value<std::string>()->value_name("FILE"), "corpus.yaml");
                add("split", po::value<std::string>()->default_value("heldout")->value_name("NAME"),
                    "which of its texts: heldout or train");
              },
          .add_operands = nullptr,
          .run = run_tokenizer_report};
}

}  // namespace polygraft::cli
