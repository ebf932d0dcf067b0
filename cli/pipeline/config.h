// cli/pipeline/config.h: pipeline.yaml: one file that says how a language is added, from tokenizer
// to gate.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "eval/compare.h"
#include "expand/config.h"
#include "tokenizer/corpus.h"
#include "trainer/config.h"
#include "trainer/parallel/plan.h"
#include "trainer/trainer.h"

namespace polygraft::cli {

/// The stage that writes old text with the base (train.replay.source: self).
inline constexpr const char* kSelfTextStage = "self-text";

struct EvaluateConfig {
  bool bpb = true;
  bool causes = true;
  bool behind = true;
  std::vector<std::string> choice;

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("bpb", bpb, "bits per byte of the held-out text");
    v.field("causes", causes, "the change on old languages split by cause");
    v.field("behind", behind,
            "also old text behind a passage of the new language, as text that quotes or translates "
            "it: reported, the gate does not look at it");
    v.field("choice", choice, "multiple-choice task files (`eval choice`), before and after");
  }
  void validate(Problems& problems) const;
};

/// Of a machine; low enough that its bytes fit into 63 bits.
inline constexpr double kMostMemoryGib = 1e9;

/// What `run --dry-run` and `init` hold an estimate against, and (`rank`) what `plan-parallel`
/// reckons with.
struct MachineConfig {
  std::string name;
  double memory_gib = 0;                   ///< 0: no machine is named
  double teraflops = 1;                    ///< Tflop/s that training sustains there, an assumption
  std::optional<trainer::RankRates> rank;  ///< what `plan-parallel` reckons with

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("name", name, "of the machine this is meant for");
    v.field("memory_gib", memory_gib, "all its memory, GiB; 0: no machine is named");
    v.field("teraflops", teraflops, "Tflop/s that training is assumed to sustain there");
    v.field("rank", rank, "one rank's rates, for `plan-parallel`");
  }
  void validate(Problems& problems) const;
};

struct PipelineConfig {
  int64_t version = 1;
  std::string run_dir;
  int64_t seed = 17;
  std::string base;
  MachineConfig machine;
  std::string corpus;
  std::map<std::string, tokenizer::LanguageTexts> languages;
  expand::VocabularyConfig tokenizer;
  expand::ExpertConfig expand;
  trainer::TrainConfig train;
  EvaluateConfig evaluate;
  eval::GateConfig gate;

  template <class Visitor>
  void visit(Visitor& v) {
    v.required("version", version, "of this file's format: 1");
    v.required("run_dir", run_dir, "where every output goes");
    v.field("seed", seed, "of everything that is drawn");
    v.required("base", base, "model folder to extend");
    v.field("machine", machine, "what `run --dry-run` holds its estimate against");
    v.field("corpus", corpus, "corpus.yaml, or");
    v.field("languages", languages, "the same block here");
    v.field("tokenizer", tokenizer, "");
    v.field("expand", expand, "");
    v.required("train", train, "");
    v.field("evaluate", evaluate, "");
    v.field("gate", gate, "");
  }
  void validate(Problems& problems) const;
};

/// Where a pipeline is to be run.
struct RunPlace {
  trainer::Processes processes;
  bool is_dry_run = false;
};

/// The config with absolute paths, and its corpus.
struct ResolvedPipeline {
  PipelineConfig config;
  tokenizer::Corpus corpus;
  std::string corpus_file;  ///< "": the languages are in the pipeline's own file
  std::string new_language;
  std::string yaml;  ///< the resolved config, as it is saved and hashed
};
/// @param place none: it is only planned for, maybe for another machine.
/// @throws ConfigError listing every key and value that cannot be; if there is none, one listing
/// what is wrong with base, texts, tasks, run folder and machine.
ResolvedPipeline resolve_pipeline(const ConfigSource& source, const std::filesystem::path& folder,
                                  const std::optional<RunPlace>& place = {});

}  // namespace polygraft::cli
