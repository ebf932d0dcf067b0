// eval/quotation.h: documents behind a passage of another language, as text that quotes, translates
// or answers stands. What a language's additions read there is at work on the old text that
// follows, which the same text alone does not show.
#pragma once
#include <string>
#include <vector>

#include "tokenizer/corpus.h"

namespace polygraft::eval {

/// The first words of a document, at most 160 bytes of it, as a line.
std::string passage_of(const std::string& text);

/// Makes passages of `quoted` the documents' contexts, over and over in their order.
/// @param quoted not empty.
void put_behind(const std::vector<tokenizer::Document>& quoted,
                std::vector<tokenizer::Document>& documents);

}  // namespace polygraft::eval
