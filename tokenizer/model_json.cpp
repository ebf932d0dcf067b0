// tokenizer/model_json.cpp: see model_json.h.
#include "tokenizer/model_json.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/json_cursor.h"
#include "tokenizer/utf8.h"
#include "tokenizer/warn_once.h"

namespace polygraft::tokenizer {
namespace {

/// Bytes that no UTF-8 text holds need no token.
bool occurs_in_utf8(unsigned byte) { return byte != 0xC0 && byte != 0xC1 && byte <= 0xF4; }

/// Leaves the brackets and the line ends, so that positions stay what they are.
void blank_between(std::string& text, size_t begin, size_t end) {
  for (size_t i = begin + 1; i + 1 < end; ++i) {
    if (text[i] != '\n') text[i] = ' ';
  }
}

/// Finds the long parts, and blanks them in `rest`.
void find_long_parts(const std::string& text, const fs::path& file, SplitJson& json,
                     std::string& rest) {
  JsonCursor cursor(text, file);
  const auto take = [&](char opening, size_t& place) {
    const bool wanted = cursor.peek() == opening;
    const size_t begin = cursor.position();
    cursor.skip_value();
    if (!wanted) return;
    place = begin;
    blank_between(rest, begin, cursor.position());
  };
  cursor.read_object([&](std::string_view key) {
    if (key != "model" || cursor.peek() != '{') return cursor.skip_value();
    JsonCursor model(text, file);
    model.move_to(cursor.position());
    model.read_object([&](std::string_view part) {
      cursor.move_to(model.position());
      if (part == "vocab") {
        take('{', json.vocab);
      } else if (part == "merges") {
        take('[', json.merges);
      } else {
        cursor.skip_value();
      }
      model.move_to(cursor.position());
    });
    cursor.move_to(model.position());
  });
}

void refuse_unsupported_model(const Json& model, const fs::path& file) {
  const auto type = json_get_or<std::string>(model, "type", "BPE", file);
  if (type != "BPE")
    throw NotBuiltError(concat("tokenizer model '", type, "'")).found(file.string());
  if (json_get_or<double>(model, "dropout", 0.0, file) != 0.0) {
    throw NotBuiltError("BPE with dropout").found(file.string());
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!json_get_or<std::string>(model, key, "", file).empty()) {
      throw NotBuiltError(concat("BPE with ", key)).found(file.string());
    }
  }
}

void read_vocabulary(const SplitJson& json, const std::string& text, const fs::path& file,
                     Vocabulary& vocabulary) {
  if (json.vocab == SplitJson::kMissing) {
    throw FormatError(file, "model.vocab is missing or no object");
  }
  JsonCursor cursor(text, file);
  cursor.move_to(json.vocab);
  cursor.read_object([&](std::string_view token) {
    const auto id = cursor.read_integer();
    if (!id) {
      const size_t begin = cursor.position();
      cursor.skip_value();
      throw FormatError(file, concat("token '", token, "' has no integer id"))
          .found(text.substr(begin, std::min<size_t>(cursor.position() - begin, 80)));
    }
    if (vocabulary.find(token)) {
      throw FormatError(file, concat("token '", token, "' stands in model.vocab twice"));
    }
    vocabulary.insert(token, *id, file);
  });
}

/// Reads "a b" or ["a", "b"], one merge after the other.
class MergeReader {
 public:
  MergeReader(const std::string& text, const fs::path& file, const Vocabulary& vocabulary)
      : text_(text), file_(file), vocabulary_(vocabulary), cursor_(text, file) {}

  MergeTable read(size_t position) {
    MergeTable table;
    cursor_.move_to(position);
    cursor_.read_array([&] {
      read_pair();
      const TokenId left = id_of(left_), right = id_of(right_);
      joined_.assign(left_).append(right_);
      joined_id_ = joined_id();
      table.insert(left, right, {number_, joined_id_});
      ++number_;
    });
    return table;
  }

 private:
  void read_pair() {
    const char first = cursor_.peek();
    const size_t begin = cursor_.position();
    bool is_pair = false;
    if (first == '[') {
      size_t num_parts = 0;
      cursor_.read_array([&] {
        if (num_parts < 2 && cursor_.peek() == '"') {
          (num_parts == 0 ? left_ : right_) = cursor_.read_string(buffer_);
          ++num_parts;
        } else {
          cursor_.skip_value();
          num_parts = 3;
        }
      });
      is_pair = num_parts == 2;
    } else if (first == '"') {
      const std::string_view both = cursor_.read_string(buffer_);
      const size_t space = both.find(' ');
      is_pair = space != std::string_view::npos && both.find(' ', space + 1) == both.npos;
      if (is_pair) left_ = both.substr(0, space), right_ = both.substr(space + 1);
    } else {
      cursor_.skip_value();
    }
    if (is_pair) return;
    throw FormatError(file_, concat("merge ", number_, " is not a pair of tokens"))
        .expected(R"("a b" or ["a", "b"])")
        .found(text_.substr(begin, std::min<size_t>(cursor_.position() - begin, 80)));
  }

