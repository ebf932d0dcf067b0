// trainer/probe.cpp: see probe.h.
#include "trainer/probe.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/sequence_scoring.h"
#include "eval/statistics.h"
#include "model/architecture/head_loss.h"

namespace polygraft::trainer {
namespace {

constexpr int64_t kHeadLeakTokens =
    4096;  ///< per language; the mean over these is precise enough for a chart

/// How much routing goes to added experts, over all layers and tokens, BOS included.
class LeakCounter {
 public:
  model::RouterObserver observer() {
    return [this](const model::RouterTap& tap) {
      const at::Tensor is_added_TK = tap.routing.expert_TK.ge(tap.base_TE.size(1));
      num_slots_ += static_cast<double>(is_added_TK.numel());
      num_tokens_ += static_cast<double>(is_added_TK.size(0));
      added_slots_ += is_added_TK.sum().item<double>();
      added_mass_ += (tap.routing.weight_TK.to(at::kDouble) * is_added_TK).sum().item<double>();
    };
  }
  double share() const { return num_slots_ > 0 ? added_slots_ / num_slots_ : 0.0; }
  double mass() const { return num_tokens_ > 0 ? added_mass_ / num_tokens_ : 0.0; }

 private:
  double num_slots_ = 0, num_tokens_ = 0, added_slots_ = 0, added_mass_ = 0;
};

std::vector<eval::Pair> pair_scores(const std::vector<eval::DocumentScore>& base,
                                    const std::vector<eval::DocumentScore>& now) {
  std::vector<eval::Pair> pairs;
  for (size_t i = 0; i < base.size(); ++i) {
    pairs.push_back({base[i].nats, now[i].nats, static_cast<double>(base[i].num_bytes)});
  }
  return pairs;
}

}  // namespace

InterferenceProbe::InterferenceProbe(const model::Transformer& transformer,
                                     const tokenizer::Tokenizer& tokenizer,
                                     const LanguageRoles& roles,
                                     std::map<std::string, std::vector<tokenizer::Document>> texts,
                                     const ProbeOptions& options)
    : transformer_(transformer),
      tokenizer_(tokenizer),
      learned_(roles.learned),
      texts_(std::move(texts)),
      options_(options) {
  const at::NoGradGuard no_grad;
  for (const std::string& language : roles.guarded) {
    drop_documents_with_added_tokens(language);
    eval::ScoreOptions score;
    score.mask = model::Mask::all();
    score.max_context_tokens = options_.max_context_tokens;
    score.batch_tokens = options_.batch_tokens;
    base_scores_[language] =
        eval::score_documents(transformer_, tokenizer_, texts_.at(language), score);
  }
}

void InterferenceProbe::drop_documents_with_added_tokens(const std::string& language) {
  const int64_t first_added = transformer_.first_added_token();
  std::vector<tokenizer::Document>& documents = texts_.at(language);
  const size_t num_before = documents.size();
  std::erase_if(documents, [&](const tokenizer::Document& document) {
    const std::vector<tokenizer::TokenId> ids = tokenizer_.encode(document.text);
    return std::any_of(ids.begin(), ids.end(), [&](auto id) { return id >= first_added; });
  });
  if (documents.size() == num_before) return;
  log_warn(concat(num_before - documents.size(), " of ", num_before, " probe documents of ",
                  language, " hold new tokens; the base cannot score them, they are left out"));
  if (documents.empty()) {
    throw NotComparable(concat("probe of ", language), "every document holds new tokens")
        .hint("extend the tokenizer with this language's text as guard");
  }
}

ProbeResult InterferenceProbe::run() const {
  const at::NoGradGuard no_grad;
  ProbeResult result;
  for (const auto& [language, documents] : texts_) result[language] = probe_language(language);
  return result;
}

ProbeLine InterferenceProbe::probe_language(const std::string& language) const {
  const std::vector<tokenizer::Document>& documents = texts_.at(language);
  LeakCounter leak;
  eval::ScoreOptions score;
  score.max_context_tokens = options_.max_context_tokens;
  score.batch_tokens = options_.batch_tokens;
  if (transformer_.num_added_experts() > 0) score.observer = leak.observer();
  const auto scores = eval::score_documents(transformer_, tokenizer_, documents, score);
  ProbeLine line;
  line.bits_per_byte = eval::bits_per_byte(scores);
  line.leak_share = leak.share();
  line.leak_mass = leak.mass();
  if (!is_guarded(language)) return line;
  eval::BootstrapOptions bootstrap;
  bootstrap.confidence = options_.confidence;
  bootstrap.seed = options_.seed;
  const eval::PairedEstimate estimate =
      eval::paired_bootstrap(pair_scores(base_scores_.at(language), scores), bootstrap);
  line.delta_relative = estimate.relative;
  line.ci_low = estimate.relative_interval.low;
  line.ci_high = estimate.relative_interval.high;
  line.head_leak = mean_head_leak(documents);
  return line;
}

double InterferenceProbe::mean_head_leak(const std::vector<tokenizer::Document>& documents) const {
  if (transformer_.num_added_vocab_rows() == 0) return 0.0;
  eval::ScoreOptions score;
  score.max_context_tokens = options_.max_context_tokens;
  const int64_t longest = eval::context_tokens(transformer_, score);
  std::vector<std::vector<tokenizer::TokenId>> encoded;
  std::vector<Row> rows;
  int64_t total = 0;
  for (const tokenizer::Document& document : documents) {
    encoded.push_back(tokenizer_.encode(document.text));
    const auto length = std::min<int64_t>(static_cast<int64_t>(encoded.back().size()), longest);
    if (length == 0) continue;
    rows.emplace_back(encoded.back().data(), static_cast<size_t>(length));
    total += length;
    if (total >= kHeadLeakTokens) break;
  }
  const TokenBatch batch = make_batch(rows, tokenizer_.prefix_id());
  const at::Tensor hidden_TD = transformer_.hidden(batch.inputs);
  const model::HeadLeak leak = model::head_leak_sum(hidden_TD, transformer_.weights().head);
  return leak.leaked_mass_sum / static_cast<double>(total);
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
  }
  return json;
}

