// trainer/data/quotations.cpp: see quotations.h.
#include "trainer/data/quotations.h"

#include <algorithm>

#include "core/random.h"
#include "core/text.h"

namespace polygraft::trainer {
namespace {

// Of the longest row:
constexpr size_t kShortestPassage = 32, kLongestPassage = 6;  ///< a 32nd to a sixth is quoted
constexpr size_t kShortestRow = 16;  ///< a row of fewer targets stays as it is

}  // namespace

Quotations::Quotations(std::vector<Row> learned,
                       std::vector<std::vector<tokenizer::TokenId>> old_parts,
                       tokenizer::TokenId first_added, double share, uint64_t seed)
    : learned_(std::move(learned)),
      old_parts_(std::move(old_parts)),
      first_added_(first_added),
      share_(share),
      seed_(seed) {}

Quotation Quotations::passage(const Row& row, size_t num_tokens) const {
  Quotation quotation;
  for (const int32_t id : row.first(std::min(num_tokens, row.size()))) {
    quotation.ids.push_back(id);
    if (id < first_added_) {
      quotation.base_ids.push_back(id);
      continue;
    }
    const auto& parts = old_parts_.at(static_cast<size_t>(id - first_added_));
    quotation.base_ids.insert(quotation.base_ids.end(), parts.begin(), parts.end());
  }
  return quotation;
}

void Quotations::put_before(std::vector<Row>& replayed, int64_t step, int64_t longest) const {
  RandomStream random(seed_, concat("quotations of step ", step));
  const auto most = static_cast<size_t>(longest);
  const size_t shortest_passage = most / kShortestPassage + 1;
  const size_t shortest_row = most / kShortestRow + 1;
  for (Row& row : replayed) {
    if (random.uniform() >= share_) continue;
    const Row& source = learned_[random.below(learned_.size())];
    const size_t spread =
        most / kLongestPassage - std::min(most / kLongestPassage, shortest_passage);
    Quotation quotation = passage(source, shortest_passage + random.below(spread + 1));
    const size_t taken = quotation.base_ids.size() + 1;
    if (row.size() <= shortest_row || taken + shortest_row > most) continue;
    for (auto* ids : {&quotation.ids, &quotation.base_ids}) ids->push_back(row.front());
    row = Row(row.data() + 1, std::min(row.size() - 1, most - taken));
    row.quotation = std::make_shared<const Quotation>(std::move(quotation));
  }
}

}  // namespace polygraft::trainer
