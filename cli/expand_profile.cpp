// cli/expand_profile.cpp: `polygraft expand profile`: routing signatures and language similarity of
// a model.
#include <iostream>

#include "cli/keep_inputs.h"
#include "cli/model_option.h"
#include "cli/ranks.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "expand/profile.h"
#include "model/checkpoint/model_folder.h"

namespace polygraft::cli {
namespace {

/// A sequence is at least the token before a text and one of it.
int64_t tokens_per_language(const Arguments& arguments) {
  constexpr int64_t kFewest = 2, kMost = 1'000'000'000;
  const int64_t tokens = arguments.integer("tokens");
  if (tokens >= kFewest && tokens <= kMost) return tokens;
  throw ConfigError("--tokens", concat("must lie in [", kFewest, ", ", kMost, "]"))
      .found(concat(tokens))
      .hint("thousands of tokens are needed for signatures that mean something");
}

void show(const Arguments& arguments, const expand::Profile& profile, const Json& json) {
  log_info(concat("profile written to ", arguments.output().string()));
  if (arguments.stdout_is_free()) {
    for (const auto& [language, value] : profile.bits_per_byte) {
      std::cout << language << ": " << fixed(value, 4) << " bits per byte\n";
    }
  }
  arguments.emit_json(json);
}

ExitCode run_expand_profile(const Arguments& arguments) {
  const fs::path output = arguments.output();
  refuse_existing_output(output, arguments.force() || arguments.dry_run());
  check_output_file("-o", output);
  expand::ProfileOptions options;
  options.tokens_per_language = tokens_per_language(arguments);
  const auto folder = model::ModelFolder::open(arguments.path("model"));
  options.corpus_name = arguments.text("corpus");
  const auto corpus = tokenizer::load_corpus(arguments.path("corpus"));
  const Ranks ranks(arguments);
  options.team = ranks.team();
  if (arguments.dry_run()) {
    if (!ranks.is_first()) return ExitCode::kDone;
    arguments.say_plan(concat("would profile ", corpus.languages.size(), " languages over ",
                              human_count(options.tokens_per_language), " tokens each, on ",
                              folder.config.num_layers, " layers"));
    return ExitCode::kDone;
  }
  const expand::Profile profile =
      expand::profile_opened(expand::open_model(folder, chosen_packs(arguments)), corpus, options);
  if (ranks.is_first()) {
    const Json json = profile.to_json();
    write_json(output, json);
    show(arguments, profile, json);
  }
  ranks.team().wait_for_all();
  return ExitCode::kDone;
}

}  // namespace

Command expand_profile_command() {
  return {
      .name = "expand profile",
      .summary = "which experts a language uses; how near languages are",
      .operands = "",
      .example =
          "polygraft expand profile --model models/base --corpus data/corpus.yaml -o profile.json",
      .add_options =
          [](po::options_description& o) {
            add_model_options(o);
            Ranks::add_options(o);
            auto add = o.add_options();
            add("corpus", po::value<std::string>()->value_name("FILE"), "corpus.yaml");
            add("tokens", po::value<int64_t>()->default_value(20'000)->value_name("N"),
                "tokens of training text per language");
          },
      .add_operands = nullptr,
      .run = run_expand_profile,
      .has_ranks = true,
      .writes_output = true};
}

}  // namespace polygraft::cli
