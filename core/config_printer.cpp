// core/config_printer.cpp: a struct as YAML that reads back to the same struct, and that other YAML
// readers take alike.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/config.h"
#include "core/text.h"

namespace polygraft {
namespace {

constexpr size_t kMaxColumns = 100;

/// Shortest digits that read back to the same bits. A point is always there: PyYAML reads "1e-05"
/// as text.
std::string number_text(double value) {
  if (std::isnan(value)) return ".nan";  // does not read back: bind_config refuses it
  if (std::isinf(value)) return value < 0 ? "-.inf" : ".inf";
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string digits(buffer.data(), end.ptr);
  const size_t exponent = std::min(digits.find('e'), digits.size());
  if (digits.find('.') == std::string::npos) digits.insert(exponent, ".0");
  return digits;
}

/// Whether a YAML 1.1 or 1.2 reader might take the bare word for something other than text.
bool looks_special(const std::string& text) {
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  });
  static const std::array kWords = {"null", "true", "false", "yes", "no", "on", "off"};
  if (std::find(kWords.begin(), kWords.end(), lower) != kWords.end()) return true;
  return lower.find_first_of("0123456789") == 0 ||
         std::string("+-.=<~").find(lower[0]) != std::string::npos;
}

bool is_plain(const std::string& text) {
  if (text.empty() || looks_special(text)) return false;
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '-' || c == '.' || c == '/' || c == '+';
  });
}

std::string quoted_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      constexpr const char* kHex = "0123456789ABCDEF";
      quoted += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string string_text(const std::string& text) {
  if (find_invalid_utf8(text) != std::string::npos) {
    throw ConfigError("a config value", "is not valid UTF-8, and YAML cannot hold it").found(text);
  }
  return is_plain(text) ? text : quoted_text(text);
}

template <class T, class ToText>
std::string list_text(const std::vector<T>& values, const ToText& to_text) {
  std::vector<std::string> parts;
  parts.reserve(values.size());
  for (const T& value : values) parts.push_back(to_text(value));
  return "[" + join(parts, ", ") + "]";
}

}  // namespace

/// Lines are kept apart from their documentation, so that one printing serves both forms of output.
struct ConfigPrinter::Lines {
  struct Line {
    size_t depth;
    bool starts_element;  // of a list: bears the "- "
    std::string text, doc;
  };

  void add(std::string text, const std::string& doc) {
    lines.push_back({depth, element_starts, std::move(text), doc});
    element_starts = false;
  }
  void add_field(const std::string& key, const std::string& value, const std::string& doc) {
    add(string_text(key) + ": " + value, doc);
  }

  std::vector<Line> lines;
  std::vector<size_t> opened;  // the line that opened each block we are in
  size_t depth = 0;
  bool element_starts = false;
};

ConfigPrinter::ConfigPrinter() : lines_(std::make_unique<Lines>()) {}
ConfigPrinter::~ConfigPrinter() = default;

std::string ConfigPrinter::yaml(bool with_docs) const {
  std::string out;
  for (const Lines::Line& line : lines_->lines) {
    const std::string indent(2 * line.depth, ' ');
    std::string text = indent + line.text;
    if (line.starts_element) text.replace(indent.size() - 2, 2, "- ");
    const bool fits = line.doc.find('\n') == std::string::npos &&
                      text.size() + line.doc.size() + 4 <= kMaxColumns;
    if (with_docs && !line.doc.empty() && fits) {
      text += "  # " + line.doc;
    } else if (with_docs && !line.doc.empty()) {
      for (const std::string& part : split(line.doc, '\n'))
        out.append(indent).append("# ").append(part).append("\n");
    }
    out += text + "\n";
  }
  return out.empty() ? "{}\n" : out;
}

void ConfigPrinter::begin(const std::string& key, const std::string& doc) {
  lines_->opened.push_back(lines_->lines.size());
  lines_->add(string_text(key) + ":", doc);
  ++lines_->depth;
}

void ConfigPrinter::end_block(const char* empty_form) {
  const size_t opener = lines_->opened.back();
  if (opener + 1 == lines_->lines.size())
    lines_->lines[opener].text += std::string(" ") + empty_form;
  lines_->opened.pop_back();
  --lines_->depth;
}

void ConfigPrinter::end() { end_block("{}"); }
void ConfigPrinter::end_list() { end_block("[]"); }

void ConfigPrinter::begin_element() {
  ++lines_->depth;
  lines_->element_starts = true;
}

void ConfigPrinter::end_element() {
  if (lines_->element_starts) lines_->add("{}", "");
  --lines_->depth;
}

void ConfigPrinter::null(const std::string& key, const std::string& doc) {
  lines_->add_field(key, "null", doc);
}
void ConfigPrinter::scalar(const std::string& key, bool value, const std::string& doc) {
  lines_->add_field(key, value ? "true" : "false", doc);
}
void ConfigPrinter::scalar(const std::string& key, int64_t value, const std::string& doc) {
  lines_->add_field(key, std::to_string(value), doc);
}
void ConfigPrinter::scalar(const std::string& key, double value, const std::string& doc) {
  lines_->add_field(key, number_text(value), doc);
}
void ConfigPrinter::scalar(const std::string& key, const std::string& value,
                           const std::string& doc) {
  lines_->add_field(key, string_text(value), doc);
}
void ConfigPrinter::scalar(const std::string& key, const std::vector<int64_t>& value,
                           const std::string& doc) {
  lines_->add_field(key, list_text(value, [](int64_t v) { return std::to_string(v); }), doc);
}
void ConfigPrinter::scalar(const std::string& key, const std::vector<double>& value,
                           const std::string& doc) {
  lines_->add_field(key, list_text(value, number_text), doc);
}
void ConfigPrinter::scalar(const std::string& key, const std::vector<std::string>& value,
                           const std::string& doc) {
  lines_->add_field(key, list_text(value, string_text), doc);
}

}  // namespace polygraft
