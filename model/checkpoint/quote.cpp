// model/checkpoint/quote.cpp: see quote.h.
#include "model/checkpoint/quote.h"

#include "core/json.h"

namespace polygraft::model {
namespace {

constexpr size_t kMaxShownBytes = 160;

std::string printable(std::string_view text) {
  std::string shown(text.substr(0, kMaxShownBytes));
  for (char& c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = '?';
  }
  if (text.size() > kMaxShownBytes) shown += "...";
  return shown;
}

}  // namespace

std::string in_quotes(std::string_view text) { return "'" + printable(text) + "'"; }

std::string json_excerpt(const Json& value) {
  return printable(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace polygraft::model
