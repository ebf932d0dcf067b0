// trainer/probe.cpp: see probe.h.
#include "trainer/probe.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>

#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/statistics.h"

namespace polygraft::trainer {
namespace {

/// Of the documents, this share goes through the pass that tells routing from what experts say.
constexpr int64_t kSilentEvery = 4;

/// How much routing goes to added experts, over all layers and tokens, BOS included. What layers
/// chose stays where they are until it is asked for.
class LeakCounter {
 public:
  model::RouterObserver observer() {
    return [this](const model::RouterTap& tap) {
      const at::Tensor is_added_TK = tap.routing.expert_TK.ge(tap.base_TE.size(1));
      sums_[kSlots] += static_cast<double>(is_added_TK.numel());
      sums_[kTokens] += static_cast<double>(is_added_TK.size(0));
      const at::Tensor mass = (tap.routing.weight_TK.to(at::kDouble) * is_added_TK).sum();
      const at::Tensor seen_2 = at::stack({is_added_TK.sum().to(at::kDouble), mass});
      added_2_ = added_2_.defined() ? added_2_ + seen_2 : seen_2;
    };
  }
  /// With what the others of a team have seen.
  void add_up(const parallel::Team& team) {
    if (added_2_.defined()) {
      const at::Tensor on_cpu = added_2_.cpu();
      sums_[kAddedSlots] = on_cpu[0].item<double>();
      sums_[kAddedMass] = on_cpu[1].item<double>();
    }
    team.add_up(sums_);
  }

  double share() const { return sums_[kSlots] > 0 ? sums_[kAddedSlots] / sums_[kSlots] : 0.0; }
  double mass() const { return sums_[kTokens] > 0 ? sums_[kAddedMass] / sums_[kTokens] : 0.0; }

