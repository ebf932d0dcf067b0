// cli/evaluate.cpp: the work behind `eval bpb` and the pipeline's evaluation stages.
#include "cli/evaluate.h"

#include "cli/version.h"
#include "core/text.h"
#include "tokenizer/base_view.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::cli {

namespace {

/// The tokenizer that goes with a mask: the masked model has no rows for added tokens, so text is
/// cut as the base cuts it.
tokenizer::Tokenizer load_tokenizer(const model::ModelFolder& folder, model::Mask mask) {
  auto tokenizer = tokenizer::Tokenizer::load(folder.path);
  if (!mask.head) return tokenizer;
  const auto first_added = static_cast<tokenizer::TokenId>(folder.num_base_vocab_rows());
  return tokenizer::without_added_tokens(tokenizer, first_added);
}

/// Fills what every result says of its model.
template <class Result>
void describe(const model::ModelFolder& folder, const tokenizer::Tokenizer& tokenizer,
              model::Mask mask, Result& result) {
  result.model_path = folder.path;
  result.model_hash = model::hash_tensors(folder.tensors);
  result.config["polygraft_version"] = kVersion;
  result.config["mask"] = mask.experts ? "all" : "none";
  result.config["tokenizer_hash"] = tokenizer.hash();
}

}  // namespace

model::Mask parse_mask(const std::string& name) {
  if (name == "all") return model::Mask::all();
  if (name == "none") return {};
  throw NotBuiltError(concat("--mask ", name))
      .hint("'all' masks every addition, 'none' none; single packs come later");
}

eval::BpbResult evaluate_bpb(const model::ModelFolder& folder, const tokenizer::Corpus& corpus,
                             model::Mask mask) {
  for (const auto& [language, texts] : corpus.languages) {
    if (texts.heldout.empty()) {
      throw ConfigError(concat("corpus language '", language, "'"),
                        "has no held-out text to measure on");
    }
  }
  const auto tokenizer = load_tokenizer(folder, mask);
  const auto transformer = model::Transformer::load(folder);
  eval::BpbResult result;
  describe(folder, tokenizer, mask, result);
  for (const auto& [language, texts] : corpus.languages) {
    eval::ScoreOptions options;
    options.mask = mask;
    options.progress_label = concat("evaluating ", language);
    const auto documents = tokenizer::read_documents({texts.heldout.begin(), texts.heldout.end()});
    result.languages[language] = eval::score_documents(transformer, tokenizer, documents, options);
  }
  return result;
}

eval::ChoiceResult evaluate_choice(
    const model::ModelFolder& folder,
    const std::map<std::string, std::vector<eval::ChoiceItem>>& tasks, model::Mask mask) {
  const auto tokenizer = load_tokenizer(folder, mask);
  const auto transformer = model::Transformer::load(folder);
  eval::ChoiceResult result;
  describe(folder, tokenizer, mask, result);
  for (const auto& [name, items] : tasks) {
    eval::ScoreOptions options;
    options.mask = mask;
    options.progress_label = concat("choosing in ", name);
    result.tasks[name] = {items, eval::score_choices(transformer, tokenizer, items, options)};
  }
  return result;
}

}  // namespace polygraft::cli
