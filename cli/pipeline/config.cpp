// cli/pipeline/config.cpp: rules of pipeline.yaml, and its resolution to absolute paths.
#include "cli/pipeline/config.h"

#include "cli/pipeline/checks.h"
#include "cli/pipeline/shape_plan.h"
#include "core/text.h"
#include "model/checkpoint/pack_name.h"
#include "trainer/data/self_text.h"

namespace polygraft::cli {
namespace {

template <class Block>
void validate_block(const Block& block, const std::string& name, Problems& problems) {
  problems.enter(name);
  block.validate(problems);
  problems.leave();
}

/// Without a slash at its end, so that its last part is a name: a report calls the base by it.
std::string absolute(const std::string& path, const std::filesystem::path& folder) {
  const std::filesystem::path whole = (folder / path).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).string();
}

/// The base's own text as one more old language; the stage self-text writes the files.
void add_self_language(ResolvedPipeline& resolved) {
  const fs::path folder = fs::path(resolved.config.run_dir) / "stages" / kSelfTextStage;
  const tokenizer::LanguageTexts texts = {.role = "old",
                                          .train = {(folder / "train.jsonl").string()},
                                          .heldout = {(folder / "heldout.jsonl").string()}};
  if (resolved.corpus.languages.emplace(trainer::kSelfLanguage, texts).second) return;
  throw ConfigError(concat("languages.", trainer::kSelfLanguage),
                    "is the base's own text with train.replay.source: self")
      .hint("give the language another name");
}

/// The one language to add. Several packs at once, or none, are not this pipeline's work.
std::string find_new_language(const tokenizer::Corpus& corpus) {
  const std::vector<std::string> languages = corpus.with_role("new");
  if (languages.empty())
    throw ConfigError("corpus", "no language has role: new").hint("mark the language to add");
  if (languages.size() > 1) {
    throw NotBuiltError(concat("several new languages in one run (", join(languages, ", "), ")"))
        .hint(
            "keep one with role: new; the next is added on top of the result (`polygraft expand "
            "fuse`), or as a pack beside it (`polygraft expand attach`)");
  }
  if (corpus.with_role("old").empty()) {
    throw ConfigError("corpus", "no language has role: old")
        .hint(
            "old languages are what a run protects and measures; without any text of them, set "
            "train.replay.source: self");
  }
  check_new_language(languages.front(), "the new language");
  return languages.front();
}

/// The corpus of its file or of the block; of one that cannot be read no language.
void take_corpus(ResolvedPipeline& resolved, const std::filesystem::path& folder) {
  PipelineConfig& config = resolved.config;
  if (config.corpus.empty()) {
    resolved.corpus.languages = config.languages;
    tokenizer::resolve_paths(resolved.corpus, folder);
  } else {
    resolved.corpus_file = absolute(config.corpus, folder);
    resolved.corpus = tokenizer::load_corpus(resolved.corpus_file);
  }
  config.languages = resolved.corpus.languages;
  config.corpus.clear();  // the resolved file stands alone
}

void take_new_language(ResolvedPipeline& resolved) {
  if (resolved.config.train.replay.writes_text()) add_self_language(resolved);
  resolved.new_language = find_new_language(resolved.corpus);
  std::optional<std::vector<std::string>>& gated = resolved.config.gate.new_languages;
  const std::vector<std::string> expected = {resolved.new_language};
  if (gated && !gated->empty() && *gated != expected) {
    throw ConfigError("gate.new_languages", "is the language that the pipeline adds")
        .expected(concat("[", resolved.new_language, "], or nothing"))
        .found(concat("[", join(*gated, ", "), "]"));
  }
  gated = expected;
}

void require_additions(const trainer::TrainConfig& train) {
  if (train.trainable == "additions") return;
  throw ConfigError("train.trainable", "a pipeline trains additions")
      .found(train.trainable)
      .hint("`polygraft train --config` trains all weights");
}

/// Whether there is only a shape to plan for: before there is any text, and for another machine.
bool is_plan_alone(const PipelineConfig& config, const std::optional<RunPlace>& place) {
  return is_shape_alone(config.base) && (!place || place->is_dry_run);
}

void check_inputs(const ResolvedPipeline& resolved, const std::string& where, Checks& checks) {
  const PipelineConfig& config = resolved.config;
  if (checks.run([&] { check_base(config); })) checks.run([&] { check_tokenizer(config); });
  const bool has_corpus = !resolved.corpus.languages.empty();
  if (has_corpus && checks.run([&] { check_texts(resolved.corpus, where); }))
    check_first_documents(resolved.corpus, checks);
  check_tasks(config, checks);
}

}  // namespace

void EvaluateConfig::validate(Problems& problems) const {
  problems.require(bpb || !choice.empty(), "bpb", "false", "leaves nothing to measure");
}

void MachineConfig::validate(Problems& problems) const {
  problems.require_in("memory_gib", memory_gib, 0, kMostMemoryGib);
  problems.require_in("teraflops", teraflops, 0, 1e9, Ends::kHigh);
  if (rank) validate_block(*rank, "rank", problems);
}

void PipelineConfig::validate(Problems& problems) const {
  problems.require(version == 1, "version", std::to_string(version), "must be 1");
  problems.require(!corpus.empty() || !languages.empty(), "corpus", "missing",
                   "give `corpus` or `languages`");
  problems.require(corpus.empty() || languages.empty(), "corpus", corpus,
                   "give `corpus` or `languages`, not both");
  problems.require(!run_dir.empty(), "run_dir", run_dir, "must name a folder");
  problems.require_at_least("seed", seed, 0);
  validate_block(machine, "machine", problems);
  validate_block(tokenizer, "tokenizer", problems);
  validate_block(expand, "expand", problems);
  validate_block(train, "train", problems);
  validate_block(evaluate, "evaluate", problems);
  validate_block(gate, "gate", problems);
}

ResolvedPipeline resolve_pipeline(const ConfigSource& source, const std::filesystem::path& folder,
                                  const std::optional<RunPlace>& place) {
  ResolvedPipeline resolved{.config = bind_config<PipelineConfig>(source)};
  PipelineConfig& config = resolved.config;
  config.run_dir = absolute(config.run_dir, folder);
  config.base = absolute(config.base, folder);
  for (std::string& file : config.evaluate.choice) file = absolute(file, folder);
  Checks checks;
  checks.run([&] { require_additions(config.train); });
  const bool has_corpus = checks.run([&] { take_corpus(resolved, folder); });
  if (!is_plan_alone(config, place)) {
    check_inputs(resolved, source.name(), checks);
    if (place) {
      checks.run([&] { check_machine(config.train, place->processes); });
      checks.run([&] { check_writable(config.run_dir); });
    }
  }
  if (has_corpus) checks.run([&] { take_new_language(resolved); });
  checks.throw_if_any(source.name());
  resolved.yaml = config_to_yaml(config);
  return resolved;
}

}  // namespace polygraft::cli
