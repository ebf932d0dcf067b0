// eval/causes.cpp: see causes.h.
#include "eval/causes.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/text.h"
#include "tokenizer/base_view.h"

namespace polygraft::eval {
namespace {

using Documents = std::vector<tokenizer::Document>;

/// Nats of a document as additions are switched on, one cause after the other.
struct MaskedNats {
  double base = 0, silenced = 0, routed = 0, all = 0;
};

ScoreOptions masked_options(const ScoreOptions& options, const char* name,
                            const model::Mask& mask) {
  ScoreOptions masked = options;
  masked.mask = mask;
  masked.head_masked_too = false;
  masked.observer = nullptr;
  if (!masked.progress_label.empty()) masked.progress_label += concat(", ", name);
  if (!masked.log.empty()) masked.log += concat(".", name);
  return masked;
}

tokenizer::Tokenizer base_view(const model::Transformer& transformer,
                               const tokenizer::Tokenizer& tokenizer) {
  return tokenizer::without_added_tokens(
      tokenizer, static_cast<tokenizer::TokenId>(transformer.first_added_token()));
}

std::vector<char> cut_alike(const Documents& documents, const tokenizer::Tokenizer& before,
                            const tokenizer::Tokenizer& after) {
  std::vector<char> alike(documents.size());
  parallel_for(documents.size(), /*num_threads=*/0, [&](size_t d) {
    alike[d] = before.encode(documents[d].text) == after.encode(documents[d].text);
  });
  return alike;
}

/// The change from one column of nats to another, over the documents that count for the cause.
class Differences {
 public:
  Differences(const std::vector<MaskedNats>& rows, const std::vector<DocumentScore>& scores)
      : rows_(rows), scores_(scores) {}

  /// @param counts whether a document counts; those that do not differ by nothing.
  CausedChange operator()(double MaskedNats::*from, double MaskedNats::*to,
                          const std::vector<char>& counts) const {
    std::vector<Pair> pairs;
    for (size_t d = 0; d < rows_.size(); ++d) {
      const double before = rows_[d].*from, after = counts[d] ? rows_[d].*to : before;
      pairs.push_back({before / M_LN2, after / M_LN2, static_cast<double>(scores_[d].num_bytes)});
    }
    const PairedEstimate estimate = paired_bootstrap(pairs, {});
    return {estimate.delta, estimate.delta_interval};
  }

