// trainer/job.cpp: the file of `polygraft train --config` made into a job: paths resolved, corpus
// read.
#include "core/text.h"
#include "trainer/data/training_data.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {
namespace {

std::filesystem::path resolved(const std::string& path, const std::filesystem::path& folder) {
  return path.empty() ? std::filesystem::path() : (folder / path).lexically_normal();
}

/// Here, where a language's line in the corpus is known.
void require_training_files(const TrainJob& job, const std::filesystem::path& corpus) {
  Problems problems;
  std::map<std::string, tokenizer::LanguageTexts> languages;
  ConfigReader(ConfigSource::from_file(corpus), problems).required("languages", languages, "");
  for (const std::string& language : assign_roles(job).probed()) {
    const auto texts = languages.find(language);
    problems.require(texts == languages.end() || !texts->second.train.empty(),
                     concat("languages.", language), "{train: []}",
                     "has no training files to learn from or to probe with");
  }
  problems.throw_if_any(corpus.string());
}

}  // namespace

TrainJob resolve_job(const TrainFile& file, const std::filesystem::path& file_folder) {
  TrainJob job;
  job.model = resolved(file.model, file_folder);
  job.pack = resolved(file.pack, file_folder);
  job.scratch = file.architecture;
  job.tokenizer = resolved(file.tokenizer, file_folder);
  const std::filesystem::path corpus = resolved(file.corpus, file_folder);
  job.corpus = tokenizer::load_corpus(corpus);
  job.languages = file.languages;
  job.run_dir = resolved(file.run_dir, file_folder);
  job.output = resolved(file.output, file_folder);
  job.seed = static_cast<uint64_t>(file.seed);
  job.train = file.train;
  require_training_files(job, corpus);
  return job;
}

}  // namespace polygraft::trainer
