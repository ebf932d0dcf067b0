// eval/causes.cpp: see causes.h.
#include "eval/causes.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/parallel.h"
#include "core/text.h"
#include "tokenizer/base_view.h"

namespace polygraft::eval {
namespace {

using Documents = std::vector<tokenizer::Document>;

/// Nats of a document with no addition on, with one cause's, with all.
struct MaskedNats {
  double base = 0, head = 0, silenced = 0, routed = 0, all = 0;
};

/// A run with some additions on, and where its nats belong.
struct MaskedRun {
  const char* name;
  model::Mask mask;
  double MaskedNats::*nats;
};

/// Documents, and their places among all.
struct Subset {
  Documents documents;
  std::vector<size_t> places;

  void add(const tokenizer::Document& document, size_t place) {
    documents.push_back(document);
    places.push_back(place);
  }
};

class MaskedScorer {
 public:
  MaskedScorer(const model::Transformer& transformer, const ScoreOptions& options)
      : transformer_(transformer), options_(options) {}

  void run(const MaskedRun& run, const Subset& subset, const tokenizer::Tokenizer& tokenizer,
           std::vector<MaskedNats>& rows) const {
    if (subset.documents.empty()) return;
    ScoreOptions options = options_;
    options.mask = run.mask;
    if (!options.progress_label.empty()) options.progress_label += concat(", ", run.name);
    if (!options.log.empty()) options.log += concat(".", run.name);
    const auto scores = score_documents(transformer_, tokenizer, subset.documents, options);
    for (size_t i = 0; i < scores.size(); ++i) rows[subset.places[i]].*run.nats = scores[i].nats;
  }

 private:
  const model::Transformer& transformer_;
  const ScoreOptions& options_;
};

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

Causes summarise(const std::vector<MaskedNats>& rows, const std::vector<char>& alike,
                 const std::vector<DocumentScore>& scores) {
  std::vector<char> changed;
  for (const char same : alike) changed.push_back(!same);
  const Differences difference(rows, scores);
  std::vector<DocumentScore> base = scores;
  for (size_t d = 0; d < rows.size(); ++d) base[d].nats = rows[d].base;
  Causes causes;
  causes.bits_per_byte_base = bits_per_byte(base);
  causes.bits_per_byte_expanded = bits_per_byte(scores);
  causes.num_documents = static_cast<int64_t>(rows.size());
  causes.num_changed = std::count(changed.begin(), changed.end(), 1);
  causes.tokenizer = difference(&MaskedNats::base, &MaskedNats::all, changed);
  causes.head = difference(&MaskedNats::base, &MaskedNats::head, alike);
  causes.router = difference(&MaskedNats::base, &MaskedNats::silenced, alike);
  causes.experts = difference(&MaskedNats::silenced, &MaskedNats::routed, alike);
  return causes;
}

}  // namespace

Causes measure_causes(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                      const Documents& documents, const std::vector<DocumentScore>& scores,
                      const ScoreOptions& options) {
  const auto base_tokenizer = tokenizer::without_added_tokens(
      tokenizer, static_cast<tokenizer::TokenId>(transformer.first_added_token()));
  const std::vector<char> alike = cut_alike(documents, base_tokenizer, tokenizer);
  std::vector<MaskedNats> rows(documents.size());
  Subset all, unchanged;
  for (size_t d = 0; d < documents.size(); ++d) {
    rows[d].all = scores[d].nats;
    all.add(documents[d], d);
    if (alike[d]) unchanged.add(documents[d], d);
  }
  const MaskedScorer scorer(transformer, options);
  scorer.run({"masked", model::Mask::all(), &MaskedNats::base}, all, base_tokenizer, rows);
  for (const MaskedRun& run :
       {MaskedRun{"head", {.experts = true}, &MaskedNats::head},
        MaskedRun{"router", {.head = true, .silence_experts = true}, &MaskedNats::silenced},
        MaskedRun{"experts", {.head = true}, &MaskedNats::routed}}) {
    scorer.run(run, unchanged, tokenizer, rows);
  }
  return summarise(rows, alike, scores);
}

double Causes::interaction() const {
  double rest = bits_per_byte_expanded - bits_per_byte_base;
  for (const CauseField& cause : kCauses) rest -= (this->*cause.change).delta;
  return rest;
}

Json Causes::to_json() const {
  Json deltas = Json::object(), intervals = Json::object();
  for (const CauseField& cause : kCauses) {
    const CausedChange& change = this->*cause.change;
    deltas[cause.name] = change.delta;
    intervals[cause.name] = {change.interval.low, change.interval.high};
  }
  return {{"bits_per_byte_base", bits_per_byte_base},
          {"bits_per_byte_expanded", bits_per_byte_expanded},
          {"documents", num_documents},
          {"changed_documents", num_changed},
          {"by_cause", deltas},
          {"intervals", intervals}};
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
  return causes;
}

}  // namespace polygraft::eval
