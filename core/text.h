// core/text.h: small text helpers: concatenation, joining, nearest name, human-readable quantities.
#pragma once
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace polygraft {

/// Streams every argument into one string.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::vector<std::string> split(std::string_view text, char separator);

/// The candidate with the smallest edit distance to `name`, or "" when none is within a third of
/// its length.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

std::string human_bytes(uint64_t bytes);           ///< "1.5 GiB"
std::string human_count(uint64_t count);           ///< "1,234,567"
std::string human_seconds(double seconds);         ///< "3 min 20 s"
std::string fixed(double value, int digits);       ///< fixed notation, locale-independent
std::string percent(double fraction, int digits);  ///< 0.0012, 2 -> "+0.12 %" (always signed)

/// UTC now as "2026-11-22T18-03-04.123456", the form lm-evaluation-harness puts into file names.
std::string iso_time_for_file_name();

/// Whether a byte of UTF-8 continues a character rather than begins one.
constexpr bool is_continuation_byte(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}
/// Code points of valid UTF-8.
int64_t num_characters(std::string_view text);

/// Byte offset of the first invalid UTF-8 sequence (overlong, surrogate, > U+10FFFF, truncated), or
/// npos.
size_t find_invalid_utf8(std::string_view text);
constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

/// The text with U+FFFD for each byte that is no UTF-8: what JSON can hold of a path.
std::string valid_utf8(std::string_view text);

/// Foreign text made harmless for terminals and XML: invalid UTF-8, control characters and
/// bidirectional overrides become U+FFFD. @param keep_lines leave newlines and tabs.
std::string harmless(std::string_view text, bool keep_lines = false);

/// Text of an untrusted file in single quotes, harmless() and cut after 160 bytes: a hostile name
/// cannot flood or steer a terminal.
std::string in_quotes(std::string_view text);
/// The same without the quotes.
std::string printable(std::string_view text);

/// A file's first line without the byte order mark that editors of one system put in front.
std::string_view without_byte_order_mark(std::string_view line);
/// Nothing but spaces, tabs and line ends: no value of a file of JSON lines.
bool is_blank(std::string_view line);

}  // namespace polygraft
