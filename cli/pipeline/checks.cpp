// cli/pipeline/checks.cpp: see checks.h.
#include "cli/pipeline/checks.h"

#include <unistd.h>

#include <cerrno>

#include "cli/pipeline/shape_plan.h"
#include "core/file.h"
#include "core/text.h"
#include "eval/choice.h"
#include "model/architecture/gpu.h"
#include "model/checkpoint/model_folder.h"
#include "trainer/trainer.h"

namespace polygraft::cli {

void Checks::note(const Error& error) {
  if (messages_.empty()) first_ = std::current_exception();
  messages_.push_back(join(split(error.what(), '\n'), "\n  "));
}

void Checks::throw_if_any(const std::string& where) const {
  if (messages_.empty()) return;
  if (messages_.size() == 1) std::rethrow_exception(first_);
  throw ConfigError(where, concat(messages_.size(), " problems\n  ", join(messages_, "\n  ")));
}

void check_texts(const tokenizer::Corpus& corpus, const std::string& where) {
  Problems problems;
  corpus.validate(problems);
  for (const auto& [language, texts] : corpus.languages) {
    const std::string path = concat("languages.", language);
    problems.require(!texts.train.empty(), path + ".train", "[]", "needs text to learn from");
    problems.require(!texts.heldout.empty(), path + ".heldout", "[]",
                     "needs text to measure on, which nothing is trained on");
  }
  problems.throw_if_any(where);
}

void check_base(const PipelineConfig& config) {
  const auto base = model::ModelFolder::open(config.base);
  if (base.manifest && !base.manifest->packs.empty()) {
    throw ConfigError("base", "has packs already")
        .found(concat("pack '", base.manifest->packs.front().name, "'"))
        .hint("`polygraft expand fuse` makes them part of the model, `detach` takes them off");
  }
  expanded_shape(config);  // refuses a dense base, and more new experts than it has donors for
}

void check_choice_files(const std::vector<fs::path>& files, Checks& checks) {
  bool are_good = !files.empty();
  for (const fs::path& file : files) {
    are_good = checks.run([&] { eval::read_choice_items({file}); }) && are_good;
  }
  if (are_good) checks.run([&] { eval::read_choice_items(files); });
}

void check_machine(const trainer::TrainConfig& train, int num_processes) {
  trainer::require_machine(train, num_processes);
  if (train.device == "cuda") model::open_gpu();
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
