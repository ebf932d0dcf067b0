// trainer/data/quotations.h: old text behind a passage of the new language. A user quotes,
// translates, answers a question in another language: then what follows is old text, but the
// experts and rows of the new language have been at work on what it is read with, and replay that
// begins every row anew never shows that. A quoted row is scored as the base scores it behind the
// same passage in the base's own tokens. The passage and the row's first token count for nothing:
// how a text goes on behind the new language is not the base's to say.
#pragma once
#include <cstdint>
#include <vector>

#include "tokenizer/tokenizer.h"
#include "trainer/data/rows.h"

namespace polygraft::trainer {

class Quotations {
 public:
  /// @param learned rows whose beginnings are quoted. @param old_parts of each token from
  /// `first_added` on (tokenizer/base_view.h). @param share of rows that get a quotation.
  Quotations(std::vector<Row> learned, std::vector<std::vector<tokenizer::TokenId>> old_parts,
             tokenizer::TokenId first_added, double share, uint64_t seed);

  /// Which rows, and what they get, is settled by the seed and the step. @param longest in tokens,
  /// for either reader: a row's end is left out where it would be passed.
  void put_before(std::vector<Row>& replayed, int64_t step, int64_t longest) const;

 private:
  Quotation passage(const Row& row, size_t num_tokens) const;

  std::vector<Row> learned_;
  std::vector<std::vector<tokenizer::TokenId>> old_parts_;
  tokenizer::TokenId first_added_;
  double share_;
  uint64_t seed_;
};

}  // namespace polygraft::trainer