 private:
  const std::vector<MaskedNats>& rows_;
  const std::vector<DocumentScore>& scores_;
};

/// Every so-manyth of the documents that count.
std::vector<size_t> sample_of(const std::vector<char>& counts, int64_t every) {
  std::vector<size_t> places;
  int64_t num_counted = 0;
  for (size_t d = 0; d < counts.size(); ++d)
    if (counts[d] && num_counted++ % every == 0) places.push_back(d);
  return places;
}

/// Scores a sample with the added experts silent; the others get the base's nats and, for each
/// byte, the sample's mean change.
void score_silenced(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                    const Documents& documents, const std::vector<size_t>& sample,
                    const ScoreOptions& options, std::vector<MaskedNats>& rows) {
  if (sample.empty()) return;
  Documents sampled;
  for (const size_t d : sample) sampled.push_back(documents[d]);
  const auto scores =
      score_documents(transformer, tokenizer, sampled,
                      masked_options(options, "router", {.head = true, .silence_experts = true}));
  double change = 0, num_bytes = 0;
  for (size_t i = 0; i < sample.size(); ++i) {
    change += scores[i].nats - rows[sample[i]].base;
    num_bytes += static_cast<double>(scores[i].num_bytes);
  }
  for (size_t d = 0; d < documents.size(); ++d) {
    const auto size = static_cast<double>(documents[d].text.size());
    rows[d].silenced = rows[d].base + size * change / num_bytes;
  }
  for (size_t i = 0; i < sample.size(); ++i) rows[sample[i]].silenced = scores[i].nats;
}

/// The change relative to the base's bits, band by band, over the documents that count.
std::array<double, kPositionBands.size()> changes_by_position(const ScoredBothWays& scores,
                                                              const std::vector<char>& counts) {
  NatsByPosition base = {}, change = {};
  for (size_t d = 0; d < counts.size(); ++d) {
    for (size_t band = 0; counts[d] && band < base.size(); ++band) {
      base[band] += scores.base[d].nats_by_position[band];
      change[band] +=
          scores.expanded[d].nats_by_position[band] - scores.base[d].nats_by_position[band];
    }
  }
  for (size_t band = 0; band < base.size(); ++band)
    change[band] = base[band] > 0 ? change[band] / base[band] : 0.0;
  return change;
}

Causes summarise(const std::vector<MaskedNats>& rows, const std::vector<char>& alike,
                 const ScoredBothWays& scores) {
  std::vector<char> changed;
  for (const char same : alike) changed.push_back(!same);
  const Differences difference(rows, scores.expanded);
  Causes causes;
  causes.bits_per_byte_base = bits_per_byte(scores.base);
  causes.bits_per_byte_expanded = bits_per_byte(scores.expanded);
  causes.num_documents = static_cast<int64_t>(rows.size());
  causes.num_changed = std::count(changed.begin(), changed.end(), 1);
  causes.tokenizer = difference(&MaskedNats::base, &MaskedNats::all, changed);
  causes.router = difference(&MaskedNats::base, &MaskedNats::silenced, alike);
  causes.experts = difference(&MaskedNats::silenced, &MaskedNats::routed, alike);
  causes.head = difference(&MaskedNats::routed, &MaskedNats::all, alike);
  causes.by_position = changes_by_position(scores, alike);
  return causes;
}

}  // namespace

std::vector<DocumentScore> score_as_base(const model::Transformer& transformer,
                                         const tokenizer::Tokenizer& tokenizer,
                                         const Documents& documents, const ScoreOptions& options) {
  return score_documents(transformer, base_view(transformer, tokenizer), documents,
                         masked_options(options, "masked", model::Mask::all()));
}

Causes measure_causes(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                      const Documents& documents, const ScoredBothWays& scores,
                      const ScoreOptions& options) {
  const std::vector<char> alike =
      cut_alike(documents, base_view(transformer, tokenizer), tokenizer);
  std::vector<MaskedNats> rows(documents.size());
  for (size_t d = 0; d < documents.size(); ++d) {
    rows[d].base = scores.base[d].nats;
    rows[d].routed = scores.expanded[d].head_masked_nats;
    rows[d].all = scores.expanded[d].nats;
  }
  score_silenced(transformer, tokenizer, documents, sample_of(alike, scores.silent_every), options,
                 rows);
  return summarise(rows, alike, scores);
}

Json Causes::to_json() const {
  Json deltas = Json::object(), intervals = Json::object();
  for (const CauseField& cause : kCauses) {
    const CausedChange& change = this->*cause.change;
    deltas[cause.name] = change.delta;
    intervals[cause.name] = {change.interval.low, change.interval.high};
  }
  Json json = {{"bits_per_byte_base", bits_per_byte_base},
               {"bits_per_byte_expanded", bits_per_byte_expanded},
               {"documents", num_documents},
               {"changed_documents", num_changed},
               {"by_cause", deltas},
               {"intervals", intervals}};
  for (size_t band = 0; by_position && band < kPositionBands.size(); ++band)
    json["relative_by_position"][kPositionBands[band]] = (*by_position)[band];
  return json;
}

Causes Causes::from_json(const OrderedJson& json, const std::string& file) {
  Causes causes;
  causes.bits_per_byte_base = json_get<double>(json, "bits_per_byte_base", file);
  causes.bits_per_byte_expanded = json_get<double>(json, "bits_per_byte_expanded", file);
  causes.num_documents = json_get<int64_t>(json, "documents", file);
  causes.num_changed = json_get<int64_t>(json, "changed_documents", file);
  const auto deltas = json_get<OrderedJson>(json, "by_cause", file);
  const auto intervals = json_get<OrderedJson>(json, "intervals", file);
  for (const CauseField& cause : kCauses) {
    CausedChange& change = causes.*cause.change;
    change.delta = json_get<double>(deltas, cause.name, file);
    const auto bounds = json_get<std::vector<double>>(intervals, cause.name, file);
    if (bounds.size() != 2) throw FormatError(file, concat("'", cause.name, "' is no interval"));
    change.interval = {bounds[0], bounds[1]};
  }
  const auto positions = json_get_or<OrderedJson>(json, "relative_by_position", nullptr, file);
  if (positions.is_null()) return causes;
  causes.by_position.emplace();
  for (size_t band = 0; band < kPositionBands.size(); ++band)
    (*causes.by_position)[band] = json_get<double>(positions, kPositionBands[band], file);
  return causes;
}

}  // namespace polygraft::eval
