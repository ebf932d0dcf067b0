// cli/text_printer.h: text on a terminal as its tokens arrive.
#pragma once
#include <ostream>

#include "tokenizer/tokenizer.h"

namespace polygraft::cli {

/// A character that is not complete yet waits: its bytes so far decode to U+FFFD, to one, or where
/// tokens are single bytes to one each.
class TextPrinter {
 public:
  /// @param out null: nothing is printed.
  TextPrinter(const tokenizer::Tokenizer& tokenizer, std::ostream* out)
      : tokenizer_(tokenizer), out_(out) {}

  void add(tokenizer::TokenId token);
  /// Prints what still waits: no more tokens will complete it. Where it has made U+FFFD of bytes
  /// before it, which are printed already, it is one U+FFFD.
  void finish();

 private:
  void print(std::string_view text);

  const tokenizer::Tokenizer& tokenizer_;
  std::ostream* out_;
  std::vector<tokenizer::TokenId> tokens_;
  std::string printed_;
};

}  // namespace polygraft::cli
