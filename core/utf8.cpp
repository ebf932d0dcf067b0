// core/utf8.cpp: UTF-8 validation, exactly Table 3-7 of the Unicode Standard ("Well-Formed UTF-8
// Byte Sequences").
#include <algorithm>
#include <array>
#include <cstring>

#include "core/text.h"

namespace polygraft {
namespace {

/// What may follow a lead byte: how many bytes, and the range of the first of them. The narrowed
/// ranges are what keeps out overlong forms (E0, F0), surrogates (ED) and code points above
/// U+10FFFF (F4).
struct LeadByte {
  uint8_t num_following = 0;
  uint8_t lowest = 0x80, highest = 0xBF;
};

constexpr std::array<LeadByte, 256> make_lead_bytes() {
  std::array<LeadByte, 256> table{};
  for (int byte = 0xC2; byte <= 0xDF; ++byte) table[byte].num_following = 1;
  for (int byte = 0xE0; byte <= 0xEF; ++byte) table[byte].num_following = 2;
  for (int byte = 0xF0; byte <= 0xF4; ++byte) table[byte].num_following = 3;
  table[0xE0].lowest = 0xA0;
  table[0xED].highest = 0x9F;
  table[0xF0].lowest = 0x90;
  table[0xF4].highest = 0x8F;
  return table;
}
constexpr std::array<LeadByte, 256> kLeadBytes = make_lead_bytes();

/// Length of the multi-byte sequence at `bytes`, or 0 when it is ill-formed or cut off by `size`.
inline size_t sequence_length(const uint8_t* bytes, size_t size) {
  const LeadByte lead = kLeadBytes[bytes[0]];
  if (lead.num_following == 0 || size <= lead.num_following) return 0;
  if (bytes[1] < lead.lowest || bytes[1] > lead.highest) return 0;
  if (lead.num_following == 1) return 2;
  if ((bytes[2] & 0xC0) != 0x80) return 0;
  if (lead.num_following == 2) return 3;
  return (bytes[3] & 0xC0) == 0x80 ? 4 : 0;
}

}  // namespace

size_t find_invalid_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const size_t size = text.size();
  size_t at = 0;
  while (at < size) {
    constexpr uint64_t kHighBits = 0x8080808080808080;
    uint64_t word;
    while (at + sizeof word <= size) {  // most text is mostly ASCII: eight bytes at a time
      std::memcpy(&word, bytes + at, sizeof word);
      if ((word & kHighBits) != 0) break;
      at += sizeof word;
    }
    while (at < size && bytes[at] < 0x80) ++at;
    while (at < size && bytes[at] >= 0x80) {
      const size_t length = sequence_length(bytes + at, size - at);
      if (length == 0) return at;
      at += length;
    }
  }
  return std::string_view::npos;
}

int64_t num_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation_byte(c); });
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  for (size_t bad = find_invalid_utf8(text); bad != std::string_view::npos;
       bad = find_invalid_utf8(text)) {
    out += text.substr(0, bad);
    out += kReplacementCharacter;
    text.remove_prefix(bad + 1);
  }
  return out += text;
}

std::string_view without_byte_order_mark(std::string_view line) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  return line;
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace polygraft
