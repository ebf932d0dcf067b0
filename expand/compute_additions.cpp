// expand/compute_additions.cpp: a plan's additions before any training: vocabulary rows, experts,
// router rows. Routers and head will meet new tokens at once, so the extended tokenizer cuts the
// new text that they are fitted to, and new tokens enter with their initial input rows, which carry
// the language's mark. Old text is cut by the extended tokenizer, too, which the guard made equal
// there. Legend: D model width, E base experts, n new experts, v new vocabulary
// rows, T tokens.
#include <ATen/core/grad_mode.h>

#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/passes.h"
#include "expand/addition_names.h"
#include "expand/calibration.h"
#include "expand/graft.h"
#include "expand/head_offset.h"
#include "expand/language_mark.h"
#include "expand/padding_row.h"
#include "expand/place_rows.h"
#include "expand/planned_experts.h"
#include "expand/router_fits.h"
#include "expand/start_rows.h"
#include "expand/vocabulary_rows.h"
#include "tokenizer/base_view.h"

namespace polygraft::expand {

namespace {

using model::Transformer;
using tokenizer::Tokenizer;

void check_vocabulary(const Transformer& base, const Tokenizer& old_tokenizer,
                      const Tokenizer& extended, const ExpansionPlan& plan) {
  const int64_t num_new = extended.size() - old_tokenizer.size();
  if (num_new != plan.new_vocab_rows) {
    throw NotComparable("tokenizer", "the extended tokenizer is not the plan's")
        .expected(concat(plan.new_vocab_rows, " new tokens"))
        .found(concat(num_new));
  }
  const int64_t num_rows = base.num_base_vocab_rows();
  if (num_rows < old_tokenizer.size()) {
    throw NotComparable("tokenizer", "the model has fewer vocabulary rows than its tokenizer")
        .expected(concat("at least ", old_tokenizer.size(), " rows"))
        .found(concat(num_rows));
  }
}

void check_layers(const Transformer& base, const ExpansionPlan& plan) {
  const auto& layers = base.weights().layers;
  for (const LayerPlan& layer : plan.layers) {
    const auto index = static_cast<size_t>(layer.layer);
    const bool is_moe = layer.layer >= 0 && index < layers.size() && layers[index].is_moe;
    const int64_t num_experts = is_moe ? layers[index].moe.router.num_base() : 0;
    for (const Donor& donor : layer.donors) {
      if (donor.expert >= 0 && donor.expert < num_experts) continue;
      throw NotComparable("plan", concat("layer ", layer.layer, " has no expert ", donor.expert))
          .expected(is_moe ? concat("an expert below ", num_experts) : "a layer with experts")
          .hint("the plan was made for another model");
    }
  }
}

/// The base with input rows for new tokens; shares the base's tensors.
Transformer with_input_rows(const Transformer& base, const at::Tensor& rows_vD,
                            const model::RowPlacement& placement) {
  model::Weights weights = base.weights();
  model::ModelConfig config = base.config();
  weights.embedding.added = rows_vD.to(weights.compute_dtype());
  weights.embedding.placement = placement;
  if (weights.tied) weights.head = weights.embedding;
  config.vocab_rows = weights.embedding.layout().num_rows();
  return {std::move(config), std::move(weights)};
}

class AdditionBuilder {
 public:
  AdditionBuilder(const Transformer& base, const Tokenizer& old_tokenizer,
                  const Tokenizer& extended, const ExpansionPlan& plan,
                  const Calibration& calibration, const parallel::Team& team)
      : base_(base),
        old_tokenizer_(old_tokenizer),
        extended_(extended),
        plan_(plan),
        calibration_(calibration),
        team_(team) {
    computed_.make_expert = PlannedExperts(base, plan);
    computed_.vocab = place_rows(base.num_base_vocab_rows(), old_tokenizer.size(),
                                 plan.new_vocab_rows, plan.vocabulary.pad_to);
  }

  ComputedAdditions build();

