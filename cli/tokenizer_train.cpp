// cli/tokenizer_train.cpp: `polygraft tokenizer train`: a byte-level BPE tokenizer from text.
#include <iostream>

#include "cli/command.h"
#include "cli/pipeline/checks.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "tokenizer/bpe_trainer.h"

namespace polygraft::cli {
namespace {

ExitCode run_tokenizer_train(const Arguments& arguments) {
  tokenizer::TrainOptions options;
  options.vocab_size = arguments.integer("vocab-size");
  options.pattern = arguments.text("pattern");
  const std::vector<std::string> names = arguments.texts("text");
  if (names.empty())
    throw ConfigError("command line", "--text is missing").expected("one or more text files");
  const fs::path output = arguments.output();
  if (arguments.dry_run()) {
    tokenizer::check_options(options);
    for (const std::string& file : names) check_first_document(file);
    arguments.say_plan(concat("would learn ", options.vocab_size, " entries from ", names.size(),
                              " files into ", output));
    return ExitCode::kDone;
  }
  AtomicFolder folder(output, arguments.force());
  tokenizer::train_tokenizer({names.begin(), names.end()}, options, folder.path());
  folder.commit();
  log_info(concat("tokenizer with ", options.vocab_size, " entries written to ", output.string()));
  arguments.emit_json({{"vocab_size", options.vocab_size}, {"output", output.string()}});
  return ExitCode::kDone;
}

}  // namespace

Command tokenizer_train_command() {
  return {.name = "tokenizer train",
          .summary = "learn a byte-level BPE tokenizer from text",
          .operands = "",
          .example =
              "polygraft tokenizer train --text data/en.train.jsonl data/de.train.jsonl "
              "--vocab-size 4096 -o models/tokenizer",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("text",
                    po::value<std::vector<std::string>>()->multitoken()->value_name("FILE..."),
                    "text files");
                add("vocab-size", po::value<int64_t>()->default_value(4096)->value_name("N"),
                    "entries, bytes and special tokens included");
                add("pattern", po::value<std::string>()->default_value("qwen2")->value_name("NAME"),
                    "pre-tokenizer: gpt2, qwen2 or llama3");
              },
          .add_operands = nullptr,
          .run = run_tokenizer_train,
          .writes_output = true};
}

}  // namespace polygraft::cli
