// eval/number_text.cpp: see number_text.h.
#include "eval/number_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

#include "core/json.h"
#include "core/text.h"

namespace polygraft::eval {
namespace {

int digits_for(double value) {
  const double size = std::abs(value);
  return size < 1 ? 3 : size < 10 ? 2 : 1;
}

std::string signed_fixed(double value, int digits) {
  if (!std::isfinite(value)) return "n/a";
  const std::string size = fixed(std::abs(value), digits);
  if (size.find_first_not_of("0.") == std::string::npos) return size;  // rounds to nothing: no sign
  return (value < 0 ? "-" : "+") + size;
}

/// @param factor of the values: 100 for percent. @param unit " %"
std::string interval_text(Interval interval, double factor, const char* unit) {
  const double low = factor * interval.low, high = factor * interval.high;
  const int digits = digits_for(std::max(std::abs(low), std::abs(high)));
  return concat("[", signed_fixed(low, digits), ", ", signed_fixed(high, digits), "]", unit);
}

std::string value_text(double of, double factor, const char* unit) {
  const double value = factor * of;
  return std::isfinite(value) ? concat(signed_fixed(value, digits_for(value)), unit) : "n/a";
}

std::string padded(const std::string& cell, size_t to, bool right) {
  const auto width = static_cast<size_t>(num_characters(cell));
  const std::string space(to > width ? to - width : 0, ' ');
  return right ? space + cell : cell + space;
}

}  // namespace

std::string signed_percent(double fraction) { return value_text(fraction, 100, " %"); }
std::string signed_percent(Interval interval) { return interval_text(interval, 100, " %"); }
std::string signed_points(double fraction) { return value_text(fraction, 100, " pp"); }
std::string signed_points(Interval interval) { return interval_text(interval, 100, " pp"); }
std::string signed_number(double value) { return value_text(value, 1, ""); }
std::string signed_number(Interval interval) { return interval_text(interval, 1, ""); }

std::string confidence_text(double confidence) { return concat(100 * confidence, " %"); }

std::string p_text(double p) { return p < 0.001 ? "< 0.001" : fixed(p, 3); }

std::string p_statement(double p) { return concat("p ", p < 0.001 ? "" : "= ", p_text(p)); }

Json json_number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

std::string text_table(const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows, size_t first_right) {
  std::vector<std::vector<std::string>> lines = {header};
  for (const auto& row : rows) lines.push_back(row);
  std::vector<size_t> widths(header.size());
  for (auto& line : lines) {
    line.resize(header.size());
    for (size_t c = 0; c < line.size(); ++c) {
      line[c] = harmless(line[c]);
      widths[c] = std::max(widths[c], static_cast<size_t>(num_characters(line[c])));
    }
  }
  std::string out;
  for (const auto& line : lines) {
    std::string text;
    for (size_t c = 0; c < line.size(); ++c) {
      text += (c > 0 ? "  " : "") + padded(line[c], widths[c], c >= first_right);
    }
    out += text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string markdown_text(std::string_view text) {
  std::string out;
  for (const char c : harmless(text)) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else {
      if (std::string_view("\\`*_{}[]|#!>~").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string markdown_table(const std::vector<std::string>& header,
                           const std::vector<std::vector<std::string>>& rows, size_t first_right) {
  std::string out = "|", rule = "|";
  for (size_t c = 0; c < header.size(); ++c) {
    out += " " + markdown_text(header[c]) + " |";
    rule += c >= first_right ? " ---: |" : " --- |";
  }
  out += "\n" + rule + "\n";
  for (const auto& row : rows) {
    out += "|";
    for (size_t c = 0; c < header.size(); ++c)
      out += " " + (c < row.size() ? markdown_text(row[c]) : "") + " |";
    out += "\n";
  }
  return out;
}

std::string utc_text(const char* format, int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm utc{};
  gmtime_r(&time, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), format, &utc);
  return text.data();
}

}  // namespace polygraft::eval
