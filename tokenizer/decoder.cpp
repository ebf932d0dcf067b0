// tokenizer/decoder.cpp: see decoder.h.
#include "tokenizer/decoder.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/metaspace.h"
#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {
namespace {

int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  const char lower = static_cast<char>(digit | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The byte that "<0xHH>" names. Rust's number parser takes "+H" as well.
std::optional<char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const int high = token[3] == '+' ? 0 : hex_digit(token[3]);
  const int low = hex_digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(16 * high + low);
}

/// What a run of byte tokens says, when it is text; else one U+FFFD for each.
void flush_bytes(std::string& bytes, std::vector<std::string>& tokens) {
  if (bytes.empty()) return;
  if (find_invalid_utf8(bytes) == std::string_view::npos) {
    tokens.push_back(bytes);
  } else {
    tokens.insert(tokens.end(), bytes.size(), "\uFFFD");
  }
  bytes.clear();
}

std::string joined(const std::vector<std::string>& tokens) { return join(tokens, ""); }

std::string with_spaces(std::string_view token, std::string_view replacement,
                        std::string_view space) {
  std::string text;
  for (size_t from = 0; from < token.size();) {
    const size_t match = std::min(token.find(replacement, from), token.size());
    text.append(token.substr(from, match - from));
    if (match < token.size()) text.append(space);
    from = match + replacement.size();
  }
  return text;
}

/// Bytes of `content` that `token` begins with, at most `most` times.
size_t leading(std::string_view token, std::string_view content, size_t most) {
  size_t end = 0;
  for (size_t i = 0; i < most && token.substr(end).starts_with(content); ++i) end += content.size();
  return end;
}

size_t count_from_json(const Json& json, const char* key, const std::filesystem::path& where) {
  const auto count = json_get<int64_t>(json, key, where);
  if (count < 0) throw FormatError(where, concat("decoder Strip with ", key, " ", count));
  return static_cast<size_t>(count);
}

}  // namespace

void Decoder::apply(const ByteLevel&, Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) bytes += from_alphabet(token).value_or(token);
  tokens = {to_valid_utf8(bytes)};
}

void Decoder::apply(const ByteFallback&, Tokens& tokens) {
  Tokens result;
  result.reserve(tokens.size());
  std::string bytes;
  for (std::string& token : tokens) {
    if (const auto byte = fallback_byte(token)) {
      bytes.push_back(*byte);
      continue;
    }
    flush_bytes(bytes, result);
    result.push_back(std::move(token));
  }
  flush_bytes(bytes, result);
  tokens = std::move(result);
}

void Decoder::apply(const Fuse&, Tokens& tokens) { tokens = {joined(tokens)}; }

void Decoder::apply(const Strip& strip, Tokens& tokens) {
  std::string content;
  append_utf8(strip.content, content);
  for (std::string& token : tokens) {
    const size_t begin = leading(token, content, strip.start);
    size_t end = token.size();
    for (size_t i = 0; i < strip.stop && std::string_view(token).substr(0, end).ends_with(content);
         ++i) {
      end -= content.size();
    }
    token = begin < end ? token.substr(begin, end - begin) : "";
  }
}

void Decoder::apply(const Metaspace& metaspace, Tokens& tokens) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] =
        with_spaces(tokens[i], metaspace.replacement, i == 0 && metaspace.prepends ? "" : " ");
  }
}

void Decoder::apply(const Replacement& replacement, Tokens& tokens) {
  for (std::string& token : tokens) {
    if (auto changed = replacement.apply(token)) token = std::move(*changed);
  }
}

void Decoder::add(const Json& json, const std::filesystem::path& where) {
  const auto type = json_get<std::string>(json, "type", where);
  if (type == "Sequence") {
    for (const Json& part : json_get<Json>(json, "decoders", where)) add(part, where);
  } else if (type == "ByteLevel") {
    steps_.emplace_back(ByteLevel{});
  } else if (type == "ByteFallback") {
    steps_.emplace_back(ByteFallback{});
  } else if (type == "Fuse") {
    steps_.emplace_back(Fuse{});
  } else if (type == "Replace") {
    steps_.emplace_back(Replacement::from_json(json, where));
  } else if (type == "Strip") {
    const auto content = json_get<std::string>(json, "content", where);
    size_t end = 0;
    const char32_t character = content.empty() ? U'\0' : next_code_point(content, end);
    if (content.empty() || end != content.size()) {
      throw FormatError(where, "decoder Strip needs one character")
          .found(concat("'", content, "'"));
    }
    steps_.emplace_back(Strip{character, count_from_json(json, "start", where),
                              count_from_json(json, "stop", where)});
  } else if (type == "Metaspace") {
    const MetaspaceOptions options = MetaspaceOptions::from_json(json, where);
    steps_.emplace_back(
        Metaspace{options.replacement, options.prepend != MetaspaceOptions::Prepend::kNever});
  } else {
    throw NotBuiltError(concat("decoder '", type, "'")).found(where.string());
  }
}

Decoder Decoder::from_json(const Json& json, const std::filesystem::path& where) {
  if (json.is_null()) throw NotBuiltError("a tokenizer without decoder").found(where.string());
  Decoder decoder;
  decoder.add(json, where);
  decoder.concatenates_bytes_ =
      decoder.steps_.size() == 1 && std::holds_alternative<ByteLevel>(decoder.steps_.front());
  return decoder;
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  for (const Step& step : steps_) {
    std::visit([&](const auto& kind) { apply(kind, tokens); }, step);
  }
  return joined(tokens);
}

std::string Decoder::bytes_of(std::string_view token) const {
  std::string bytes(token);
  for (const Step& step : steps_) {
    if (std::holds_alternative<ByteLevel>(step)) {
      if (auto spelled = from_alphabet(bytes)) bytes = std::move(*spelled);
    } else if (const auto* metaspace = std::get_if<Metaspace>(&step)) {
      bytes = with_spaces(bytes, metaspace->replacement, " ");
    } else if (const auto* replacement = std::get_if<Replacement>(&step)) {
      if (auto changed = replacement->apply(bytes)) bytes = std::move(*changed);
    } else if (std::holds_alternative<ByteFallback>(step)) {
      if (const auto byte = fallback_byte(bytes)) return std::string(1, *byte);
    }
  }
  return bytes;
}

}  // namespace polygraft::tokenizer
