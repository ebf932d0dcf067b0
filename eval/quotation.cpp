// eval/quotation.cpp: see quotation.h.
#include "eval/quotation.h"

#include <algorithm>

#include "core/text.h"

namespace polygraft::eval {
namespace {

constexpr size_t kPassageBytes = 160;

}  // namespace

std::string passage_of(const std::string& text) {
  size_t end = std::min(text.size(), kPassageBytes);
  while (end < text.size() && end > 0 && is_continuation_byte(text[end])) --end;
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
