// cli/evaluate.cpp: the work behind `eval bpb` and the pipeline's evaluation stages.
#include "cli/evaluate.h"

#include "cli/version.h"
#include "core/hash.h"
#include "core/text.h"
#include "eval/quotation.h"
#include "expand/packs/pack.h"
#include "model/kernels/dispatch.h"
#include "tokenizer/base_view.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::cli {

namespace {

constexpr const char* kScoresExtension = ".scores";

bool masks_all(const MeasuredModel& measured) { return measured.mask == "all"; }

/// Which packs were put on. A folder's name tells two of one language apart for a reader, the hash
/// for certain.
OrderedJson packs_json(const expand::PackChoice& choice) {
  OrderedJson packs = OrderedJson::array();
  for (const fs::path& folder : choice.packs) {
    const expand::Pack pack = expand::open_pack(folder).pack;
    packs.push_back({{"name", pack.name},
                     {"folder", fs::canonical(folder).filename().string()},
                     {"additions_hash", pack.additions_hash}});
  }
  return packs;
}

/// Fills what every result says of its model.
template <class Result>
void describe(const MeasuredModel& measured, const expand::OpenModel& model, Result& result) {
  result.model_path = measured.folder.path;
  result.model_hash = model.hash;
  result.config["polygraft_version"] = kVersion;
  result.config["kernels"] = kernels::operations().name;
  if (!measured.packs.packs.empty()) result.config["packs"] = packs_json(measured.packs);
  result.config["mask"] = measured.mask;
  result.config["tokenizer_hash"] = model.tokenizer.hash();
}

/// @param doing "evaluating"; @param task what, also the log's name.
eval::ScoreOptions score_options(const MeasuredModel& measured, const expand::OpenModel& model,
                                 const std::string& doing, const std::string& task) {
  eval::ScoreOptions options;
  options.mask = mask_of(measured);
  options.progress_label = concat(doing, " ", task);
  // The weights' hash does not know how they are used.
  options.log_key =
      concat(kVersion, " ", model.hash, " ", sha256_file(measured.folder.path / "config.json"), " ",
             kernels::operations().name);
  options.team = measured.team;
  if (!measured.unfinished.empty()) options.log = measured.unfinished / (task + kScoresExtension);
  return options;
}

void check_causes(const MeasuredModel& measured, const model::Transformer& transformer) {
  if (measured.mask != "none") {
    throw ConfigError("causes", "a masked model has no causes to tell apart")
        .hint("leave --mask out");
  }
  if (transformer.num_added_experts() > 0 || transformer.num_added_vocab_rows() > 0) return;
  throw ConfigError("causes", "the model has no additions whose effect could be split")
      .hint("evaluate the expanded model, or put a pack on with --pack");
}

std::vector<tokenizer::Document> heldout_documents(const tokenizer::LanguageTexts& texts) {
  return tokenizer::read_documents({texts.heldout.begin(), texts.heldout.end()});
}

/// How the log names the work, and what keeps its scores apart.
std::string task_name(const std::string& language, const std::string& behind) {
  return concat(eval::bpb_task(language), behind.empty() ? "" : "_behind_", behind);
}

expand::PackChoice packs_of(const MeasuredModel& measured) {
  expand::PackChoice choice = measured.packs;
  if (!masks_all(measured) && measured.mask != "none") choice.without = measured.mask;
  return choice;
}

}  // namespace

void check_corpus(const tokenizer::Corpus& corpus, const BpbOptions& options) {
  std::vector<std::string> names;
  Problems problems;
  for (const auto& [language, texts] : corpus.languages) {
    names.push_back(language);
    eval::check_name("languages", language, problems);
    problems.require(!texts.heldout.empty(), concat("languages.", language, ".heldout"), "[]",
                     "has no held-out text to measure on");
  }
  problems.throw_if_any("corpus");
  if (options.behind.empty()) return;
  if (corpus.languages.contains(options.behind) && names.size() > 1) return;
  throw ConfigError("behind", "texts of other languages are to stand behind one of the corpus")
      .expected(concat("one of ", join(names, ", "), ", and others beside it"))
      .found(concat("'", options.behind, "'"));
}

