// expand/plan_json.cpp: a plan as JSON and back (keys: `expand plan --json`), and as a table for a
// person.
#include <algorithm>

#include "core/config_json.h"
#include "core/error.h"
#include "core/text.h"
#include "expand/plan.h"
#include "model/checkpoint/pack_name.h"

namespace polygraft::expand {

namespace {

Json layer_to_json(const LayerPlan& layer) {
  Json donors = Json::array();
  for (const Donor& donor : layer.donors) {
    donors.push_back({{"expert", donor.expert}, {"score", donor.score}});
  }
  return {{"layer", layer.layer}, {"donors", donors}, {"new_experts", layer.donors.size()}};
}

LayerPlan layer_from_json(const Json& json, const std::filesystem::path& file) {
  LayerPlan layer{json_get<int64_t>(json, "layer", file), {}};
  for (const Json& donor : json_get<std::vector<Json>>(json, "donors", file)) {
    layer.donors.push_back(
        {json_get<int64_t>(donor, "expert", file), json_get<double>(donor, "score", file)});
  }
  const auto stated = json_get<int64_t>(json, "new_experts", file);
  if (stated != static_cast<int64_t>(layer.donors.size())) {
    throw FormatError(file, concat("layer ", layer.layer, ": new_experts differs from donors"))
        .expected(concat(stated))
        .found(concat(layer.donors.size(), " donors"));
  }
  if (layer.donors.empty())
    throw FormatError(file, concat("layer ", layer.layer, " gets no new expert"))
        .expected("a donor at least")
        .hint("`polygraft expand plan` makes a plan");
  return layer;
}

}  // namespace

Json ExpansionPlan::to_json() const {
  Json layers_json = Json::array(), nearest_json = Json::array();
  for (const LayerPlan& layer : layers) layers_json.push_back(layer_to_json(layer));
  for (const auto& [name, similarity] : nearest) {
    nearest_json.push_back({{"language", name}, {"similarity", similarity}});
  }
  return {{"language", language},
          {"layers", layers_json},
          {"nearest", nearest_json},
          {"new_vocab_rows", new_vocab_rows},
          {"spare_vocab_rows", spare_vocab_rows},
          {"grown_vocab_rows", grown_vocab_rows},
          {"padding_vocab_rows", padding_vocab_rows},
          {"untie_head", untie_head},
          {"added_parameters", added_parameters},
          {"added_bytes", added_bytes},
          {"peak_memory_bytes", peak_memory_bytes},
          {"softmax_shift", softmax_shift.to_json()},
          {"warnings", warnings},
          {"seed", seed},
          {"experts", config_to_json(experts)},
          {"vocabulary", config_to_json(vocabulary)},
          {"model_hash", model_hash},
          {"corpus", corpus},
          {"tokenizer", tokenizer}};
}

ExpansionPlan ExpansionPlan::from_json(const Json& json, const std::filesystem::path& file) {
  ExpansionPlan plan;
  plan.language = json_get<std::string>(json, "language", file);
  model::check_pack_name(plan.language, file);
  for (const Json& layer : json_get<std::vector<Json>>(json, "layers", file)) {
    plan.layers.push_back(layer_from_json(layer, file));
  }
  for (const Json& near : json_get<std::vector<Json>>(json, "nearest", file)) {
    plan.nearest.emplace_back(json_get<std::string>(near, "language", file),
                              json_get<double>(near, "similarity", file));
  }
  plan.new_vocab_rows = json_get<int64_t>(json, "new_vocab_rows", file);
  plan.spare_vocab_rows = json_get<int64_t>(json, "spare_vocab_rows", file);
  plan.grown_vocab_rows = json_get<int64_t>(json, "grown_vocab_rows", file);
  plan.padding_vocab_rows = json_get<int64_t>(json, "padding_vocab_rows", file);
  plan.untie_head = json_get<bool>(json, "untie_head", file);
  plan.added_parameters = json_get<int64_t>(json, "added_parameters", file);
  plan.added_bytes = json_get<int64_t>(json, "added_bytes", file);
  plan.peak_memory_bytes = json_get<int64_t>(json, "peak_memory_bytes", file);
  plan.softmax_shift = SoftmaxShift::from_json(json_get<Json>(json, "softmax_shift", file), file);
  plan.warnings = json_get<std::vector<std::string>>(json, "warnings", file);
  plan.seed = json_get<uint64_t>(json, "seed", file);
  plan.experts = config_from_json<ExpertConfig>(json, "experts", file);
  plan.vocabulary = config_from_json<VocabularyConfig>(json, "vocabulary", file);
  plan.model_hash = json_get<std::string>(json, "model_hash", file);
  plan.corpus = json_get<std::string>(json, "corpus", file);
  plan.tokenizer = json_get<std::string>(json, "tokenizer", file);
  return plan;
}

namespace {

std::string donors_line(const LayerPlan& layer) {
  std::vector<std::string> parts;
  for (const Donor& donor : layer.donors) {
    parts.push_back(concat(donor.expert, " (", fixed(donor.score, 3), ")"));
  }
  return join(parts, ", ");
}

/// "12 new rows (8 in the base's spare rows, 4 behind it), 44 padding, head untied"
std::string vocabulary_line(const ExpansionPlan& plan) {
  const auto count = [](int64_t rows) { return human_count(static_cast<uint64_t>(rows)); };
  std::string line = count(plan.new_vocab_rows) + " new rows";
  if (plan.spare_vocab_rows > 0) {
    line += concat(" (", count(plan.spare_vocab_rows), " in the base's spare rows, ",
                   count(plan.grown_vocab_rows), " behind it)");
  }
  if (plan.padding_vocab_rows > 0) line += concat(", ", count(plan.padding_vocab_rows), " padding");
  if (plan.untie_head) line += ", head untied";
  const int64_t mark_steps = plan.vocabulary.mark_steps;
  return line + (mark_steps > 0 ? concat(", marked in ", mark_steps, " steps") : "");
}

}  // namespace

std::string plan_table(const ExpansionPlan& plan) {
  std::vector<std::string> near;
  for (const auto& [name, similarity] : plan.nearest) {
    near.push_back(concat(name, " ", fixed(similarity, 3)));
  }
  std::string table = concat("graft of '", plan.language, "'\n  similarity to ", join(near, ", "),
                             "\n  layer  donors of new experts (score)\n");
  for (const LayerPlan& layer : plan.layers) {
    std::string number = concat(layer.layer);
    number.insert(0, 5 - std::min<size_t>(5, number.size()), ' ');
    table += concat("  ", number, "  ", donors_line(layer), "\n");
  }
  table += concat("  vocabulary: ", vocabulary_line(plan),
                  "\n  added: ", human_count(static_cast<uint64_t>(plan.added_parameters)),
                  " parameters, ", human_bytes(static_cast<uint64_t>(plan.added_bytes)),
                  "\n  memory to graft: about ",
                  human_bytes(static_cast<uint64_t>(plan.peak_memory_bytes)), "\n");
  const std::string shift = softmax_shift_line(plan.softmax_shift);
  if (!shift.empty()) table += concat("  ", shift, "\n");
  for (const std::string& warning : plan.warnings) table += concat("  serving: ", warning, "\n");
  return table;
}

}  // namespace polygraft::expand
