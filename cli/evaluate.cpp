// cli/evaluate.cpp: the work behind `eval bpb` and the pipeline's evaluation stages.
#include "cli/evaluate.h"

#include "cli/version.h"
#include "core/text.h"
#include "tokenizer/base_view.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::cli {

namespace {

bool masks_all(const MeasuredModel& measured) { return measured.mask == "all"; }

/// Fills what every result says of its model.
template <class Result>
void describe(const MeasuredModel& measured, const expand::OpenModel& model, Result& result) {
  result.model_path = measured.folder.path;
  result.model_hash = model.hash;
  result.config["polygraft_version"] = kVersion;
  result.config["mask"] = measured.mask;
  result.config["tokenizer_hash"] = model.tokenizer.hash();
}

}  // namespace

model::Mask mask_of(const MeasuredModel& measured) {
  return masks_all(measured) ? model::Mask::all() : model::Mask{};
}

expand::OpenModel open_measured(const MeasuredModel& measured) {
  expand::PackChoice choice{measured.packs, {}, {measured.allow_base_mismatch}};
  if (!masks_all(measured) && measured.mask != "none") choice.without = measured.mask;
  expand::OpenModel model = expand::open_model(measured.folder, choice);
  if (!masks_all(measured)) return model;
  // The masked model has no rows for added tokens.
  const auto first_added =
      static_cast<tokenizer::TokenId>(measured.folder.vocab_layout().first_added());
  model.tokenizer = tokenizer::without_added_tokens(model.tokenizer, first_added);
  return model;
}

void add_model_options(po::options_description& options) {
  auto add = options.add_options();
  add("model", po::value<std::string>(), "model folder");
  add("pack", po::value<std::vector<std::string>>()->composing(),
      "pack put onto the model, in memory; may be repeated");
  add("allow-base-mismatch", po::bool_switch(), "put on a pack of another base if its shapes fit");
  add("mask", po::value<std::string>()->default_value("none"),
      "all: without any addition; a pack's name: without that one");
}

MeasuredModel measured_model(const Arguments& arguments) {
  MeasuredModel measured{model::ModelFolder::open(arguments.path("model")),
                         arguments.text("mask"),
                         {},
                         arguments.flag("allow-base-mismatch")};
  for (const std::string& pack : arguments.texts("pack")) measured.packs.emplace_back(pack);
  return measured;
}

eval::BpbResult evaluate_bpb(const MeasuredModel& measured, const tokenizer::Corpus& corpus) {
  for (const auto& [language, texts] : corpus.languages) {
    if (texts.heldout.empty()) {
      throw ConfigError(concat("corpus language '", language, "'"),
                        "has no held-out text to measure on");
    }
  }
  const expand::OpenModel model = open_measured(measured);
  eval::BpbResult result;
  describe(measured, model, result);
  for (const auto& [language, texts] : corpus.languages) {
    eval::ScoreOptions options;
    options.mask = mask_of(measured);
    options.progress_label = concat("evaluating ", language);
    const auto documents = tokenizer::read_documents({texts.heldout.begin(), texts.heldout.end()});
    result.languages[language] =
        eval::score_documents(model.transformer, model.tokenizer, documents, options);
  }
  return result;
}

eval::ChoiceResult evaluate_choice(
    const MeasuredModel& measured,
    const std::map<std::string, std::vector<eval::ChoiceItem>>& tasks) {
  const expand::OpenModel model = open_measured(measured);
  eval::ChoiceResult result;
  describe(measured, model, result);
  for (const auto& [name, items] : tasks) {
    eval::ScoreOptions options;
    options.mask = mask_of(measured);
    options.progress_label = concat("choosing in ", name);
    result.tasks[name] = {items,
                          eval::score_choices(model.transformer, model.tokenizer, items, options)};
  }
  return result;
}

}  // namespace polygraft::cli
