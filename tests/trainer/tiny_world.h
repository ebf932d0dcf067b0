// tests/trainer/tiny_world.h: three invented languages, a tokenizer, a base model and an
// expanded one, all tiny; made once per test program.
#pragma once
#include <filesystem>
#include <string>

#include "tests/core/temporary_folder.h"
#include "tokenizer/corpus.h"
#include "trainer/trainer.h"

namespace polygraft::testing {

struct TinyWorld {
  TemporaryFolder folder;
  tokenizer::Corpus corpus;         ///< aa and bb are old, cc is new
  std::filesystem::path tokenizer;  ///< of the base
  std::filesystem::path base;       ///< D 16, 2 layers, 4 experts top-2
  std::filesystem::path
      expanded;  ///< base + 2 experts a layer + a few vocabulary rows for cc, untied
};
const TinyWorld& tiny_world();

trainer::ArchitectureConfig tiny_architecture();

/// `base` with 2 random experts a layer and `num_rows` vocabulary rows for the tokens that the
/// tokenizer in `extended` adds, output rows apart.
void write_expansion(const std::filesystem::path& base, const std::filesystem::path& extended,
                     int64_t num_rows, const std::filesystem::path& out);

/// A short run over the expanded model's additions / from scratch; writes below `run`.
trainer::TrainJob additions_job(const std::filesystem::path& run);
trainer::TrainJob scratch_job(const std::filesystem::path& run);

/// Makes another kind of run out of additions_job(): "all" or "lora" (the base's own weights learn
/// cc), "self" (replay of what the base writes), "quoted" (half of what is replayed stands behind
/// cc), "rollback" (harm on purpose, so that weights and moments are set back on the way); other
/// modes leave the job as it is.
void set_mode(trainer::TrainJob& job, const std::string& mode);

/// Documents of an invented language: words from a few syllables of its own. Deterministic.
std::string invented_text(const std::string& language, int64_t num_documents);

}  // namespace polygraft::testing
