// expand/verify_step0.cpp: interference on old text, split into segmentation, head, routing and
// experts by masking. Only documents that both tokenizers cut alike can be masked (a new token has
// no masked probability), so a changed document's whole difference counts as segmentation; the
// other causes come from the unchanged ones.
#include <cmath>
#include <numeric>

#include "eval/scoring.h"
#include "expand/verify_parts.h"

namespace polygraft::expand {

namespace {

using Documents = std::vector<tokenizer::Document>;

std::vector<double> score(const model::Transformer& transformer,
                          const tokenizer::Tokenizer& tokenizer, const Documents& documents,
                          const model::Mask& mask, const std::string& label) {
  if (documents.empty()) return {};
  eval::ScoreOptions options;
  options.mask = mask;
  options.progress_label = label;
  std::vector<double> nats;
  for (const eval::DocumentScore& scored :
       eval::score_documents(transformer, tokenizer, documents, options)) {
    nats.push_back(scored.nats);
  }
  return nats;
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double num_bytes(const Documents& documents) {
  double bytes = 0;
  for (const tokenizer::Document& document : documents) {
    bytes += static_cast<double>(document.text.size());
  }
  return bytes;
}

/// Documents split by whether both tokenizers give the same ids, with their scores under the base.
struct Split {
  Documents unchanged, changed;
  double base_unchanged_nats = 0, base_changed_nats = 0;
};

Split split_documents(const Documents& documents, const std::vector<double>& base_nats,
                      const tokenizer::Tokenizer& before, const tokenizer::Tokenizer& after) {
  Split split;
  for (size_t i = 0; i < documents.size(); ++i) {
    const bool same = before.encode(documents[i].text) == after.encode(documents[i].text);
    (same ? split.unchanged : split.changed).push_back(documents[i]);
    (same ? split.base_unchanged_nats : split.base_changed_nats) += base_nats[i];
  }
  return split;
}

}  // namespace

Step0Measurement::Step0Measurement(const model::Transformer& base,
                                   const tokenizer::Tokenizer& base_tokenizer,
                                   const HeldoutTexts& texts)
    : texts_(texts), base_tokenizer_(base_tokenizer) {
  for (const auto& [language, documents] : texts) {
    base_nats_[language] =
        score(base, base_tokenizer, documents, model::Mask::all(), "base on " + language);
  }
}

std::map<std::string, Step0> Step0Measurement::compare(
    const model::Transformer& expanded, const tokenizer::Tokenizer& expanded_tokenizer) const {
  std::map<std::string, Step0> result;
  for (const auto& [language, documents] : texts_) {
    const Split split =
        split_documents(documents, base_nats_.at(language), base_tokenizer_, expanded_tokenizer);
    const std::string label = "expanded on " + language;
    const auto nats = [&](const Documents& scored, const model::Mask& mask) {
      return sum(score(expanded, expanded_tokenizer, scored, mask, label));
    };
    const double scale = 1 / (std::log(2.0) * num_bytes(documents));
    const double changed = nats(split.changed, {});
    const double head = nats(split.unchanged, {true, false, false});
    const double silenced = nats(split.unchanged, {false, true, true});
    const double routed = nats(split.unchanged, {false, true, false});
    const double all_on = nats(split.unchanged, {});
    Step0& step0 = result[language];
    step0.bits_per_byte_base = (split.base_unchanged_nats + split.base_changed_nats) * scale;
    step0.bits_per_byte_expanded = (all_on + changed) * scale;
    step0.tokenizer = (changed - split.base_changed_nats) * scale;
    step0.head = (head - split.base_unchanged_nats) * scale;
    step0.router = (silenced - split.base_unchanged_nats) * scale;
    step0.experts = (routed - silenced) * scale;
  }
  return result;
}

}  // namespace polygraft::expand
