// cli/evaluate.cpp: the work behind `eval bpb` and the pipeline's evaluation stages.
#include "cli/evaluate.h"

#include "cli/version.h"
#include "core/text.h"
#include "tokenizer/base_view.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::cli {

eval::BpbResult evaluate_bpb(const model::ModelFolder& folder, const tokenizer::Corpus& corpus,
                             model::Mask mask) {
  for (const auto& [language, texts] : corpus.languages) {
    if (texts.heldout.empty()) {
      throw ConfigError(concat("corpus language '", language, "'"),
                        "has no held-out text to measure on");
    }
  }
  auto tokenizer = tokenizer::Tokenizer::load(folder.path);
  if (mask.head) {  // the masked model has no rows for added tokens: text is cut as the base cuts
                    // it
    const auto first_added = static_cast<tokenizer::TokenId>(folder.num_base_vocab_rows());
    tokenizer = tokenizer::without_added_tokens(tokenizer, first_added);
  }
  const auto transformer = model::Transformer::load(folder);
  eval::BpbResult result;
  result.model_path = folder.path;
  result.model_hash = model::hash_tensors(folder.tensors);
  result.config["polygraft_version"] = kVersion;
  result.config["mask"] = mask.experts ? "all" : "none";
  result.config["tokenizer_hash"] = tokenizer.hash();
  for (const auto& [language, texts] : corpus.languages) {
    eval::ScoreOptions options;
    options.mask = mask;
    options.progress_label = concat("evaluating ", language);
    const auto documents = tokenizer::read_documents({texts.heldout.begin(), texts.heldout.end()});
    result.languages[language] = eval::score_documents(transformer, tokenizer, documents, options);
  }
  return result;
}

}  // namespace polygraft::cli
