// cli/text_printer.cpp: see text_printer.h.
#include "cli/text_printer.h"

#include "core/text.h"

namespace polygraft::cli {

void TextPrinter::add(tokenizer::TokenId token) {
  if (out_ == nullptr) return;
  tokens_.push_back(token);
  const std::string text = tokenizer_.decode(tokens_, /*skip_special_tokens=*/true);
  std::string_view complete = text;
  while (complete.ends_with(kReplacementCharacter))
    complete.remove_suffix(kReplacementCharacter.size());
  if (complete.size() > printed_.size()) print(complete.substr(printed_.size()));
}

void TextPrinter::finish() {
  if (out_ == nullptr) return;
  const std::string text = tokenizer_.decode(tokens_, /*skip_special_tokens=*/true);
  print(text.starts_with(printed_) ? text.substr(printed_.size())
                                   : std::string(kReplacementCharacter));
}

void TextPrinter::print(std::string_view text) {
  *out_ << text << std::flush;
  printed_ += text;
}

}  // namespace polygraft::cli