 private:
  std::vector<Sequence> encode(const std::vector<tokenizer::Document>& documents,
                               int64_t num_tokens, const char* side) const;
  std::vector<Sequence> new_sequences() const;
  std::vector<Sequence> old_sequences() const;
  StartRows start_rows(bool own_head) const;
  at::Tensor marked(const at::Tensor& start_vD) const;
  void add_output_rows(const at::Tensor& start_vD, const std::vector<CalibrationFeatures>& texts);
  void add_experts(const LayerPlan& layer);
  void add_donor_rows(const LayerPlan& layer);
  std::vector<CalibrationFeatures> run_texts(const Transformer& input_model);

  const Transformer& base_;
  const Tokenizer& old_tokenizer_;
  const Tokenizer& extended_;
  const ExpansionPlan& plan_;
  const Calibration& calibration_;
  parallel::Team team_;
  ComputedAdditions computed_;
  Additions& additions_ = computed_.additions;
};

/// @throws ConfigError where there is no text to calibrate on.
std::vector<Sequence> AdditionBuilder::encode(const std::vector<tokenizer::Document>& documents,
                                              int64_t num_tokens, const char* side) const {
  auto sequences =
      encode_sequences(documents, extended_, {num_tokens, sequence_tokens_for(base_.config())});
  if (!sequences.empty()) return sequences;
  throw ConfigError("corpus", concat("the calibration text of the ", side, " side has no token"));
}

std::vector<Sequence> AdditionBuilder::new_sequences() const {
  return encode(calibration_.new_documents, plan_.experts.calibration_new_tokens, "new");
}

/// One token in sixteen stands alone.
std::vector<Sequence> AdditionBuilder::old_sequences() const {
  const int64_t num_alone = plan_.experts.calibration_old_tokens / 16;
  std::vector<Sequence> sequences =
      encode(calibration_.old_documents, plan_.experts.calibration_old_tokens - num_alone, "old");
  for (Sequence& alone : lone_tokens(sequences, num_alone)) sequences.push_back(std::move(alone));
  return sequences;
}

StartRows AdditionBuilder::start_rows(bool own_head) const {
  const int64_t num_old = old_tokenizer_.size();
  const TokenParts parts =
      tokenizer::old_parts_of_added_tokens(extended_, static_cast<tokenizer::TokenId>(num_old));
  const VocabularyConfig& config = plan_.vocabulary;
  if (config.init != "omp") return averaged_rows(base_.weights(), parts, config.init, own_head);
  std::vector<Sequence> sequences = new_sequences();
  for (Sequence& sequence : old_sequences()) sequences.push_back(std::move(sequence));
  return pursued_rows(base_.weights(), parts,
                      collect_contexts(base_, sequences, parts, num_old, team_), own_head,
                      {.num_old = num_old, .most_atoms = config.init_atoms});
}

/// The input rows with the mark of their language.
at::Tensor AdditionBuilder::marked(const at::Tensor& start_vD) const {
  const auto with_rows = [this](const at::Tensor& rows_vD) {
    return with_input_rows(base_, rows_vD, computed_.vocab.placement);
  };
  MarkedModel marked{base_, with_rows, start_vD, old_tokenizer_.size(), {}};
  for (const LayerPlan& layer : plan_.layers) marked.layers.push_back(layer.layer);
  const LanguageMark mark = fit_language_mark(marked, {new_sequences(), old_sequences()},
                                              {.steps = plan_.vocabulary.mark_steps}, team_);
  log_info(concat("mark of new input rows: routers' inputs tell the languages apart at ",
                  fixed(mark.first_cost, 3), " nats a token at first, ", fixed(mark.last_cost, 3),
                  " in the end (knowing nothing: 0.693)"));
  return start_vD + mark.mark_D;
}

/// The start rows, lowered on old contexts by the shared offset. @param texts of old text and new.
void AdditionBuilder::add_output_rows(const at::Tensor& start_vD,
                                      const std::vector<CalibrationFeatures>& texts) {
  const CalibrationFeatures &old_text = texts.at(0), &new_text = texts.at(1);
  // A sequence's first position is the same for every language: it belongs to the old side alone.
  const at::Tensor new_hidden_ND =
      new_text.hidden_TD.index_select(0, at::nonzero(~new_text.first_T).squeeze(1));
  const VocabularyConfig& config = plan_.vocabulary;
  const at::Tensor offset_D =
      head_offset(new_hidden_ND, old_text.hidden_TD,
                  {config.head_margin, config.head_old_weight, config.head_ridge});
  additions_[kAddedHead] = start_vD + offset_D;
}

void AdditionBuilder::add_experts(const LayerPlan& layer) {
  const int64_t width = base_.config().hidden_size, expert_width = base_.config().expert_width;
  const auto num_experts = static_cast<int64_t>(layer.donors.size());
  const auto shape_alone = at::TensorOptions(at::kFloat).device(at::kMeta);
  additions_[added_gate_up(layer.layer)] =
      at::empty({num_experts, 2 * expert_width, width}, shape_alone);
  additions_[added_down(layer.layer)] = at::empty({num_experts, width, expert_width}, shape_alone);
}

void AdditionBuilder::add_donor_rows(const LayerPlan& layer) {
  const model::MoeWeights& moe = base_.weights().layers[static_cast<size_t>(layer.layer)].moe;
  std::vector<int64_t> donors;
  for (const Donor& donor : layer.donors) donors.push_back(donor.expert);
  additions_[added_router(layer.layer)] =
      moe.router.base.index_select(0, at::tensor(donors, at::kLong)).to(at::kFloat);
}

/// Old text and new through the base; routers are fitted as their layers come by.
std::vector<CalibrationFeatures> AdditionBuilder::run_texts(const Transformer& input_model) {
  const auto fit = [this](std::vector<LayerView> layers) {
    for (auto& [layer, rows_nD] :
         fit_routers(base_.config(), plan_.experts, std::move(layers), team_)) {
      additions_[added_router(layer)] = rows_nD;
    }
  };
  const bool fits_routers = plan_.experts.router == "discriminant";
  return collect_by_layer(input_model, {old_sequences(), new_sequences()},
                          fits_routers ? plan_.layers : std::vector<LayerPlan>{}, fit,
                          "calibrating on old and new text", team_);
}

ComputedAdditions AdditionBuilder::build() {
  Transformer input_model = base_;
  const bool own_head = plan_.untie_head || !base_.weights().tied;
  model::RowPlacement& placement = computed_.vocab.placement;
  StartRows rows;
  if (plan_.new_vocab_rows > 0) {
    rows = start_rows(own_head);
    if (plan_.vocabulary.mark_steps > 0) rows.input_vD = marked(rows.input_vD);
    additions_[kAddedEmbedding] = rows.input_vD;
    input_model = with_input_rows(base_, additions_[kAddedEmbedding], placement);
  }
  const bool discriminant = plan_.experts.router == "discriminant";
  std::vector<CalibrationFeatures> texts;
  if (discriminant || rows.output_vD.defined() || placement.num_padding > 0) {
    texts = run_texts(input_model);
  }
  if (rows.output_vD.defined()) add_output_rows(rows.output_vD, texts);
  if (placement.num_padding > 0) {
    placement.padding_row = least_probable_row(texts.at(0).hidden_TD, base_.weights().head.base,
                                               computed_.vocab.first_added());
  }
  for (const LayerPlan& layer : plan_.layers) {
    add_experts(layer);
    if (!discriminant) add_donor_rows(layer);
  }
  return std::move(computed_);
}
}  // namespace

ComputedAdditions compute_additions(const Transformer& base, const Tokenizer& old_tokenizer,
                                    const Tokenizer& extended, const ExpansionPlan& plan,
                                    const Calibration& calibration, const parallel::Team& team) {
  check_vocabulary(base, old_tokenizer, extended, plan);
  check_layers(base, plan);
  const at::NoGradGuard no_grad;
  return AdditionBuilder(base, old_tokenizer, extended, plan, calibration, team).build();
}

}  // namespace polygraft::expand
