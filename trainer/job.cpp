// trainer/job.cpp: the file of `polygraft train --config` made into a job: paths resolved, corpus
// read.
#include "trainer/trainer.h"

namespace polygraft::trainer {
namespace {

std::filesystem::path resolved(const std::string& path, const std::filesystem::path& folder) {
  return path.empty() ? std::filesystem::path() : (folder / path).lexically_normal();
}

}  // namespace

TrainJob resolve_job(const TrainFile& file, const std::filesystem::path& file_folder) {
  TrainJob job;
  job.model = resolved(file.model, file_folder);
  job.pack = resolved(file.pack, file_folder);
  job.scratch = file.architecture;
  job.tokenizer = resolved(file.tokenizer, file_folder);
  job.corpus = tokenizer::load_corpus(resolved(file.corpus, file_folder));
  job.languages = file.languages;
  job.run_dir = resolved(file.run_dir, file_folder);
  job.output = resolved(file.output, file_folder);
  job.seed = static_cast<uint64_t>(file.seed);
  job.train = file.train;
  return job;
}

}  // namespace polygraft::trainer