  /// Trainers number tokens in the order of their merges, so the next id is looked at first.
  TokenId joined_id() const {
    const TokenId next = joined_id_ + 1;
    return vocabulary_.has(next) && vocabulary_.entry(next).token == joined_ ? next
                                                                             : id_of(joined_);
  }

  TokenId id_of(const std::string& token) const {
    if (const auto id = vocabulary_.find(token)) return *id;
    throw FormatError(file_, concat("merge ", number_, " needs token '", token, "'"))
        .expected("both halves and their concatenation in model.vocab");
  }

  const std::string& text_;
  const fs::path& file_;
  const Vocabulary& vocabulary_;
  JsonCursor cursor_;
  uint32_t number_ = 0;
  TokenId joined_id_ = -1;
  std::string left_, right_, joined_, buffer_;
};

/// "0x0A"
std::string hexadecimal(unsigned byte) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "0x%02X", byte);
  return text.data();
}

/// @return whether each byte (in a model of characters: each character) that text can hold has a
/// token.
bool fill_byte_level(const Vocabulary& vocabulary, BpeParts& parts) {
  bool complete = true;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto id = vocabulary.find(alphabet_character(static_cast<uint8_t>(byte)));
    parts.byte_ids[byte] = id.value_or(-1);
    complete &= id.has_value() || !occurs_in_utf8(byte);
  }
  return complete;
}

bool fill_characters(const Vocabulary& vocabulary, bool byte_fallback, BpeParts& parts) {
  bool complete = byte_fallback;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto id =
        byte_fallback ? vocabulary.find(concat("<", hexadecimal(byte), ">")) : std::nullopt;
    parts.byte_ids[byte] = id.value_or(-1);
    complete &= id.has_value() || !occurs_in_utf8(byte);
  }
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (!vocabulary.has(id)) continue;
    const std::string& token = vocabulary.entry(id).token;
    size_t end = 0;
    const char32_t character = next_code_point(token, end);
    if (end == token.size()) parts.characters.insert(character, id);
  }
  return complete;
}

void warn_of_dropped(const BpeParts& parts, const fs::path& file) {
  std::string lack = "characters that are no token of their own";
  if (parts.byte_level) {
    lack = "the bytes";
    for (unsigned byte = 0; byte < 256; ++byte) {
      if (parts.byte_ids[byte] < 0 && occurs_in_utf8(byte)) lack += " " + hexadecimal(byte);
    }
    lack += " of UTF-8, which have no token,";
  }
  warn_once(lack, concat(file.string(), ": ", lack, " are left out of texts"));
}

void fill_whole_pieces(const Vocabulary& vocabulary, BpeParts& parts) {
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (!vocabulary.has(id)) continue;
    const std::string& token = vocabulary.entry(id).token;
    if (!parts.byte_level) {
      parts.whole_pieces[token] = id;
    } else if (auto bytes = from_alphabet(token)) {
      parts.whole_pieces[std::move(*bytes)] = id;
    }
  }
}

}  // namespace

SplitJson split_tokenizer_json(const std::string& text, const fs::path& file) {
  if (const size_t invalid = find_invalid_utf8(text); invalid != std::string::npos) {
    throw FormatError(file, concat("invalid UTF-8 at byte ", invalid));
  }
  SplitJson json;
  std::string rest = text;
  try {
    find_long_parts(text, file, json, rest);
  } catch (const FormatError&) {
    parse_json(text, file);  // tells what is broken, with line and column
    throw;
  }
  json.rest = parse_json(rest, file);
  return json;
}

BpeParts read_bpe_model(const SplitJson& json, const std::string& text, const fs::path& file,
                        bool byte_level, Vocabulary& vocabulary) {
  const Json& model = json.rest.at("model");
  refuse_unsupported_model(model, file);
  read_vocabulary(json, text, file, vocabulary);
  if (json.merges == SplitJson::kMissing) {
    throw FormatError(file, "model.merges is missing or no array");
  }
  BpeParts parts;
  parts.byte_level = byte_level;
  parts.merges = MergeReader(text, file, vocabulary).read(json.merges);
  const bool byte_fallback = json_get_or<bool>(model, "byte_fallback", false, file);
  const bool complete = byte_level ? fill_byte_level(vocabulary, parts)
                                   : fill_characters(vocabulary, byte_fallback, parts);
  if (byte_level && byte_fallback && !complete) {
    throw NotBuiltError("byte-level BPE with byte_fallback and bytes that have no token")
        .found(file.string());
  }
  const auto unknown = json_get_or<std::string>(model, "unk_token", "", file);
  if (!unknown.empty()) parts.unknown = vocabulary.find(unknown);
  if (!unknown.empty() && !parts.unknown && !complete) {
    throw FormatError(file, concat("unk_token '", unknown, "' is not in model.vocab"));
  }
  if (!complete && !parts.unknown) warn_of_dropped(parts, file);
  parts.fuse_unknown = json_get_or<bool>(model, "fuse_unk", false, file);
  if (json_get_or<bool>(model, "ignore_merges", false, file)) fill_whole_pieces(vocabulary, parts);
  return parts;
}

}  // namespace polygraft::tokenizer
