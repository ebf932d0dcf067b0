// tokenizer/sentencepiece_file.cpp: see sentencepiece_file.h.
#include "tokenizer/sentencepiece_file.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <unordered_set>

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/protobuf_reader.h"
#include "tokenizer/sentencepiece_fields.h"

namespace polygraft::tokenizer {
namespace {

using Wire = ProtobufField::Wire;
namespace fs = std::filesystem;

constexpr size_t kMostPieces = size_t{1} << 24;

SentencePieceEntry read_piece(std::string_view message, size_t id, size_t base,
                              const fs::path& where) {
  SentencePieceEntry entry;
  ProtobufReader reader(message, where, base);
  for (ProtobufField field; reader.next(field);) {
    if (field.number == piece_proto::kText && field.wire == Wire::kBytes) entry.text = field.bytes;
    if (field.number == piece_proto::kScore && field.wire == Wire::kFixed32) {
      entry.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    }
    if (field.number == piece_proto::kType && field.wire == Wire::kVarint) {
      if (field.value < 1 || field.value > 6) {
        throw FormatError(where, concat("piece ", id, " has the unknown type ", field.value));
      }
      entry.type = static_cast<PieceType>(field.value);
    }
  }
  return entry;
}

void check_piece(const SentencePieceEntry& entry, size_t id, const fs::path& where) {
  const auto refuse = [&](const char* problem) {
    throw FormatError(where, concat("piece ", id, " ", problem));
  };
  if (entry.text.empty()) refuse("is the empty string");
  if (find_invalid_utf8(entry.text) != std::string::npos) refuse("is not UTF-8");
  if (entry.text.find('\0') != std::string::npos) refuse("holds a zero byte");
  if (!std::isfinite(entry.score)) refuse("has a score that is not finite");
}

void read_trainer(std::string_view message, size_t base, const fs::path& where,
                  SentencePieceFile& file) {
  ProtobufReader reader(message, where, base);
  for (ProtobufField field; reader.next(field);) {
    if (field.wire != Wire::kVarint) continue;
    if (field.number == trainer_proto::kByteFallback) file.byte_fallback = field.value != 0;
    if (field.number != trainer_proto::kModelType) continue;
    if (field.value != 1 && field.value != 2) {
      throw NotBuiltError("a SentencePiece model that is neither BPE nor unigram")
          .found(concat("model_type ", field.value, " in ", where.string()));
    }
    file.algorithm = static_cast<SentencePieceAlgorithm>(field.value);
  }
}

/// A character map is the size of a double array, the array, and the texts its leaves point into.
/// The library walks the array without looking at its bounds.
void check_character_map(std::string_view map, const fs::path& where) {
  const auto require = [&](bool holds, const char* rule) {
    if (!holds) throw FormatError(where, "the normaliser's character map is broken").expected(rule);
  };
  uint32_t array_bytes = 0;
  require(map.size() > sizeof array_bytes, "a size, an array and texts");
  std::memcpy(&array_bytes, map.data(), sizeof array_bytes);
  const std::string_view rest = map.substr(sizeof array_bytes);
  require(array_bytes >= 1024 && array_bytes % 1024 == 0 && array_bytes < rest.size(),
          "an array of whole blocks that ends before the texts");
  const std::string_view texts = rest.substr(array_bytes);
  require(texts.back() == '\0', "texts that end in a zero byte");
  const uint32_t num_units = array_bytes / 4;
  for (uint32_t i = 0; i < num_units; ++i) {
    uint32_t unit = 0;
    std::memcpy(&unit, rest.data() + size_t{4} * i, sizeof unit);
    if (unit >> 31 != 0) {
      require((unit & 0x7FFFFFFF) < texts.size(), "leaves that point into the texts");
      continue;
    }
    const uint32_t offset = (unit >> 10) << ((unit & (1U << 9)) >> 6);
    require(((i ^ offset) | 0xFF) < num_units, "offsets within the array");
  }
}

void check_normalizer(std::string_view message, size_t base, const fs::path& where) {
  ProtobufReader reader(message, where, base);
  for (ProtobufField field; reader.next(field);) {
    const bool is_map =
        field.number == normalizer_proto::kCharacterMap && field.wire == Wire::kBytes;
    if (is_map && !field.bytes.empty()) check_character_map(field.bytes, where);
  }
}

void check_pieces(const SentencePieceFile& file, const fs::path& where) {
  std::unordered_set<std::string_view> seen;
  size_t num_unknown = 0, num_bytes = 0;
  for (size_t id = 0; id < file.pieces.size(); ++id) {
    const SentencePieceEntry& entry = file.pieces[id];
    check_piece(entry, id, where);
    if (!seen.insert(entry.text).second) {
      throw FormatError(where, concat("piece ", id, " is there twice"))
          .found(concat("'", entry.text, "'"));
    }
    num_unknown += entry.type == PieceType::kUnknown ? 1 : 0;
    num_bytes += entry.type == PieceType::kByte ? 1 : 0;
  }
  if (num_unknown != 1) {
    throw FormatError(where, concat(num_unknown, " unknown pieces")).expected("one");
  }
  if (num_bytes != (file.byte_fallback ? 256 : 0)) {
    throw FormatError(where, concat(num_bytes, " byte pieces"))
        .expected(file.byte_fallback ? "256, for byte_fallback" : "none without byte_fallback");
  }
}

}  // namespace

SentencePieceFile parse_sentencepiece_file(std::string_view bytes, const fs::path& where) {
  SentencePieceFile file;
  ProtobufReader reader(bytes, where);
  for (ProtobufField field; reader.next(field);) {
    if (field.wire != Wire::kBytes) continue;
    const size_t base = field.end - field.bytes.size();
    if (field.number == model_proto::kPieces) {
      if (file.pieces.size() == kMostPieces) throw FormatError(where, "too many pieces");
      file.pieces.push_back(read_piece(field.bytes, file.pieces.size(), base, where));
    } else if (field.number == model_proto::kTrainer) {
      read_trainer(field.bytes, base, where, file);
    } else if (field.number == model_proto::kNormalizer ||
               field.number == model_proto::kDenormalizer) {
      check_normalizer(field.bytes, base, where);
    }
  }
  check_pieces(file, where);
  return file;
}

std::string without_pieces_from(std::string_view bytes, size_t first, const fs::path& where) {
  std::string kept;
  kept.reserve(bytes.size());
  size_t num_pieces = 0;
  ProtobufReader reader(bytes, where);
  for (ProtobufField field; reader.next(field);) {
    const bool is_piece = field.number == model_proto::kPieces && field.wire == Wire::kBytes;
    if (is_piece && num_pieces++ >= first) continue;
    kept.append(bytes.substr(field.begin, field.end - field.begin));
  }
  return kept;
}

}  // namespace polygraft::tokenizer
