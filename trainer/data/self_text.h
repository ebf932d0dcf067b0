// trainer/data/self_text.h: old text for those who have none: what the base itself writes.
// Protection asks that the expanded model predicts as the base does where old text leads it;
// samples of the base's own distribution are such places, by definition as often as the base
// expects them. Documents are drawn from the document's beginning (BOS), at temperature 1,
// additions masked, until the model ends them or they are long enough. A chat model's are better
// asked for by its own format: the base writes the user's turn, then its answer (Xu et al. 2024,
// "Magpie", arXiv 2406.08464).
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "model/architecture/transformer.h"
#include "tokenizer/chat_format.h"
#include "tokenizer/tokenizer.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {

/// The language under which it stands in a corpus, with role old.
inline constexpr const char* kSelfLanguage = "self";

struct SelfTextOptions {
  std::string name;             ///< of the random stream: other text for another name
  int64_t num_tokens = 0;       ///< in all, at least
  int64_t document_tokens = 0;  ///< of one document, at most
  uint64_t seed = 17;
  std::optional<tokenizer::ChatFormat> chat = {};  ///< set: some documents are chats
  double chat_share = 0;                           ///< of the documents
  std::string system = {};                         ///< system text of the chats
};

/// What a training's settings ask for; the name is left open. @param model_folder whose chat format
/// it is. @throws as read_chat_format() does, when chats are asked for.
SelfTextOptions self_text_options(const TrainConfig& train, int64_t seed,
                                  const std::filesystem::path& model_folder);

/// Writes such text as .jsonl, atomically. The same arguments give the same bytes (same number of
/// threads). A chat stands there as its format has it, special tokens and all, without a BOS that
/// begins it: rows and windows bring their own. @param end_tokens any of them ends a document.
/// @throws NumericError when the base writes nothing but white space.
void write_self_text(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                     const std::vector<tokenizer::TokenId>& end_tokens,
                     const SelfTextOptions& options, const std::filesystem::path& file);

/// `replay.source: self` or `corpus+self`: the job with the base's text as one more old language,
/// written into run_dir/data unless it is there already. A corpus that has a language of that name
/// is left as it is. @throws ConfigError from scratch: there is no base that could write.
TrainJob with_self_text(const TrainJob& job);

}  // namespace polygraft::trainer