ProbeSummary InterferenceProbe::summarise(const ProbeResult& result, int64_t step,
                                          double progress) const {
  ProbeSummary summary;
  summary.step = step;
  summary.progress = progress;
  summary.worst_delta = base_scores_.empty() ? 0.0 : -std::numeric_limits<double>::infinity();
  summary.worst_low = summary.worst_delta;
  for (const auto& [language, scores] : base_scores_) {
    summary.worst_delta = std::max(summary.worst_delta, result.at(language).delta_relative);
    summary.worst_low = std::max(summary.worst_low, result.at(language).ci_low);
  }
  for (const std::string& language : learned_) {
    summary.new_bits_per_byte +=
        result.at(language).bits_per_byte / static_cast<double>(learned_.size());
  }
  return summary;
}

std::string probe_text(const ProbeResult& result, const LanguageRoles& roles) {
  std::vector<std::string> parts;
  for (const std::string& language : roles.learned) {
    parts.push_back(concat(language, " ", fixed(result.at(language).bits_per_byte, 3)));
  }
  std::string worst;
  for (const std::string& language : roles.guarded) {
    const bool is_worse =
        worst.empty() || result.at(language).delta_relative > result.at(worst).delta_relative;
    if (is_worse) worst = language;
  }
  if (worst.empty()) return concat(join(parts, ", "), " bits per byte");
  const ProbeLine& line = result.at(worst);
  return concat(join(parts, ", "), " bits per byte; worst old language ", worst, " ",
                percent(line.delta_relative, 2), " [", percent(line.ci_low, 2), ", ",
                percent(line.ci_high, 2), "]");
}

}  // namespace polygraft::trainer
