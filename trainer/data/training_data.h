// trainer/data/training_data.h: everything a run reads: the stream of text to learn, the stream of
// old text to replay, and each language's probe text. Probe text is the end of a language's
// training files, held back from both streams; held-out files are never opened here.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/parallel/team.h"
#include "tokenizer/corpus.h"
#include "trainer/data/replay_mix.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {

/// Which languages a job trains on, replays, and probes; resolved from the corpus' roles where the
/// job names none.
struct LanguageRoles {
  std::vector<std::string> learned;  ///< cross-entropy
  std::vector<std::string>
      replayed;  ///< old languages whose text is replayed; empty from scratch or at fraction 0
  std::vector<std::string> guarded;  ///< old languages that must not get worse; empty from scratch
  std::vector<std::string> probed() const;  ///< learned and guarded, sorted
};
/// @throws ConfigError naming a language that the corpus lacks or that has no training files.
LanguageRoles resolve_roles(const TrainJob& job);
/// The same, whatever the corpus has of them.
LanguageRoles assign_roles(const TrainJob& job);

/// @throws ConfigError naming the first of these languages whose text is a single document: the
/// last one is the probe's. A language whose text is not written yet passes.
void require_documents(const tokenizer::Corpus& corpus, const std::vector<std::string>& languages);

/// Documents that may be trained on; the ones after them are the probe's. About `probe_bytes` are
/// held back, but never more than a tenth of the text, and at least one document. @throws
/// ConfigError for fewer than two documents.
int64_t num_training_documents(const TokenShard& shard, int64_t probe_bytes,
                               const std::string& language);

struct TrainingData {
  RowStream learned;
  std::optional<ReplayMix> replayed;
  std::map<std::string, std::vector<tokenizer::Document>> probe_texts;
  std::map<std::string, std::string> shard_keys;  ///< by language: what the text was, for resuming
};

/// Encodes what is not encoded yet into run_dir/data. Of several ranks the first alone reads the
/// corpus. @throws ConfigError when a token id has no row in the model.
TrainingData prepare_data(const TrainJob& job, const LanguageRoles& roles,
                          const tokenizer::Tokenizer& tokenizer, int64_t num_vocab_rows,
                          const parallel::Team& team = {});

}  // namespace polygraft::trainer
