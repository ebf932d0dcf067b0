// eval/quotation.cpp: see quotation.h.
#include "eval/quotation.h"

#include <algorithm>

namespace polygraft::eval {
namespace {

constexpr size_t kPassageBytes = 160;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

std::string passage_of(const std::string& text) {
  size_t end = std::min(text.size(), kPassageBytes);
  while (end < text.size() && end > 0 && continues_character(text[end])) --end;
  if (end < text.size()) {
    const size_t space = text.find_last_of(" \n", end);
    if (space != std::string::npos && space > 0) end = space;
  }
  return text.substr(0, end) + "\n";
}

void put_behind(const std::vector<tokenizer::Document>& quoted,
                std::vector<tokenizer::Document>& documents) {
  for (size_t i = 0; i < documents.size(); ++i) {
    documents[i].context = passage_of(quoted[i % quoted.size()].text);
  }
}

}  // namespace polygraft::eval
