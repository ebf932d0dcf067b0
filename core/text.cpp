// core/text.cpp: small text helpers.
// Numbers go through std::to_chars, never through a locale: reports must not change with
// LC_NUMERIC.
#include "core/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <ctime>

namespace polygraft {
namespace {

/// Edit distance in which swapping two neighbours counts once (optimal string alignment), since
/// that is how keys are mistyped. Three rows of the usual table suffice.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

/// Bytes of the character at `text`'s start that must not reach a terminal, or 0: C0 and C1
/// controls, DEL, and the bidirectional marks that reorder what surrounds them (U+200E/F,
/// U+202A..E, U+2066..9).
size_t harmful_bytes(std::string_view text, bool keep_lines) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  if (byte(0) < 0x20) return keep_lines && (text[0] == '\n' || text[0] == '\t') ? 0 : 1;
  if (byte(0) == 0x7F) return 1;
  if (byte(0) == 0xC2 && byte(1) >= 0x80 && byte(1) < 0xA0) return 2;
  if (byte(0) != 0xE2) return 0;
  const bool marks = byte(1) == 0x80 &&
                     (byte(2) == 0x8E || byte(2) == 0x8F || (byte(2) >= 0xAA && byte(2) <= 0xAE));
  const bool isolates = byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9;
  return marks || isolates ? 3 : 0;
}

}  // namespace

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string joined;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) joined += separator;
    joined += parts[i];
  }
  return joined;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string harmless(std::string_view text, bool keep_lines) {
  const std::string valid = valid_utf8(text);
  std::string out;
  for (std::string_view rest = valid; !rest.empty();) {
    const size_t harmful = harmful_bytes(rest, keep_lines);
    if (harmful > 0) {
      out += kReplacementCharacter;
    } else {
      out += rest.front();
    }
    rest.remove_prefix(std::max<size_t>(harmful, 1));
  }
  return out;
}

std::string printable(std::string_view text) {
  constexpr size_t kMostBytes = 160;
  std::string_view shown = text.substr(0, kMostBytes);
  for (int i = 0; i < 3 && shown.size() < text.size(); ++i)  // no character is cut
    if (is_continuation_byte(text[shown.size()])) shown.remove_suffix(1);
  return harmless(shown) + (shown.size() < text.size() ? "..." : "");
}

std::string in_quotes(std::string_view text) { return "'" + printable(text) + "'"; }

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  std::string nearest;
  size_t smallest = name.size() / 3 + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < smallest) {
      smallest = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string human_bytes(uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.95 would print as "1024.0"; it belongs to the next unit.
  for (; value >= 1023.95 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fixed(value, 1) + " " + kUnits[unit];
}

std::string human_count(uint64_t count) {
  std::string digits = std::to_string(count);
  for (size_t end = digits.size(); end > 3; end -= 3) digits.insert(end - 3, ",");
  return digits;
}

std::string human_seconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 9.95) return fixed(seconds, 1) + " s";
  constexpr double kLongest = 1e15;  // beyond it a 64-bit count of seconds would overflow
  const uint64_t whole = static_cast<uint64_t>(std::llround(std::min(seconds, kLongest)));
  const auto two_units = [](uint64_t large, const char* large_unit, uint64_t small,
                            const char* small_unit) {
    return concat(large, " ", large_unit, " ", small, " ", small_unit);
  };
  if (whole < 60) return concat(whole, " s");
  if (whole < 3600) return two_units(whole / 60, "min", whole % 60, "s");
  if (whole < 86400) return two_units(whole / 3600, "h", whole / 60 % 60, "min");
  return two_units(whole / 86400, "d", whole / 3600 % 24, "h");
}

std::string fixed(double value, int digits) {
  std::array<char, 512> buffer;  // the largest double has 309 digits before the point
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::fixed, std::clamp(digits, 0, 100));
  return {buffer.data(), end.ptr};
}

std::string percent(double fraction, int digits) {
  std::string text = fixed(100 * fraction, digits);
  // "-0.00" is noise: what rounds to zero has no sign worth showing.
  if (text.find_first_not_of("-0.") == std::string::npos && text[0] == '-') text.erase(0, 1);
  return (text[0] == '-' ? "" : "+") + text + " %";
}

std::string iso_time_for_file_name() {
  using std::chrono::microseconds;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t total_us = std::chrono::duration_cast<microseconds>(now).count();
  const std::time_t seconds = static_cast<std::time_t>(total_us / 1000000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> date;
  const size_t length = std::strftime(date.data(), date.size(), "%Y-%m-%dT%H-%M-%S", &utc);
  const std::string fraction = std::to_string(total_us % 1000000);
  return concat(std::string_view(date.data(), length), ".", std::string(6 - fraction.size(), '0'),
                fraction);
}

}  // namespace polygraft
