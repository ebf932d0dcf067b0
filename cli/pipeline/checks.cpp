// cli/pipeline/checks.cpp: see checks.h.
#include "cli/pipeline/checks.h"

#include <unistd.h>

#include <cerrno>

#include "cli/keep_inputs.h"
#include "cli/pipeline/shape_plan.h"
#include "core/file.h"
#include "core/text.h"
#include "eval/choice.h"
#include "eval/results.h"
#include "model/architecture/gpu.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/pack_name.h"
#include "tokenizer/chat_format.h"
#include "tokenizer/tokenizer.h"
#include "trainer/data/self_text.h"
#include "trainer/data/training_data.h"
#include "trainer/trainee.h"
#include "trainer/trainer.h"

namespace polygraft::cli {

void Checks::note(const Error& error) {
  if (messages_.empty()) first_ = std::current_exception();
  is_setting_wrong_ = is_setting_wrong_ || error.exit_code() != ExitCode::kRuntime;
  messages_.push_back(join(split(error.what(), '\n'), "\n  "));
}

void Checks::throw_if_any(const std::string& where) const {
  if (messages_.empty()) return;
  if (messages_.size() == 1) std::rethrow_exception(first_);
  const std::string text = concat(messages_.size(), " problems\n  ", join(messages_, "\n  "));
  if (!is_setting_wrong_) throw IoError(where, text);
  throw ConfigError(where, text);
}

void check_new_language(const std::string& language, const std::string& where) {
  if (language == trainer::kSelfLanguage) {
    throw ConfigError(where, concat("'", language, "' is what the base's own text is called"))
        .hint("give the language another name");
  }
  if (model::is_pack_name(language)) return;
  throw ConfigError(where, concat("language '", language, "' has an unusable name"))
      .expected(model::kPackNameRule)
      .hint("its pack will have that name: pt-BR, say, for pt/BR");
}

void check_files_apart(const tokenizer::Corpus& corpus, Problems& problems) {
  std::map<std::string, std::string> old_languages;  // by file
  for (const std::string& language : corpus.with_role("old")) {
    for (const std::string& file : corpus.languages.at(language).train) {
      old_languages.emplace(fs::weakly_canonical(file).string(), language);
    }
  }
  for (const std::string& language : corpus.with_role("new")) {
    for (const std::string& file : corpus.languages.at(language).train) {
      const auto old = old_languages.find(fs::weakly_canonical(file).string());
      if (old == old_languages.end()) continue;
      problems.require(false, concat("languages.", language), file,
                       concat("is text of the old language ", old->second, ", too"));
    }
  }
}

void check_texts(const tokenizer::Corpus& corpus, const std::string& where) {
  Problems problems;
  corpus.validate(problems);
  std::vector<std::string> languages;
  for (const auto& [language, texts] : corpus.languages) {
    const std::string path = concat("languages.", language);
    eval::check_name("languages", language, problems);  // of results, of texts and of a pack
    languages.push_back(language);
    problems.require(!texts.train.empty(), path + ".train", "[]", "needs text to learn from");
    problems.require(!texts.heldout.empty(), path + ".heldout", "[]",
                     "needs text to measure on, which nothing is trained on");
  }
  check_files_apart(corpus, problems);
  problems.throw_if_any(where);
  trainer::require_documents(corpus, languages);
}

void check_has_no_packs(const fs::path& base) {
  if (is_shape_alone(base)) return;
  const auto model = model::ModelFolder::open(base);
  if (!model.manifest || model.manifest->packs.empty()) return;
  throw ConfigError("base", "has packs already")
      .found(concat("pack '", model.manifest->packs.front().name, "'"))
      .hint("`polygraft expand fuse` makes them part of the model, `detach` takes them off");
}

void check_base(const PipelineConfig& config) {
  check_has_no_packs(config.base);
  trainer::require_positions(model::ModelFolder::open(config.base).config, config.train);
  expanded_shape(config);  // refuses a dense base, and more new experts than it has donors for
}

namespace {

void check_chat_format(const PipelineConfig& config) {
  const auto error = [&](auto error) {
    return std::move(error)
        .found(config.base)
        .hint("a base that continues text writes no chats: set train.replay.self_chats to 0");
  };
  const char* const key = "train.replay.self_chats";
  try {
    tokenizer::read_chat_format(config.base);
  } catch (const ConfigError&) {
    throw error(ConfigError(key, "asks for chats, and the base has no chat template"));
  } catch (const NotBuiltError&) {
    throw error(NotBuiltError(concat(key, " with this base's chat template")));
  }
}

}  // namespace

void check_tokenizer(const PipelineConfig& config) {
  const int64_t num_tokens = tokenizer::Tokenizer::load(config.base).size();
  const int64_t num_rows = model::ModelFolder::open(config.base).config.vocab_rows;
  if (num_tokens > num_rows) {
    throw ConfigError(config.base, "the tokenizer has more tokens than the model has rows for them")
        .expected(concat("at most ", num_rows))
        .found(concat(num_tokens))
        .hint("is it another model's tokenizer?");
  }
  if (config.train.replay.self_chats > 0) check_chat_format(config);
}

void check_first_document(const fs::path& file) {
  if (tokenizer::count_documents({file}, /*most=*/1) > 0) return;
  throw FormatError(file, "no document in it").expected("at least one line of text");
}

void check_first_documents(const tokenizer::Corpus& corpus, Checks& checks) {
  for (const fs::path& file : files_of(corpus)) checks.run([&] { check_first_document(file); });
}

std::vector<std::string> find_few_documents(const ResolvedPipeline& pipeline) {
  std::vector<std::string> found;
  if (!pipeline.config.evaluate.bpb) return found;
  const int64_t least = pipeline.config.gate.min_documents;
  for (const auto& [language, texts] : pipeline.corpus.languages) {
    if (language == trainer::kSelfLanguage) continue;  // not written yet
    const int64_t count =
        tokenizer::count_documents({texts.heldout.begin(), texts.heldout.end()}, least);
    if (count >= least) continue;
    found.push_back(concat(language, ": ", count, " held-out documents are fewer than the ", least,
                           " of gate.min_documents: the gate will find too little evidence"));
  }
  return found;
}

namespace {

/// The tasks and languages that a run measures.
eval::MeasuredNames measured_names(const PipelineConfig& config) {
  eval::MeasuredNames names;
  const auto is_new = [&](const std::string& language) {
    const auto texts = config.languages.find(language);
    return texts != config.languages.end() && texts->second.role == "new";
  };
  if (!config.evaluate.choice.empty()) {
    for (const auto& [task, items] :
         eval::read_choice_items({config.evaluate.choice.begin(), config.evaluate.choice.end()}))
      names.add(task, items.front().language, is_new(items.front().language));
  }
  const auto add_language = [&](const std::string& language, bool is_measured) {
    names.add(is_measured ? eval::bpb_task(language) : language, language, is_new(language));
  };
  for (const auto& [language, texts] : config.languages)
    add_language(language, config.evaluate.bpb);
  if (config.train.replay.writes_text()) add_language(trainer::kSelfLanguage, true);
  return names;
}

std::set<std::string> measured_metrics(const PipelineConfig& config) {
  std::set<std::string> metrics;
  if (config.evaluate.bpb) metrics.insert(eval::kBitsPerByte);
  if (config.evaluate.choice.empty()) return metrics;
  for (const auto& [name, unused] : eval::kAccuracyMetrics) metrics.insert(name);
  return metrics;
}

}  // namespace

void check_tasks(const PipelineConfig& config, Checks& checks) {
  bool are_good = true;
  for (const std::string& file : config.evaluate.choice) {
    are_good = checks.run([&] { eval::read_choice_items({file}); }) && are_good;
  }
  if (!are_good || config.languages.empty()) return;
  checks.run([&] { eval::check_margins(config.gate, "gate.margins", measured_names(config)); });
  checks.run([&] { eval::check_metrics(config.gate, "gate.metrics", measured_metrics(config)); });
}

void check_machine(const trainer::TrainConfig& train, const trainer::Processes& processes) {
  trainer::require_machine(train, processes);
  if (train.device == "cuda") model::require_gpu();
}

double host_memory_bytes() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

void check_memory(const trainer::TrainConfig& train, double peak_bytes, bool is_dry_run) {
  constexpr double kMostError = 1.5;
  const double memory = host_memory_bytes();
  if (train.device != "cpu" || peak_bytes <= memory) return;
  const auto text = [](double bytes) { return human_bytes(static_cast<uint64_t>(bytes)); };
  const std::string hint = "a smaller train.micro_batch_tokens needs less";
  if (is_dry_run || peak_bytes <= kMostError * memory) {
    return log_warn(concat("training takes about ", text(peak_bytes), " of memory, more than the ",
                           text(memory), " of this machine; ", hint));
  }
  throw ConfigError("train", "training does not fit into this machine's memory")
      .expected(concat("at most ", text(memory)))
      .found(concat("about ", text(peak_bytes)))
      .hint(hint);
}

void check_writable(const fs::path& run_dir) {
  fs::path folder = run_dir;
  while (!fs::exists(folder) && folder.has_parent_path() && folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  if (!fs::is_directory(folder)) {
    throw IoError(folder, "is no folder").expected(concat("one, for run_dir: ", run_dir.string()));
  }
  if (access(folder.c_str(), W_OK | X_OK) == 0) return;
  throw io_error(folder, concat("make run_dir: ", run_dir.string()), errno);
}

}  // namespace polygraft::cli