void check_measured(const MeasuredModel& measured) {
  expand::summarize_model(measured.folder, packs_of(measured));
}

model::Mask mask_of(const MeasuredModel& measured) {
  return masks_all(measured) ? model::Mask::all() : model::Mask{};
}

expand::OpenModel open_measured(const MeasuredModel& measured) {
  expand::OpenModel model = expand::open_model(measured.folder, packs_of(measured));
  if (!masks_all(measured)) return model;
  // The masked model has no rows for added tokens.
  const auto first_added = static_cast<tokenizer::TokenId>(model.transformer.first_added_token());
  model.tokenizer = tokenizer::without_added_tokens(model.tokenizer, first_added);
  return model;
}

void Unfinished::remove() { fs::remove_all(folder_); }

Unfinished::~Unfinished() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored))
    if (entry.path().filename().string().find(kScoresExtension) != std::string::npos) return;
  fs::remove_all(folder_, ignored);
}

void EvaluationOutput::commit() {
  folder_.commit();
  unfinished_.remove();
}

void add_measured_model_options(po::options_description& options) {
  add_model_options(options);
  options.add_options()("mask",
                        po::value<std::string>()->default_value("none")->value_name("all|NAME"),
                        "all: without any addition; a pack's name: without that one");
}

MeasuredModel measured_model(const Arguments& arguments) {
  return {model::ModelFolder::open(arguments.path("model")), arguments.text("mask"),
          chosen_packs(arguments)};
}

eval::BpbResult evaluate_bpb(const MeasuredModel& measured, const tokenizer::Corpus& corpus,
                             const BpbOptions& asked) {
  check_corpus(corpus, asked);
  std::vector<tokenizer::Document> quoted;
  if (!asked.behind.empty()) quoted = heldout_documents(corpus.languages.at(asked.behind));
  const expand::OpenModel model = open_measured(measured);
  if (asked.causes) check_causes(measured, model.transformer);
  eval::BpbResult result;
  describe(measured, model, result);
  if (!asked.behind.empty()) result.config["behind"] = asked.behind;
  for (const auto& [language, texts] : corpus.languages) {
    if (language == asked.behind) continue;
    auto options = score_options(measured, model, "evaluating", task_name(language, asked.behind));
    options.head_masked_too = asked.causes && texts.role == "old";
    auto documents = heldout_documents(texts);
    if (!quoted.empty()) eval::put_behind(quoted, documents);
    const auto& scores = result.languages[language] =
        eval::score_documents(model.transformer, model.tokenizer, documents, options);
    result.roles[language] = texts.role;
    if (!options.head_masked_too) continue;
    const auto base = eval::score_as_base(model.transformer, model.tokenizer, documents, options);
    result.causes[language] = eval::measure_causes(model.transformer, model.tokenizer, documents,
                                                   {base, scores}, options);
  }
  return result;
}

std::string joined_words_warning(
    const std::map<std::string, std::vector<eval::ChoiceItem>>& tasks) {
  const std::string place = eval::find_joined_words(tasks);
  if (place.empty()) return "";
  return concat(place,
                " is one word: a choice is scored right behind its context, and brings its own "
                "leading space (target_delimiter \"\")");
}

eval::ChoiceResult evaluate_choice(
    const MeasuredModel& measured,
    const std::map<std::string, std::vector<eval::ChoiceItem>>& tasks) {
  Problems problems;
  for (const auto& [name, items] : tasks) eval::check_name("tasks", name, problems);
  problems.throw_if_any("tasks");
  const expand::OpenModel model = open_measured(measured);
  eval::ChoiceResult result;
  describe(measured, model, result);
  for (const auto& [name, items] : tasks) {
    const auto options = score_options(measured, model, "choosing in", name);
    result.tasks[name] = {items,
                          eval::score_choices(model.transformer, model.tokenizer, items, options)};
  }
  return result;
}

}  // namespace polygraft::cli
