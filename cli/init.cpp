// cli/init.cpp: `polygraft init`: a commented pipeline.yaml for a model, its texts and this
// machine.
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <iostream>
#include <string_view>

#include "cli/command.h"
#include "cli/earlier_output.h"
#include "cli/keep_inputs.h"
#include "cli/language_files.h"
#include "cli/pipeline/checks.h"
#include "cli/pipeline/hold_out.h"
#include "cli/pipeline/proposal.h"
#include "core/file.h"
#include "core/log.h"
#include "core/parallel.h"
#include "core/text.h"
#include "eval/results.h"

namespace polygraft::cli {
namespace {

void require_file(const std::string& option, const std::string& language, const std::string& file) {
  if (fs::is_regular_file(file)) return;
  if (!fs::exists(file)) throw IoError(file, concat("no such file; --", option, " names it"));
  if (!fs::is_directory(file)) {
    throw ConfigError("--" + option, concat("'", file, "' is no regular file"));
  }
  throw ConfigError("--" + option, concat("'", file, "' is a folder"))
      .expected("its files, separated by commas")
      .hint(concat("the shell lists them: --", option, " ", language, "=\"$(ls '", file,
                   "'/*.jsonl | paste -sd,)\""));
}

/// With absolute paths. @throws ConfigError or, for a missing file, IoError naming the option.
LanguageFiles read_texts(const std::string& option, const std::string& value) {
  LanguageFiles texts = parse_language_files(value);
  if (texts.language.empty() || texts.files.empty()) {
    throw ConfigError("--" + option, "must be LANGUAGE=FILE[,FILE...]").found(value);
  }
  for (std::string& file : texts.files) {
    require_file(option, texts.language, file);
    file = fs::absolute(file).lexically_normal().string();
  }
  return texts;
}

using Languages = std::map<std::string, tokenizer::LanguageTexts>;

void add_languages(const Arguments& arguments, const std::string& role, Languages& languages) {
  for (const std::string& value : arguments.texts(role)) {
    LanguageFiles texts = read_texts(role, value);
    const auto [entry, is_new] =
        languages.try_emplace(texts.language, role, std::move(texts.files));
    if (!is_new) throw ConfigError("--" + role, concat("'", entry->first, "' is named twice"));
  }
}

void add_heldout(const Arguments& arguments, Languages& languages) {
  for (const std::string& value : arguments.texts("heldout")) {
    LanguageFiles texts = read_texts("heldout", value);
    const auto entry = languages.find(texts.language);
    if (entry == languages.end()) {
      throw ConfigError("--heldout", concat("'", texts.language, "' is neither --new nor --old"));
    }
    if (!entry->second.heldout.empty()) {
      throw ConfigError("--heldout", concat("'", texts.language, "' is named twice"))
          .expected(concat("--heldout ", texts.language, "=FILE[,FILE...], once"));
    }
    entry->second.heldout = std::move(texts.files);
  }
}

Languages read_languages(const Arguments& arguments) {
  Languages languages;
  add_languages(arguments, "new", languages);
  if (languages.size() != 1) {
    throw ConfigError("--new", "one language is added at a time")
        .expected("--new LANGUAGE=FILE[,FILE...], once")
        .found(concat(languages.size(), " of them"));
  }
  add_languages(arguments, "old", languages);
  Problems problems;
  for (const auto& [language, texts] : languages) {
    if (texts.role == "new") check_new_language(language, "--new");
    eval::check_name("--" + texts.role, language, problems);  // its split texts will have it, too
  }
  add_heldout(arguments, languages);
  const tokenizer::Corpus corpus{languages};
  corpus.validate(problems);
  check_files_apart(corpus, problems);
  problems.throw_if_any("command line");
  return languages;
}

/// Whether a language has no held-out text of its own.
bool needs_split(const Languages& languages) {
  return std::any_of(languages.begin(), languages.end(),
                     [](const auto& entry) { return entry.second.heldout.empty(); });
}

/// Before any work. @throws ConfigError when the folder of split texts is there and may not be
/// replaced, or holds what is read.
void check_texts_folder(const Arguments& arguments, const Languages& languages,
                        const fs::path& folder) {
  refuse_existing_output(folder, arguments.force());
  require_earlier_output("-o", folder);
  refuse_replacing(folder, arguments.path("base"));
  for (const fs::path& input : files_of({languages})) refuse_replacing(folder, input);
}

/// Splits the texts of every language without held-out ones of its own, into `folder`.
void hold_out(Languages& languages, const fs::path& folder, bool replace) {
  AtomicFolder target(folder, replace);
  for (auto& [language, texts] : languages) {
    if (!texts.heldout.empty()) continue;
    const std::string train = language + ".train.jsonl", heldout = language + ".heldout.jsonl";
    const HeldOut count =
        hold_out_documents(language, texts.train, target.path() / train, target.path() / heldout);
    log_info(concat(language, ": ", human_count(count.num_heldout), " documents held out, ",
                    human_count(count.num_train), " to learn from"));
    if (count.num_heldout < eval::GateConfig{}.min_documents) {
      log_warn(concat(language, ": the gate asks for ", eval::GateConfig{}.min_documents,
                      " documents; give more text, or --heldout"));
    }
    texts.train = {(folder / train).string()};
    texts.heldout = {(folder / heldout).string()};
  }
  target.commit();
  log_info(concat("texts split into ", folder.string()));
}

/// What this machine's matrix products reach in float32; training is taken to sustain half of it.
double measure_teraflops() {
  constexpr int64_t kSize = 1024;
  constexpr double kSeconds = 0.5, kSustained = 0.5;
  const at::Tensor a = at::ones({kSize, kSize}), warm = at::mm(a, a);
  const auto start = std::chrono::steady_clock::now();
  std::chrono::duration<double> elapsed{0};
  int64_t num_products = 0;
  for (; elapsed.count() < kSeconds; ++num_products) {
    at::mm(a, a);
    elapsed = std::chrono::steady_clock::now() - start;
  }
  return kSustained * 2e-12 * kSize * kSize * kSize * static_cast<double>(num_products) /
         elapsed.count();
}

MachineConfig describe_machine(const Arguments& arguments) {
  const double asked = arguments.number("memory-gib");
  if (!(asked >= 0 && asked <= kMostMemoryGib)) {
    throw ConfigError("--memory-gib", concat("must lie between 0 and ", kMostMemoryGib))
        .found(concat(asked))
        .hint("0 is this machine's memory");
  }
  MachineConfig machine;
  machine.memory_gib = asked > 0 ? asked : std::floor(10 * host_memory_bytes() / (1 << 30)) / 10;
  machine.teraflops = std::round(1000 * measure_teraflops()) / 1000;
  machine.name = concat("where `polygraft init` was run, ", resolve_num_threads(0), " threads");
  return machine;
}

std::string relative_to(const fs::path& folder, const std::string& path) {
  const fs::path relative = fs::path(path).lexically_relative(folder);
  const bool is_below = !relative.empty() && *relative.begin() != "..";
  return is_below ? relative.string() : path;
}

/// The file that is written: every key with its documentation, paths below its folder relative.
constexpr std::string_view kHead = "# Made by `polygraft init`";

/// --force replaces what this command has written, and nothing else.
void require_earlier_proposal(const fs::path& output) {
  if (!fs::exists(output) || read_file(output).starts_with(kHead)) return;
  throw ConfigError("--output", "names a file that this command has not written")
      .expected(concat("one that begins with ", kHead, ", or none"))
      .found(output.string())
      .hint("name another file, or remove this one yourself; nothing in it was touched");
}

std::string pipeline_text(Proposal proposal, const fs::path& output) {
  PipelineConfig& config = proposal.config;
  const fs::path folder = output.parent_path();
  config.run_dir = concat("runs/", output.stem().string());
  config.base = relative_to(folder, config.base);
  for (auto& [language, texts] : config.languages) {
    for (std::string& file : texts.train) file = relative_to(folder, file);
    for (std::string& file : texts.heldout) file = relative_to(folder, file);
  }
  std::string text = concat(
      kHead,
      "; yours to edit. Paths are relative to this file.\n"
      "#   polygraft run FILE --dry-run    the stages, what they take, what is wrong with this "
      "file\n"
      "#   polygraft run FILE              all of it; the exit code is the gate's\n");
  for (const std::string& line : split(proposal.plan.text, '\n')) {
    if (!line.empty()) text += "# " + line + "\n";
  }
  return text + config_to_yaml(config, /*with_docs=*/true);
}

ProposalInputs proposal_inputs(const Arguments& arguments, const Languages& languages) {
  ProposalInputs inputs;
  inputs.base = fs::absolute(arguments.path("base")).lexically_normal().string();
  inputs.hours = arguments.number("hours");
  if (!(inputs.hours > 0)) {
    throw ConfigError("--hours", "must be positive").found(concat(inputs.hours));
  }
  const auto tokenizer = tokenizer::Tokenizer::load(inputs.base);
  for (const auto& [language, texts] : languages) {
    if (texts.role == "new") inputs.new_text = tokenizer::measure_texts(texts.train, tokenizer);
  }
  inputs.has_old_text = languages.size() > 1;
  inputs.machine = describe_machine(arguments);
  return inputs;
}

/// Absolute. @throws ConfigError for a folder, before its texts would be split.
fs::path output_file(const Arguments& arguments) {
  fs::path output = fs::absolute(arguments.output()).lexically_normal();
  if (output.has_filename() && !fs::is_directory(output)) return output;
  throw ConfigError("--output", "must be a file")
      .expected("the pipeline's, such as indonesian.yaml")
      .found(arguments.output().string())
      .hint("its texts are split into a folder of the same name beside it");
}

/// As a shell takes it for one word.
std::string shell_word(const std::string& text) {
  const bool is_plain = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("/._-+:@%,").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (is_plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

ExitCode run_init(const Arguments& arguments) {
  const fs::path output = output_file(arguments);
  refuse_existing_output(output, arguments.force());
  require_earlier_proposal(output);
  Languages languages = read_languages(arguments);
  const fs::path texts = output.parent_path() / (output.stem().string() + "-texts");
  const bool splits = needs_split(languages);
  if (splits) check_texts_folder(arguments, languages, texts);
  check_has_no_packs(arguments.path("base"));
  Proposal proposal = propose_pipeline(proposal_inputs(arguments, languages));
  if (languages.size() == 1) {
    log_info("no --old: the base writes old text itself (train.replay.source: self)");
  }
  if (!arguments.dry_run()) {
    if (splits) hold_out(languages, texts, arguments.force());
    proposal.config.languages = languages;
    write_file_atomically(output, pipeline_text(proposal, output));
  }
  if (arguments.stdout_is_free()) std::cout << proposal.plan.text;
  arguments.emit_json(proposal.plan.json);
  if (!arguments.dry_run()) {
    log_info(concat("next: polygraft run ", shell_word(output.string()), " --dry-run"));
  }
  return ExitCode::kDone;
}

}  // namespace

Command init_command() {
  return {
      .name = "init",
      .summary = "a commented pipeline.yaml for a model, its texts and this machine",
      .operands = "",
      .example =
          "polygraft init --base models/base --new id=data/id.jsonl --old en=data/en.jsonl "
          "--old de=data/de.jsonl -o indonesian.yaml",
      .add_options =
          [](po::options_description& o) {
            auto add = o.add_options();
            add("base", po::value<std::string>()->value_name("MODEL"), "the model to extend");
            add("new", po::value<std::vector<std::string>>()->composing()->value_name("LANG=FILES"),
                "the language to add, and its texts, separated by commas");
            add("old", po::value<std::vector<std::string>>()->composing()->value_name("LANG=FILES"),
                "a language that must not get worse; once for each. Without any the base writes "
                "old text itself");
            add("heldout",
                po::value<std::vector<std::string>>()->composing()->value_name("LANG=FILES"),
                "text to measure a language on; without it some documents are held out");
            add("hours", po::value<double>()->default_value(8)->value_name("H"),
                "training time to stay below, by a measured rate");
            add("memory-gib", po::value<double>()->default_value(0)->value_name("N"),
                "memory to stay below; 0: this machine's");
          },
      .add_operands = nullptr,
      .run = run_init,
      .writes_output = true};
}

}  // namespace polygraft::cli
