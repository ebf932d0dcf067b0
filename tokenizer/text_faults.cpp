// tokenizer/text_faults.cpp: see text_faults.h.
#include "tokenizer/text_faults.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "tokenizer/text_stream.h"

namespace polygraft::tokenizer {
namespace {

using namespace std::string_view_literals;

constexpr const char* kFromUtf16 = "iconv -f UTF-16 -t UTF-8 OLD > NEW converts it";

/// A kind of file, told by its first bytes.
struct FileKind {
  std::string_view magic;
  const char* name;
  const char* hint;
};
constexpr FileKind kGzip{"\x1F\x8B"sv, "gzip data", "it is gzip: name it .txt.gz or .jsonl.gz"};
constexpr FileKind kZstd{"\x28\xB5\x2F\xFD"sv, "Zstandard data",
                         "it is Zstandard: name it .txt.zst or .jsonl.zst"};
constexpr std::array kKinds{
    kGzip, kZstd,
    FileKind{"PAR1"sv, "a Parquet file", R"(write its text as .jsonl, one {"text": ...} a line)"},
    FileKind{"\xFF\xFE"sv, "UTF-16 with a byte order mark", kFromUtf16},
    FileKind{"\xFE\xFF"sv, "UTF-16 with a byte order mark", kFromUtf16}};

const FileKind* kind_of(std::string_view start) {
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(),
                                 [&](const FileKind& k) { return start.starts_with(k.magic); });
  return kind == kKinds.end() ? nullptr : &*kind;
}

/// Which UTF-16 a line with zero bytes looks like: the high bytes of its Latin letters, spaces and
/// digits are zero, all at even or all at odd places. Nothing where that may be chance.
std::optional<std::string> utf16_of(std::string_view line) {
  constexpr size_t kMinZeros = 4;
  std::array<size_t, 2> num_zeros{};
  for (size_t i = 0; i < line.size(); ++i) num_zeros[i % 2] += line[i] == '\0' ? 1 : 0;
  const auto [few, many] = std::minmax(num_zeros[0], num_zeros[1]);
  if (many < kMinZeros || few * 10 > many) return std::nullopt;
  return num_zeros[0] > num_zeros[1] ? "UTF-16BE" : "UTF-16LE";
}

[[noreturn]] void throw_zero(const std::string& where, std::string_view line) {
  FormatError error(where, "not text: it holds zero bytes");
  if (const auto encoding = utf16_of(line)) {
    throw std::move(error)
        .expected("UTF-8 text")
        .found(concat("looks like UTF-16 without a byte order mark (", *encoding, ")"))
        .hint(concat("iconv -f ", *encoding, " -t UTF-8 OLD > NEW converts it"));
  }
  throw std::move(error)
      .expected("UTF-8 text")
      .found(concat(std::count(line.begin(), line.end(), '\0'), " of ", line.size(),
                    " bytes of the line, the first at byte ", line.find('\0')))
      .hint(R"(tr -d '\000' < OLD > NEW takes them out)");
}

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string extension_hint(const fs::path& file, const std::string& extension) {
  const std::string lower = lower_case(extension);
  if (lower != extension && (lower == ".txt" || lower == ".jsonl")) {
    return concat("name it ", lower, ", in small letters");
  }
  if (lower == ".json") {
    return R"(of one {"text": ...} a line, name it .jsonl; of an array: jq -c '.[]' OLD > NEW.jsonl)";
  }
  const std::string packed = file.extension() == extension ? "" : file.extension().string();
  return concat("name it .txt", packed, " where each line is a document, .jsonl", packed,
                R"( where each is {"text": ...})");
}

/// Of the keys whose value is text, the one with the longest.
std::optional<std::string> likely_text_key(const Json& document) {
  std::optional<std::string> likely;
  size_t longest = 0;
  for (const auto& [key, value] : document.items()) {
    if (!value.is_string()) continue;
    const size_t size = value.get_ref<const std::string&>().size();
    if (likely && size <= longest) continue;
    likely = key;
    longest = size;
  }
  return likely;
}

std::string found_keys(const Json& document) {
  constexpr size_t kShown = 12;
  std::vector<std::string> keys;
  for (const auto& [key, value] : document.items()) {
    if (keys.size() == kShown) break;
    keys.push_back(concat("'", key, "'"));
  }
  if (keys.empty()) return "no key";
  const size_t num_left = document.size() - keys.size();
  return concat(keys.size() == 1 ? "the key " : "the keys ", join(keys, ", "),
                num_left == 0 ? "" : concat(" and ", num_left, " more"));
}

}  // namespace

