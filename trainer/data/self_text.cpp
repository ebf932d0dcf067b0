// trainer/data/self_text.cpp: see self_text.h.
#include "trainer/data/self_text.h"

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/random.h"
#include "core/text.h"
#include "eval/generation.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

using tokenizer::TokenId;

constexpr uint64_t kLargestSeed = uint64_t{1} << 62;
constexpr int kMostBlankDocuments = 1000;  ///< in a row, before the base counts as mute

/// A document that was cut may end within a character.
std::string without_broken_end(std::string text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  while (text.ends_with(kReplacement)) text.resize(text.size() - kReplacement.size());
  return text;
}

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

/// What the text depends on beside the number of threads.
std::string key_of(const TrainJob& job, const Trainee& trainee) {
  const model::ModelFolder& folder = *trainee.folder;
  const std::string base =
      folder.manifest ? folder.manifest->base_tensors_hash : model::hash_tensors(folder.tensors);
  return sha256(concat(base, "\n", trainee.tokenizer.prefix_id(), "\n", job.seed, "\n",
                       job.train.replay.self_tokens, "\n", job.train.sequence_length));
}

}  // namespace

void write_self_text(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                     const std::vector<TokenId>& end_tokens, const SelfTextOptions& options,
                     const std::filesystem::path& file) {
  RandomStream seeds(options.seed, concat("self text ", options.name));
  eval::GenerationOptions sampling;
  sampling.temperature = 1;
  sampling.max_new_tokens = options.document_tokens;
  Progress progress("writing text with the base", static_cast<uint64_t>(options.num_tokens),
                    "tokens");
  std::string lines;
  int num_blank = 0;
  for (int64_t num_tokens = 0; num_tokens < options.num_tokens;) {
    sampling.seed = static_cast<int64_t>(seeds.below(kLargestSeed));
    const eval::Generated written = eval::generate(transformer, {tokenizer.prefix_id()}, end_tokens,
                                                   sampling, model::Mask::all());
    const std::string text = without_broken_end(tokenizer.decode(written.tokens, true));
    num_blank = is_blank(text) ? num_blank + 1 : 0;
    if (num_blank == kMostBlankDocuments) {
      throw NumericError("writing text with the base", "it writes nothing")
          .found(concat(num_blank, " empty documents in a row"))
          .hint("give old text of the corpus and leave out train.replay.source");
    }
    if (num_blank > 0) continue;
    lines += Json{{"text", text}}.dump() + "\n";
    num_tokens += static_cast<int64_t>(written.tokens.size());
    progress.set(static_cast<uint64_t>(num_tokens));
  }
  progress.finish();
  write_file_atomically(file, lines);
}

TrainJob with_self_text(const TrainJob& job) {
  if (job.corpus.languages.count(kSelfLanguage) > 0) return job;
  if (job.scratch) {
    throw ConfigError("train.replay.source", "a new model has no base that could write old text")
        .found("self")
        .hint("leave it out: training from scratch replays nothing");
  }
  const Trainee trainee = load_trainee(job);
  const std::filesystem::path file =
      job.run_dir / "data" / concat("self-", key_of(job, trainee).substr(0, 16), ".jsonl");
  if (!std::filesystem::exists(file)) {
    create_folders(file.parent_path());
    write_self_text(trainee.transformer, trainee.tokenizer,
                    eval::read_end_tokens(job.model, trainee.tokenizer),
                    {.name = "replay",
                     .num_tokens = job.train.replay.self_tokens,
                     .document_tokens = job.train.sequence_length,
                     .seed = job.seed},
                    file);
  }
  TrainJob with_text = job;
  with_text.corpus.languages[kSelfLanguage] = {
      .role = "old", .train = {file.string()}, .heldout = {}};
  return with_text;
}

}  // namespace polygraft::trainer
