// tokenizer/word_breaker.h: the words of a text, as Unicode counts them.
// Reference: Unicode Standard Annex #29, word boundaries; ICU's root locale, which cuts Thai, Lao,
// Khmer, Burmese, Chinese and Japanese by dictionary.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

namespace polygraft::tokenizer {

class WordBreaker {
 public:
  WordBreaker();
  ~WordBreaker();
  WordBreaker(const WordBreaker&) = delete;
  WordBreaker& operator=(const WordBreaker&) = delete;

  /// Calls visit(begin, end), byte offsets, for every segment of `text` that holds a letter, a
  /// digit, a kana or an ideograph: white space and punctuation are no words.
  /// @param text valid UTF-8.
  void for_each_word(std::string_view text, const std::function<void(size_t, size_t)>& visit);

 private:
  struct Iterator;
  std::unique_ptr<Iterator> iterator_;
};

}  // namespace polygraft::tokenizer
