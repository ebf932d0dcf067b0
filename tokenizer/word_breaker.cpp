// tokenizer/word_breaker.cpp: see word_breaker.h.
#include "tokenizer/word_breaker.h"

#include <unicode/brkiter.h>
#include <unicode/utext.h>

#include "core/error.h"

namespace polygraft::tokenizer {

struct WordBreaker::Iterator {
  std::unique_ptr<icu::BreakIterator> breaks;
};

WordBreaker::WordBreaker() : iterator_(std::make_unique<Iterator>()) {
  UErrorCode status = U_ZERO_ERROR;
  iterator_->breaks.reset(icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), status));
  if (U_FAILURE(status))
    throw IoError("ICU", "word boundaries are missing").found(u_errorName(status));
}

WordBreaker::~WordBreaker() = default;

void WordBreaker::for_each_word(std::string_view text,
                                const std::function<void(size_t, size_t)>& visit) {
  UErrorCode status = U_ZERO_ERROR;
  UText utf8 = UTEXT_INITIALIZER;
  utext_openUTF8(&utf8, text.data(), static_cast<int64_t>(text.size()), &status);
  icu::BreakIterator& breaks = *iterator_->breaks;
  breaks.setText(&utf8, status);
  if (U_FAILURE(status)) {
    utext_close(&utf8);
    throw NumericError("word boundaries", u_errorName(status));
  }
  for (int32_t begin = breaks.first(), end = breaks.next(); end != icu::BreakIterator::DONE;
       begin = end, end = breaks.next()) {
    if (breaks.getRuleStatus() < UBRK_WORD_NONE_LIMIT) continue;
    visit(static_cast<size_t>(begin), static_cast<size_t>(end));
  }
  utext_close(&utf8);
}

}  // namespace polygraft::tokenizer