 private:
  enum { kSlots, kTokens, kAddedSlots, kAddedMass, kCount };
  std::array<double, kCount> sums_ = {};
  at::Tensor added_2_;  // slots, mass
};

std::vector<eval::Pair> pair_scores(const std::vector<eval::DocumentScore>& base,
                                    const std::vector<eval::DocumentScore>& now) {
  std::vector<eval::Pair> pairs;
  for (size_t i = 0; i < base.size(); ++i) {
    pairs.push_back({base[i].nats, now[i].nats, static_cast<double>(base[i].num_bytes)});
  }
  return pairs;
}

double mean_head_leak(const std::vector<eval::DocumentScore>& scores) {
  double mass = 0, tokens = 0;
  for (const eval::DocumentScore& score : scores) {
    mass += score.leaked_mass;
    tokens += static_cast<double>(score.num_tokens);
  }
  return mass / tokens;
}

/// Relative to the base's bits per byte, as the whole change is.
Json causes_json(const eval::Causes& causes) {
  Json json = Json::object();
  for (const eval::CauseField& cause : eval::kCauses)
    json[cause.name] = (causes.*cause.change).delta / causes.bits_per_byte_base;
  return json;
}

}  // namespace

InterferenceProbe::InterferenceProbe(const model::Transformer& transformer,
                                     const tokenizer::Tokenizer& tokenizer,
                                     const LanguageRoles& roles,
                                     std::map<std::string, std::vector<tokenizer::Document>> texts,
                                     const ProbeOptions& options)
    : transformer_(transformer),
      tokenizer_(tokenizer),
      roles_(roles),
      texts_(std::move(texts)),
      options_(options) {
  for (const std::string& language : roles.guarded) base_scores_[language] = {};
  warn_of_few_documents();
}

void InterferenceProbe::warn_of_few_documents() const {
  constexpr size_t kFew = 5;
  for (const auto& [language, scores] : base_scores_) {
    const size_t count = texts_.at(language).size();
    if (count >= kFew || options_.team_index != 0) continue;
    log_warn(concat("the probe of ", language, " has ", count, " document", count == 1 ? "" : "s",
                    count == 1 ? ": its change has no interval, and a budget is held to it alone"
                               : ": its interval says little",
                    " (train.probe.bytes_per_language)"));
  }
}

void InterferenceProbe::score_base() {
  const at::NoGradGuard no_grad;
  const kernels::PrecisionScope scope(options_.precision);
  for (auto& [language, scores] : base_scores_) {
    if (!is_mine(language)) continue;
    scores = eval::score_as_base(transformer_, tokenizer_, texts_.at(language), score_options());
  }
}

bool InterferenceProbe::splits_causes() const {
  return options_.base_is_frozen &&
         (transformer_.num_added_experts() > 0 || transformer_.num_added_vocab_rows() > 0);
}

eval::ScoreOptions InterferenceProbe::score_options() const {
  eval::ScoreOptions score;
  score.batch_tokens = options_.batch_tokens;
  score.team = options_.team;
  return score;
}

ProbeResult InterferenceProbe::run() const {
  const at::NoGradGuard no_grad;
  const kernels::PrecisionScope scope(options_.precision);
  ProbeResult result;
  for (const auto& [language, documents] : texts_) {
    result[language] = is_mine(language) ? probe_language(language) : ProbeLine{};
  }
  return result;
}

bool InterferenceProbe::is_mine(const std::string& language) const {
  const auto place = std::distance(texts_.begin(), texts_.find(language));
  return probing_team(static_cast<size_t>(place), options_.num_teams) == options_.team_index;
}

ProbeLine InterferenceProbe::probe_language(const std::string& language) const {
  const std::vector<tokenizer::Document>& documents = texts_.at(language);
  LeakCounter leak;
  eval::ScoreOptions score = score_options();
  score.head_masked_too = is_guarded(language) && splits_causes();
  if (transformer_.num_added_experts() > 0) score.observer = leak.observer();
  const auto scores = eval::score_documents(transformer_, tokenizer_, documents, score);
  leak.add_up(options_.team);
  ProbeLine line;
  line.bits_per_byte = eval::bits_per_byte(scores);
  line.leak_share = leak.share();
  line.leak_mass = leak.mass();
  if (!is_guarded(language)) return line;
  const std::vector<eval::DocumentScore>& base = base_scores_.at(language);
  eval::BootstrapOptions bootstrap;
  // Two one-sided bounds, which widen for few documents, make a two-sided interval of this; one
  // document alone has none (warn_of_few_documents).
  bootstrap.confidence = (1 + options_.confidence) / 2;
  bootstrap.seed = options_.seed;
  const eval::PairedEstimate estimate =
      eval::paired_bootstrap(pair_scores(base, scores), bootstrap);
  line.delta_relative = estimate.relative;
  line.ci_low = estimate.relative_bounds.low;
  line.ci_high = estimate.relative_bounds.high;
  if (!splits_causes()) return line;
  line.head_leak = mean_head_leak(scores);
  line.causes = eval::measure_causes(transformer_, tokenizer_, documents,
                                     {base, scores, kSilentEvery}, score_options());
  return line;
}

Json InterferenceProbe::to_json(const ProbeResult& result) const {
  Json json = Json::object();
  for (const auto& [language, line] : result) {
    Json& entry = json[language];
    entry["bits_per_byte"] = line.bits_per_byte;
    if (transformer_.num_added_experts() > 0) {
      entry["leak_share"] = line.leak_share;
      entry["leak_mass"] = line.leak_mass;
    }
    if (!is_guarded(language)) continue;
    entry["delta_relative"] = line.delta_relative;
    entry["ci_low"] = line.ci_low;
    entry["ci_high"] = line.ci_high;
    entry["head_leak"] = line.head_leak;
    if (!line.causes) continue;
    entry["relative_by_cause"] = causes_json(*line.causes);
    entry["relative_by_position"] = line.causes->to_json()["relative_by_position"];
  }
  return json;
}

ProbeSummary InterferenceProbe::summarise(const ProbeResult& result, int64_t step) const {
  ProbeSummary summary;
  summary.step = step;
  for (const std::string& language : roles_.learned) {
    summary.new_bits_per_byte +=
        result.at(language).bits_per_byte / static_cast<double>(roles_.learned.size());
  }
  summary.worst = worst_language(result, roles_);
  if (summary.worst.empty()) return summary;
  const ProbeLine& worst = result.at(summary.worst);
  summary.worst_delta = worst.delta_relative;
  summary.worst_high = worst.ci_high;
  summary.worst_low = worst.ci_low;
  for (const std::string& language : roles_.guarded)
    summary.worst_low = std::max(summary.worst_low, result.at(language).ci_low);
  if (!worst.causes) return summary;
  const eval::Causes& causes = *worst.causes;
  summary.routing = (causes.router.delta + causes.experts.delta) / causes.bits_per_byte_base;
  summary.head = causes.head.delta / causes.bits_per_byte_base;
  summary.segmentation = causes.tokenizer.delta / causes.bits_per_byte_base;
  return summary;
}

std::string worst_language(const ProbeResult& result, const LanguageRoles& roles) {
  const auto worst = std::max_element(
      roles.guarded.begin(), roles.guarded.end(),
      [&](const auto& a, const auto& b) { return result.at(a).ci_high < result.at(b).ci_high; });
  return worst == roles.guarded.end() ? "" : *worst;
}

namespace {

std::string leading_cause(const eval::Causes& causes) {
  const auto& leading =
      *std::max_element(eval::kCauses.begin(), eval::kCauses.end(),
                        [&](const eval::CauseField& a, const eval::CauseField& b) {
                          return (causes.*a.change).delta < (causes.*b.change).delta;
                        });
  return leading.name;
}

}  // namespace

std::string worst_text(const ProbeResult& result, const LanguageRoles& roles, bool with_details) {
  const std::string language = worst_language(result, roles);
  if (language.empty()) return "";
  const ProbeLine& line = result.at(language);
  const std::string text = concat("worst ", language, " ", percent(line.delta_relative, 2));
  if (!with_details) return text;
  const std::string interval =
      concat(text, " [", percent(line.ci_low, 2), ", ", percent(line.ci_high, 2), "]");
  const bool names_cause = line.causes && line.delta_relative > 0;
  return names_cause ? concat(interval, ", mostly ", leading_cause(*line.causes)) : interval;
}

std::string probe_text(const ProbeResult& result, const LanguageRoles& roles) {
  std::vector<std::string> parts;
  for (const std::string& language : roles.learned) {
    parts.push_back(concat(language, " ", fixed(result.at(language).bits_per_byte, 3)));
  }
  const std::string learned = concat(join(parts, ", "), " bits per byte");
  const std::string worst = worst_text(result, roles, /*with_details=*/true);
  return worst.empty() ? learned : concat(learned, "; ", worst);
}

}  // namespace polygraft::trainer
