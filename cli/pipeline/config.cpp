// cli/pipeline/config.cpp: rules of pipeline.yaml, and its resolution to absolute paths.
#include "cli/pipeline/config.h"

#include "cli/pipeline/shape_plan.h"
#include "core/text.h"
#include "model/checkpoint/model_folder.h"
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

std::string absolute(const std::string& path, const std::filesystem::path& folder) {
  return (folder / path).lexically_normal().string();
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
        .hint("keep one with role: new");
  }
  if (corpus.with_role("old").empty()) {
    throw ConfigError("corpus", "no language has role: old")
        .hint(
            "old languages are what a run protects and measures; without any text of them, set "
            "train.replay.source: self");
  }
  model::check_pack_name(languages.front(), "the new language");
  return languages.front();
}

/// What every stage needs of every language.
void check_texts(const tokenizer::Corpus& corpus, Problems& problems) {
  for (const auto& [language, texts] : corpus.languages) {
    const std::string where = concat("languages.", language);
    problems.require(!texts.train.empty(), where + ".train", "[]", "needs text to learn from");
    problems.require(!texts.heldout.empty(), where + ".heldout", "[]",
                     "needs text to measure on, which nothing is trained on");
  }
}

/// What would else be found out after an hour. @throws ConfigError.
void check_base(const fs::path& path, const PipelineConfig& config) {
  const auto base = model::ModelFolder::open(path);
  if (base.manifest && !base.manifest->packs.empty()) {
    throw ConfigError("base", "has packs already")
        .found(concat("pack '", base.manifest->packs.front().name, "'"))
        .hint("`polygraft expand fuse` makes them part of the model, `detach` takes them off");
  }
  const int64_t num_experts = base.config.num_experts, wanted = config.expand.experts_per_layer;
  if (num_experts > 0 && wanted > num_experts) {
    throw ConfigError("expand.experts_per_layer", "every new expert needs a donor of its own")
        .expected(concat("at most ", num_experts, ", the base's"))
        .found(concat(wanted));
  }
}

}  // namespace

void EvaluateConfig::validate(Problems& problems) const {
  problems.require(bpb || !choice.empty(), "bpb", "false", "leaves nothing to measure");
}

void MachineConfig::validate(Problems& problems) const {
  problems.require(memory_gib >= 0, "memory_gib", fixed(memory_gib, 1), "must not be negative");
  problems.require(teraflops > 0, "teraflops", fixed(teraflops, 3), "must be positive");
  if (rank) validate_block(*rank, "rank", problems);
}

void PipelineConfig::validate(Problems& problems) const {
  problems.require(version == 1, "version", std::to_string(version), "must be 1");
  problems.require(!corpus.empty() || !languages.empty(), "corpus", "missing",
                   "give `corpus` or `languages`");
  problems.require(corpus.empty() || languages.empty(), "corpus", corpus,
                   "give `corpus` or `languages`, not both");
  problems.require(seed >= 0, "seed", std::to_string(seed), "must not be negative");
  validate_block(machine, "machine", problems);
  validate_block(tokenizer, "tokenizer", problems);
  validate_block(expand, "expand", problems);
  validate_block(train, "train", problems);
  validate_block(evaluate, "evaluate", problems);
  validate_block(gate, "gate", problems);
}

ResolvedPipeline resolve_pipeline(const ConfigSource& source, const std::filesystem::path& folder) {
  ResolvedPipeline resolved{.config = bind_config<PipelineConfig>(source)};
  PipelineConfig& config = resolved.config;
  if (config.train.trainable != "additions") {
    throw ConfigError("train.trainable", "a pipeline trains additions")
        .found(config.train.trainable)
        .hint("`polygraft train --config` trains all weights");
  }
  config.run_dir = absolute(config.run_dir, folder);
  config.base = absolute(config.base, folder);
  for (std::string& file : config.evaluate.choice) file = absolute(file, folder);
  if (config.corpus.empty()) {
    resolved.corpus.languages = config.languages;
    tokenizer::resolve_paths(resolved.corpus, folder);
  } else {
    config.corpus = absolute(config.corpus, folder);
    resolved.corpus = tokenizer::load_corpus(config.corpus);
  }
  config.languages = resolved.corpus.languages;
  config.corpus.clear();               // the resolved file stands alone
  if (!is_shape_alone(config.base)) {  // a shape can be planned for before there is any text
    Problems problems;
    resolved.corpus.validate(problems);
    check_texts(resolved.corpus, problems);
    problems.throw_if_any(source.name());
    check_base(config.base, config);
  }
  if (config.train.replay.writes_text()) add_self_language(resolved);
  resolved.new_language = find_new_language(resolved.corpus);
  config.gate.new_languages.emplace({resolved.new_language});
  resolved.yaml = config_to_yaml(config);
  return resolved;
}

}  // namespace polygraft::cli
