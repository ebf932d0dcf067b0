// cli/tokenizer_extend.cpp: `polygraft tokenizer extend`: continued BPE that leaves old text's
// segmentation alone.
#include <iostream>

#include "cli/command.h"
#include "cli/language_files.h"
#include "cli/pipeline/checks.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "tokenizer/bpe_trainer.h"

namespace polygraft::cli {
namespace {

/// Files without a language are of `fallback`.
std::map<std::string, std::vector<fs::path>> by_language(const Arguments& arguments,
                                                         const std::string& option,
                                                         const std::string& fallback) {
  std::map<std::string, std::vector<fs::path>> files;
  for (const std::string& word : arguments.texts(option)) {
    const LanguageFiles named = parse_language_files(word);
    if (named.files.empty()) throw ConfigError("--" + option, "names no file").found(word);
    auto& list = files[named.language.empty() ? fallback : named.language];
    list.insert(list.end(), named.files.begin(), named.files.end());
  }
  return files;
}

ExitCode run_tokenizer_extend(const Arguments& arguments) {
  const auto new_texts = by_language(arguments, "text", "new");
  const auto guard_texts = by_language(arguments, "guard", "old");
  if (new_texts.empty())
    throw ConfigError("command line", "--text is missing").expected("text of the new language");
  if (guard_texts.empty())
    throw ConfigError("command line", "--guard is missing").expected("text of the old languages");
  tokenizer::ExtendOptions options;
  options.new_tokens = tokenizer::parse_new_tokens(arguments.text("new-tokens"), "--new-tokens");
  options.min_saving = arguments.number("min-saving");
  options.min_count = arguments.integer("min-count");
  options.cross_script = arguments.flag("cross-script");
  options.guard_max_changed = arguments.number("guard-max-changed");
  const fs::path output = arguments.output();
  if (arguments.dry_run()) {
    tokenizer::check_options(options, new_texts, guard_texts);
    tokenizer::Tokenizer::load(arguments.path("tokenizer"));
    for (const auto* texts : {&new_texts, &guard_texts}) {
      for (const auto& [language, files] : *texts)
        for (const fs::path& file : files) check_first_document(file);
    }
    const std::string count = options.new_tokens
                                  ? concat("up to ", *options.new_tokens, " merges")
                                  : concat("merges while each saves ", options.min_saving,
                                           " tokens per token of the new text");
    arguments.say_plan(concat("would learn ", count, " and write ", output));
    return ExitCode::kDone;
  }
  AtomicFolder folder(output, arguments.force());
  const tokenizer::ExtendReport report = tokenizer::extend_tokenizer(
      arguments.path("tokenizer"), new_texts, guard_texts, options, folder.path());
  folder.commit();
  const Json json = report.to_json();
  log_info(concat(report.merges_added, " merges added, ", report.guard_rejected_total,
                  " rejected by the guard, ", report.script_rejected, " across scripts, ",
                  report.unreachable, " unreachable; written to ", output.string()));
  if (arguments.stdout_is_free()) {
    for (const auto& [language, values] : json.at("languages").items()) {
      std::cout << language << ": " << fixed(values.at("bytes_per_token_before").get<double>(), 3)
                << " -> " << fixed(values.at("bytes_per_token_after").get<double>(), 3)
                << " bytes per token, " << values.at("changed_documents") << " of "
                << values.at("documents") << " documents changed\n";
    }
  }
  arguments.emit_json(json);
  return ExitCode::kDone;
}

}  // namespace

Command tokenizer_extend_command() {
  return {.name = "tokenizer extend",
          .summary = "continued BPE for a new language, with a guard over old text",
          .operands = "",
          .example =
              "polygraft tokenizer extend --tokenizer models/base --text id=data/id.train.jsonl "
              "--guard en=data/en.train.jsonl de=data/de.train.jsonl --new-tokens 800 -o "
              "models/tokenizer-id",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("tokenizer", po::value<std::string>()->value_name("TOKENIZER"),
                    "model folder, tokenizer.json or tokenizer.model to extend");
                add("text",
                    po::value<std::vector<std::string>>()->multitoken()->value_name("[LANG=]FILES"),
                    "text of the new language");
                add("guard",
                    po::value<std::vector<std::string>>()->multitoken()->value_name("[LANG=]FILES"),
                    "text whose segmentation must stay");
                add("new-tokens",
                    po::value<std::string>()->default_value("800")->value_name("N|auto"),
                    "merges to learn; auto: while each saves --min-saving");
                add("min-saving",
                    po::value<double>()->default_value(1e-4, "0.0001")->value_name("SHARE"),
                    "with auto: tokens saved per token of the new text");
                add("min-count", po::value<int64_t>()->default_value(2)->value_name("N"),
                    "a pair seen less often is not merged");
                add("cross-script", po::bool_switch(),
                    "allow merges across a script or digit boundary");
                add("guard-max-changed",
                    po::value<double>()->default_value(0.0, "0")->value_name("SHARE"),
                    "share of each guard language's documents that may be cut differently");
              },
          .add_operands = nullptr,
          .run = run_tokenizer_extend,
          .writes_output = true};
}

}  // namespace polygraft::cli
