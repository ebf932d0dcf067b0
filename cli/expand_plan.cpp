// cli/expand_plan.cpp: `polygraft expand plan`: what would be grafted, from which donors, and what
// it costs.
#include <iostream>

#include "cli/keep_inputs.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "expand/plan.h"
#include "model/checkpoint/model_folder.h"
#include "tokenizer/corpus.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::cli {
namespace {

/// The file of `expand plan --config`. Paths are relative to the file.
struct PlanFile {
  std::string language;
  std::string corpus;
  std::string extended_tokenizer;
  int64_t seed = 17;
  expand::VocabularyConfig vocabulary;
  expand::ExpertConfig experts;

  template <class Visitor>
  void visit(Visitor& v) {
    v.required("language", language, "the new language's code in the corpus");
    v.required("corpus", corpus, "corpus.yaml that `expand graft` calibrates on");
    v.required("extended_tokenizer", extended_tokenizer, "folder that `tokenizer extend` wrote");
    v.field("seed", seed, "of the re-initialised units");
    v.field("tokenizer", vocabulary, "start values of the new vocabulary rows");
    v.field("expand", experts, "new experts and router rows");
  }
  void validate(Problems& problems) const {
    problems.require_at_least("seed", seed, 0);
    problems.enter("tokenizer");
    vocabulary.validate(problems);
    problems.leave();
    problems.enter("expand");
    experts.validate(problems);
    problems.leave();
  }
};

ExitCode run_expand_plan(const Arguments& arguments) {
  const auto file = bind_config<PlanFile>(arguments.config_or_defaults());
  const auto folder = model::ModelFolder::open(arguments.path("model"));
  const fs::path profile_file = arguments.path("profile");
  const expand::Profile profile = expand::Profile::from_json(read_json(profile_file), profile_file);
  const int64_t old_size = tokenizer::Tokenizer::load(folder.path).size();
  const fs::path extended =
      (arguments.config_folder() / file.extended_tokenizer).lexically_normal();
  const int64_t new_size = tokenizer::Tokenizer::load(extended).size();
  if (new_size < old_size) {
    throw ConfigError("extended_tokenizer", "is no extension of the model's tokenizer")
        .expected(concat("at least the model's ", old_size, " tokens"))
        .found(concat(new_size, " tokens in ", extended.string()));
  }
  expand::PlanRequest request{.language = file.language,
                              .num_tokens = old_size,
                              .new_vocab_rows = new_size - old_size,
                              .seed = static_cast<uint64_t>(file.seed),
                              .experts = file.experts,
                              .vocabulary = file.vocabulary};
  expand::ExpansionPlan plan = expand::plan_expansion(folder.config, profile, request);
  plan.corpus = (arguments.config_folder() / file.corpus).lexically_normal();
  plan.tokenizer = extended;
  if (!arguments.dry_run()) {
    refuse_existing_output(arguments.output(), arguments.force());
    check_output_file("-o", arguments.output());
  }
  expand::check_profiled(folder, profile);
  const Json json = plan.to_json();
  if (!arguments.dry_run()) {
    const fs::path output = arguments.output();
    write_json(output, json);
    log_info(concat("plan written to ", output.string()));
  }
  if (arguments.stdout_is_free()) std::cout << expand::plan_table(plan);
  arguments.emit_json(json);
  return ExitCode::kDone;
}

}  // namespace

Command expand_plan_command() {
  return {.name = "expand plan",
          .summary = "what would be grafted, from which donors, at what cost",
          .operands = "",
          .example =
              "polygraft expand plan --model models/base --profile profile.json --set language=id "
              "--set corpus=corpus.yaml --set extended_tokenizer=id-tokenizer "
              "--set expand.experts_per_layer=8 -o plan.json",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("model", po::value<std::string>()->value_name("MODEL"), "model folder");
                add("profile", po::value<std::string>()->value_name("FILE"),
                    "what `expand profile` wrote");
              },
          .add_operands = nullptr,
          .run = run_expand_plan,
          .settings = documented_settings<PlanFile>,
          .takes_config = true,
          .has_paths = true,
          .writes_output = true};
}

}  // namespace polygraft::cli