std::string place_of(const fs::path& file, int64_t line_number) {
  return concat(file.string(), ":", line_number);
}

std::string require_known_extension(const fs::path& file) {
  std::string extension = uncompressed_extension(file);
  if (extension == ".txt" || extension == ".jsonl") return extension;
  if (!fs::exists(file)) throw io_error(file, "open", ENOENT);
  throw FormatError(file, concat("extension '", extension, "' is not known"))
      .expected(".txt or .jsonl, either also with .gz or .zst")
      .hint(extension_hint(file, extension));
}

void require_text_line(const fs::path& file, int64_t line_number, std::string_view line) {
  const size_t invalid = find_invalid_utf8(line);
  const bool has_zero = line.find('\0') != std::string_view::npos;
  if (invalid == std::string_view::npos && !has_zero) return;
  const std::string where = place_of(file, line_number);
  const FileKind* kind = line_number == 1 ? kind_of(line) : nullptr;
  if (kind != nullptr) {
    throw FormatError(where, "not UTF-8 text")
        .expected("UTF-8 text")
        .found(kind->name)
        .hint(kind->hint);
  }
  if (has_zero) throw_zero(where, line);
  throw FormatError(where, "invalid UTF-8")
      .expected("UTF-8 text")
      .found(concat("byte value ", static_cast<unsigned>(static_cast<unsigned char>(line[invalid])),
                    " at byte ", invalid, " of the line"))
      .hint("iconv -f ENCODING -t UTF-8 OLD > NEW converts a file of another encoding (CP1252)");
}

void require_no_zero(const std::string& where, std::string_view text) {
  if (text.find('\0') == std::string_view::npos) return;
  throw FormatError(where, "the text holds zero characters (\\u0000)")
      .expected("text without them")
      .hint(R"(jq -c '.text |= gsub("\u0000"; "")' OLD > NEW takes them out)");
}

void require_text_key(const std::string& where, const Json& document) {
  constexpr const char* kExpected = R"({"text": "...", "id": "..."})";
  if (!document.is_object()) {
    throw FormatError(where, "no document")
        .expected(kExpected)
        .found(document.dump().substr(0, 80))
        .hint("jq -c '.[]' OLD > NEW.jsonl makes lines of an array");
  }
  const auto text = document.find("text");
  if (text != document.end() && text->is_string()) return;
  if (text != document.end()) {
    throw FormatError(where, "no document: 'text' is no text")
        .expected(kExpected)
        .found(concat(R"("text": )", text->dump().substr(0, 80)))
        .hint(R"(jq -c 'select(.text | type == "string")' OLD > NEW leaves such lines out)");
  }
  const std::string key = likely_text_key(document).value_or("KEY");
  throw FormatError(where, "no document: there is no key 'text'")
      .expected(kExpected)
      .found(found_keys(document))
      .hint(concat("jq -c '{text: .[", Json(key).dump(), "]}' OLD > NEW makes it"));
}

std::string compression_hint(const fs::path& file) {
  std::array<char, 4> bytes{};
  std::ifstream stream(file, std::ios::binary);
  stream.read(bytes.data(), bytes.size());
  const std::string_view start(bytes.data(), static_cast<size_t>(stream.gcount()));
  if (start.empty()) return "the file is empty";
  const std::string extension = file.extension().string();
  const std::string_view named = extension == ".gz"    ? kGzip.magic
                                 : extension == ".zst" ? kZstd.magic
                                                       : start;
  if (start.starts_with(named) || named.starts_with(start)) {
    return "the compressed file may be cut off or damaged";
  }
  for (const FileKind& kind : {kGzip, kZstd}) {
    if (start.starts_with(kind.magic)) return kind.hint;
  }
  return concat("it is not compressed: take ", extension, " off its name");
}

}  // namespace polygraft::tokenizer
