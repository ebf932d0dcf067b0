// tokenizer/text_size.h: how much text there is: bytes are counted, tokens estimated from a sample.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

struct TextSize {
  int64_t num_documents = 0;
  int64_t num_bytes = 0;
  int64_t num_tokens = 0;  ///< estimated: every eighth document is encoded, up to 2 MiB of them
};

/// @throws what reading the texts throws (corpus.h).
TextSize measure_texts(const std::vector<std::string>& files, const Tokenizer& tokenizer);

}  // namespace polygraft::tokenizer
