// cli/pipeline/stages.cpp: what each stage of a run does and on what it depends.
#include <iostream>

#include "cli/evaluate.h"
#include "cli/pipeline/pipeline.h"
#include "cli/pipeline/training_folder.h"
#include "cli/tokenizer_tables.h"
#include "cli/version.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/generation.h"
#include "expand/graft.h"
#include "expand/packs/stored_pack.h"
#include "expand/verify.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/shared_documents.h"
#include "tokenizer/tokenizer_report.h"
#include "trainer/data/self_text.h"
#include "trainer/trainer.h"

namespace polygraft::cli {
namespace {

/// Everything the stages share; each stage function below fills its own folder, which only the
/// first of several ranks has.
struct Run {
  ResolvedPipeline pipeline;
  fs::path dir;
  const parallel::RankGrid* grid = nullptr;

  parallel::Team team() const { return parallel::Team(grid == nullptr ? nullptr : &grid->world()); }
  const PipelineConfig& config() const { return pipeline.config; }
  fs::path stage(const std::string& name) const { return dir / "stages" / name; }
  fs::path grafted_model() const { return stage("graft") / "model"; }
  fs::path model() const { return dir / "model"; }
  fs::path pack() const { return dir / "pack"; }

  std::map<std::string, std::vector<fs::path>> train_files(const std::string& role) const {
    std::map<std::string, std::vector<fs::path>> files;
    for (const std::string& language : pipeline.corpus.with_role(role)) {
      const auto& train = pipeline.corpus.languages.at(language).train;
      files[language] = {train.begin(), train.end()};
    }
    return files;
  }
};

/// Old text from the base: to train with, and a quarter as much to measure on.
void write_self_texts(const Run& run, const fs::path& folder) {
  const auto base = model::ModelFolder::open(run.config().base);
  const auto transformer = model::Transformer::load(base);
  const auto tokenizer = tokenizer::Tokenizer::load(base.path);
  const auto write = [&](const std::string& name, int64_t share) {
    trainer::SelfTextOptions options =
        trainer::self_text_options(run.config().train, run.config().seed, base.path);
    options.name = name;
    options.num_tokens /= share;
    trainer::write_self_text(transformer, tokenizer, eval::read_end_tokens(base.path, tokenizer),
                             options, folder / (name + ".jsonl"));
  };
  write("train", 1);
  write("heldout", 4);
}

/// {"id": {"documents": 260, "also_trained_on": 0}}
Json count_heldout_documents(const tokenizer::Corpus& corpus) {
  Json counts = Json::object();
  for (const auto& [language, texts] : corpus.languages) {
    const tokenizer::SharedDocuments shared = tokenizer::count_shared_documents(
        {texts.train.begin(), texts.train.end()}, {texts.heldout.begin(), texts.heldout.end()});
    counts[language] = {{"documents", shared.num_heldout}, {"also_trained_on", shared.num_shared}};
    if (shared.num_shared == 0) continue;
    log_warn(concat(language, ": ", shared.num_shared, " of ", shared.num_heldout,
                    " held-out documents are in its training text, too: what is measured on them "
                    "says nothing of other text"));
  }
  return counts;
}

void extend_tokenizer(const Run& run, const fs::path& folder) {
  const auto& config = run.config().tokenizer;
  const tokenizer::ExtendReport report = tokenizer::extend_tokenizer(
      run.config().base, run.train_files("new"), run.train_files("old"),
      {.new_tokens = tokenizer::parse_new_tokens(config.new_tokens, "tokenizer.new_tokens"),
       .min_saving = config.min_saving,
       .min_count = config.min_count,
       .cross_script = config.cross_script,
       .guard_max_changed = config.guard_max_changed},
      folder);
  write_json(folder / "extend.json", report.to_json());
}

/// What everything is measured on. Nothing that is trained depends on it.
void look_at_heldout(const Run& run, const fs::path& folder) {
  const auto base = tokenizer::Tokenizer::load(run.config().base);
  const auto extended = tokenizer::Tokenizer::load(run.stage("tokenizer"));
  write_json(
      folder / "tokens.json",
      tokenizer::report_tokenizer(extended, &base, corpus_files(run.pipeline.corpus, "heldout"))
          .to_json());
  write_json(folder / "documents.json", count_heldout_documents(run.pipeline.corpus));
}

void profile(const Run& run, const fs::path& folder) {
  const auto base = model::ModelFolder::open(run.config().base);
  expand::ProfileOptions options;
  options.team = run.team();
  options.scores_heldout = false;  // the stage `evaluate-base` does
  const expand::Profile profile = expand::profile_folder(base, run.pipeline.corpus, options);
  if (!folder.empty()) write_json(folder / "profile.json", profile.to_json());
}

void write_corpus(const Run& run, const fs::path& file) {
  tokenizer::Corpus corpus = run.pipeline.corpus;
  write_file_atomically(file, config_to_yaml(corpus));
}

void plan(const Run& run, const fs::path& folder) {
  const auto base = model::ModelFolder::open(run.config().base);
  const fs::path profile_file = run.stage("profile") / "profile.json";
  const int64_t old_size = tokenizer::Tokenizer::load(base.path).size();
  expand::ExpansionPlan plan = expand::plan_expansion(
      base.config, expand::Profile::from_json(read_json(profile_file), profile_file),
      {.language = run.pipeline.new_language,
       .num_tokens = old_size,
       .new_vocab_rows = tokenizer::Tokenizer::load(run.stage("tokenizer")).size() - old_size,
       .seed = static_cast<uint64_t>(run.config().seed),
       .experts = run.config().expand,
       .vocabulary = run.config().tokenizer});
  write_corpus(run, folder / "corpus.yaml");
  plan.corpus = run.stage("plan") / "corpus.yaml";
  plan.tokenizer = run.stage("tokenizer");
  write_json(folder / "plan.json", plan.to_json());
  log_info(expand::plan_table(plan));
}

void graft(const Run& run, const fs::path& folder) {
  const fs::path plan_file = run.stage("plan") / "plan.json";
  const fs::path model = folder.empty() ? fs::path() : folder / "model";
  if (!model.empty()) create_folders(model);
  expand::graft(model::ModelFolder::open(run.config().base),
                expand::ExpansionPlan::from_json(read_json(plan_file), plan_file), model,
                run.team());
}

void train(const Run& run, const std::string& key, const fs::path& folder) {
  if (!folder.empty()) begin_training(run.pipeline, key);  // the others wait in trainer::train()
  trainer::TrainJob job;
  job.model = run.grafted_model();
  job.corpus = run.pipeline.corpus;
  job.languages = {run.pipeline.new_language};
  job.run_dir = training_folder(run.dir);
  job.output = run.model();
  job.seed = run.config().seed;
  job.train = run.config().train;
  job.replace_output = true;
  job.ranks = run.grid;
  const trainer::TrainResult result = trainer::train(job);
  if (!folder.empty()) write_json(folder / "train.json", trainer::to_json(result));
}

void verify(const Run& run, const fs::path& folder) {
  const expand::VerifyReport report = expand::verify_expansion(
      model::ModelFolder::open(run.config().base), model::ModelFolder::open(run.model()),
      run.pipeline.corpus, {.causes = false});  // the stage `evaluate` has them of all text
  write_json(folder / "verify.json", report.to_json());
  if (!report.ok) {
    const std::string where =
        report.differences.empty() ? "masked logits" : report.differences.front().tensor;
    throw FormatError(run.model(), concat("the trained model is not base + additions: ", where))
        .hint("polygraft expand verify lists every difference");
  }
}

/// The new language's additions on their own, of the model that was verified.
void pack(const Run& run, const fs::path& folder) {
  AtomicFolder target(run.pack(), /*replace=*/true);
  const auto expanded = model::ModelFolder::open(run.model());
  const expand::Pack written =
      expand::write_pack(expand::find_pack(expanded, run.pipeline.new_language), target.path());
  target.commit();
  write_json(folder / "pack.json",
             Json{{"name", written.name}, {"additions_hash", written.additions_hash}});
}

struct EvaluateWork {
  std::string stage;
  fs::path model;
  bool causes = false;  ///< split the change on old languages
};

void evaluate(const Run& run, const EvaluateWork& work, const fs::path& folder) {
  const fs::path scores = Unfinished::beside(run.stage(work.stage));
  std::optional<Unfinished> unfinished;
  if (!folder.empty()) unfinished.emplace(scores);
  MeasuredModel measured{model::ModelFolder::open(work.model)};
  measured.unfinished = scores;
  measured.team = run.team();
  const EvaluateConfig& config = run.config().evaluate;
  const auto measure_bpb = [&](const BpbOptions& options, const fs::path& into) {
    const eval::BpbResult result = evaluate_bpb(measured, run.pipeline.corpus, options);
    if (!folder.empty()) eval::write_bpb_result(result, into);
  };
  if (config.bpb) measure_bpb({work.causes}, folder);
  if (config.bpb && config.behind) {
    measure_bpb({.behind = run.pipeline.new_language}, folder / eval::kBehindFolder);
  }
  if (!config.choice.empty()) {
    const auto tasks = eval::read_choice_items({config.choice.begin(), config.choice.end()});
    const eval::ChoiceResult result = evaluate_choice(measured, tasks);
    if (!folder.empty()) eval::write_choice_result(result, folder / eval::kChoiceFolder);
  }
  if (unfinished) unfinished->remove();
}

void compare(const Run& run, const fs::path& folder) {
  write_json(folder / "comparison.json", compare_stages(run.dir, run.config().gate).to_json());
}

/// Keys: a hash over the stage's name, the program's version, and what determines its result.
std::string make_key(const std::string& name, const std::vector<std::string>& inputs) {
  return sha256(concat(name, '\n', kVersion, '\n', join(inputs, "\n")));
}

template <class Block>
std::string yaml_of(const Block& block) {
  return config_to_yaml(block);
}

/// The settings that decide what is trained: how often checkpoints are made may change meanwhile.
std::string decisive_yaml(trainer::TrainConfig train) {
  train.checkpoint = {};
  return yaml_of(train);
}

/// What is to be known of the texts: which languages they are of, and their bytes.
struct TextKeys {
  std::string train, heldout;
};

/// @param self_text key of the stage that writes the files of kSelfLanguage, which may not exist
/// yet; "" without one.
TextKeys text_keys(const ResolvedPipeline& pipeline, FileHashes& hashes,
                   const std::string& self_text) {
  TextKeys keys;
  for (const auto& [language, texts] : pipeline.corpus.languages) {
    if (!self_text.empty() && language == trainer::kSelfLanguage) {
      keys.train += self_text;
      keys.heldout += self_text;
      continue;
    }
    keys.train += concat(language, " ", texts.role, "\n");
    keys.heldout += concat(language, "\n");
    for (const std::string& file : texts.train) keys.train += hashes.of(file) + "\n";
    for (const std::string& file : texts.heldout) keys.heldout += hashes.of(file) + "\n";
  }
  return keys;
}

/// What evaluations depend on besides the model. Results note which language is new, and its
/// passages stand before old text.
std::string measured_key(const ResolvedPipeline& pipeline, FileHashes& hashes,
                         const TextKeys& texts) {
  const EvaluateConfig& evaluate = pipeline.config.evaluate;
  std::string key = concat(texts.heldout, yaml_of(evaluate), "new ", pipeline.new_language, "\n");
  for (const std::string& file : evaluate.choice) key += hashes.of(file) + "\n";
  return key;
}

}  // namespace

eval::Comparison compare_stages(const fs::path& run_dir, const eval::GateConfig& gate) {
  const auto read = [&](const char* stage) {
    return eval::read_result_folder(run_dir / "stages" / stage, gate.document_field);
  };
  return eval::compare_results(read("evaluate-base"), read("evaluate"), gate);
}

std::vector<Stage> make_stages(const ResolvedPipeline& pipeline, FileHashes& hashes,
                               const parallel::RankGrid* grid) {
  const Run run{pipeline, pipeline.config.run_dir, grid};
  const PipelineConfig& config = pipeline.config;
  const std::string base = hashes.of(config.base);
  const std::string seed = std::to_string(config.seed);
  std::vector<Stage> stages;
  const auto add = [&](const std::string& name, const std::vector<std::string>& inputs,
                       std::vector<fs::path> outputs, std::function<void(const fs::path&)> work,
                       StageRanks ranks = StageRanks::kFirst) {
    const std::string key = make_key(name, inputs);
    outputs.push_back(run.stage(name));
    stages.push_back({name, key, std::move(outputs), std::move(work), ranks});
    return key;
  };
  std::string self_text;
  if (config.train.replay.writes_text()) {
    self_text =
        add(kSelfTextStage,
            {base, yaml_of(config.train.replay), concat(config.train.sequence_length), seed}, {},
            [run](const fs::path& f) { write_self_texts(run, f); });
  }
  const TextKeys texts = text_keys(pipeline, hashes, self_text);
  const std::string tokenizer = add("tokenizer", {base, texts.train, yaml_of(config.tokenizer)}, {},
                                    [run](const fs::path& f) { extend_tokenizer(run, f); });
  const std::string heldout = add("heldout", {tokenizer, texts.train, texts.heldout}, {},
                                  [run](const fs::path& f) { look_at_heldout(run, f); });
  const std::string profiled = add(
      "profile", {base, texts.train}, {}, [run](const fs::path& f) { profile(run, f); },
      StageRanks::kAll);
  const std::string planned =
      add("plan", {tokenizer, profiled, yaml_of(config.tokenizer), yaml_of(config.expand), seed},
          {}, [run](const fs::path& f) { plan(run, f); });
  const std::string grafted = add(
      "graft", {planned}, {}, [run](const fs::path& f) { graft(run, f); }, StageRanks::kAll);
  const std::string measured_on = measured_key(pipeline, hashes, texts);
  const std::string base_evaluated = add(
      "evaluate-base", {base, measured_on}, {},
      [run](const fs::path& f) {
        evaluate(run, {"evaluate-base", run.config().base}, f);
      },
      StageRanks::kAll);
  const std::vector<std::string> train_inputs = {grafted, decisive_yaml(config.train), seed};
  const std::string train_key = make_key("train", train_inputs);
  const std::string trained = add(
      "train", train_inputs, {run.model()},
      [run, train_key](const fs::path& f) { train(run, train_key, f); }, StageRanks::kAll);
  const std::string verified =
      add("verify", {trained, texts.heldout}, {}, [run](const fs::path& f) { verify(run, f); });
  add("pack", {verified}, {run.pack()}, [run](const fs::path& f) { pack(run, f); });
  const std::string evaluated = add(
      "evaluate", {trained, measured_on}, {},
      [run](const fs::path& f) {
        evaluate(run, {"evaluate", run.model(), run.config().evaluate.causes}, f);
      },
      StageRanks::kAll);
  const std::string compared = add("compare", {base_evaluated, evaluated, yaml_of(config.gate)}, {},
                                   [run](const fs::path& f) { compare(run, f); });
  std::vector<fs::path> reports;
  for (const char* name : eval::kReportFiles) reports.push_back(run.dir / name);
  add("report", {heldout, compared, verified, pipeline.yaml}, reports,
      [run](const fs::path&) { eval::write_report(make_report(run.dir), run.dir); });
  return stages;
}

}  // namespace polygraft::cli
