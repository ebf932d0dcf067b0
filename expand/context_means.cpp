// expand/context_means.cpp: see context_means.h.
#include "expand/context_means.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <set>

#include "expand/calibration.h"

namespace polygraft::expand {

namespace {

using tokenizer::TokenId;

/// A token in the text: the flat positions of the states before it and at its end.
struct Occurrence {
  TokenId id;
  int64_t before, after;
};

struct OldText {
  std::vector<Sequence> sequences;
  std::vector<Occurrence> occurrences;
};

OldText spell_out(const std::vector<Sequence>& sequences, const TokenParts& parts, int64_t num_old,
                  int64_t longest) {
  OldText text;
  int64_t begin = 0;  // of the sequence, among all positions
  for (const Sequence& sequence : sequences) {
    // A sequence that continues a document may begin with a new token; its end is what stands
    // first.
    const TokenId front = sequence.front();
    Sequence spelled{front < num_old ? front : parts[static_cast<size_t>(front - num_old)].back()};
    for (size_t i = 1; i < sequence.size(); ++i) {
      const TokenId id = sequence[i];
      const std::vector<TokenId> leaves =
          id < num_old ? std::vector<TokenId>{id} : parts[static_cast<size_t>(id - num_old)];
      if (static_cast<int64_t>(spelled.size() + leaves.size()) > longest) break;
      const int64_t before = begin + static_cast<int64_t>(spelled.size()) - 1;
      text.occurrences.push_back({id, before, before + static_cast<int64_t>(leaves.size())});
      spelled.insert(spelled.end(), leaves.begin(), leaves.end());
    }
    begin += static_cast<int64_t>(spelled.size());
    text.sequences.push_back(std::move(spelled));
  }
  return text;
}

at::Tensor mean_at(const at::Tensor& hidden_TD, const std::vector<int64_t>& positions,
                   const at::Tensor& row_O, const at::Tensor& seen_S) {
  at::Tensor sum_SD = at::zeros({seen_S.size(0), hidden_TD.size(1)}, at::kDouble);
  const at::Tensor states_OD = hidden_TD.index_select(0, at::tensor(positions, at::kLong));
  sum_SD.index_add_(0, row_O, states_OD.to(at::kDouble));
  return sum_SD / seen_S.unsqueeze(1);
}

}  // namespace

ContextMeans collect_contexts(const model::Transformer& base,
                              const std::vector<Sequence>& sequences, const TokenParts& parts,
                              int64_t num_old, const parallel::Team& team) {
  const at::NoGradGuard no_grad;
  const OldText text = spell_out(sequences, parts, num_old, sequence_tokens_for(base.config()));
  const at::Tensor hidden_TD =
      collect_features(base, text.sequences, "reading new tokens' contexts", team).hidden_TD;
  std::set<TokenId> ids;
  for (const Occurrence& occurrence : text.occurrences) ids.insert(occurrence.id);
  ContextMeans means;
  means.id_S.assign(ids.begin(), ids.end());
  std::vector<int64_t> rows, before, after;
  for (const Occurrence& occurrence : text.occurrences) {
    const auto found = std::lower_bound(means.id_S.begin(), means.id_S.end(), occurrence.id);
    rows.push_back(found - means.id_S.begin());
    before.push_back(occurrence.before);
    after.push_back(occurrence.after);
  }
  const at::Tensor row_O = at::tensor(rows, at::kLong);
  means.seen_S = at::bincount(row_O, {}, static_cast<int64_t>(means.id_S.size()));
  means.before_SD = mean_at(hidden_TD, before, row_O, means.seen_S);
  means.after_SD = mean_at(hidden_TD, after, row_O, means.seen_S);
  return means;
}

}  // namespace polygraft::expand
