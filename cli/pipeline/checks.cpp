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

void check_base(const fs::path& path, const expand::ExpertConfig& experts) {
  const auto base = model::ModelFolder::open(path);
  if (base.manifest && !base.manifest->packs.empty()) {
    throw ConfigError("base", "has packs already")
        .found(concat("pack '", base.manifest->packs.front().name, "'"))
        .hint("`polygraft expand fuse` makes them part of the model, `detach` takes them off");
  }
  read_moe_shape(path);  // refuses a dense one
  const int64_t num_experts = base.config.num_experts, wanted = experts.experts_per_layer;
  if (num_experts > 0 && wanted > num_experts) {
    throw ConfigError("expand.experts_per_layer", "every new expert needs a donor of its own")
        .expected(concat("at most ", num_experts, ", the base's"))
        .found(concat(wanted));
  }
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
