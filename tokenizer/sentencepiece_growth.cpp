// tokenizer/sentencepiece_growth.cpp: see sentencepiece_growth.h.
#include "tokenizer/sentencepiece_growth.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/protobuf_writer.h"
#include "tokenizer/sentencepiece_fields.h"
#include "tokenizer/sentencepiece_file.h"

namespace polygraft::tokenizer {
std::string with_pieces(std::string_view model, const std::vector<std::string>& pieces,
                        const std::filesystem::path& where) {
  const SentencePieceFile old = parse_sentencepiece_file(model, where);
  float score = 0;
  for (const SentencePieceEntry& entry : old.pieces) score = std::min(score, entry.score);
  std::string result(model);
  for (const std::string& text : pieces) {
    // Mixtral's runs of spaces score -1e9, where a float knows only every 64th number.
    const float lower =
        std::min(score - 1, std::nextafter(score, -std::numeric_limits<float>::infinity()));
    if (!std::isfinite(lower)) {
      throw FormatError(where, concat("no score is left below ", score, " for a new piece"));
    }
    score = lower;
    std::string message;
    append_bytes_field(message, piece_proto::kText, text);
    append_float_field(message, piece_proto::kScore, score);
    append_bytes_field(result, model_proto::kPieces, message);
  }
  std::string spec;
  append_varint_field(spec, trainer_proto::kVocabSize, old.pieces.size() + pieces.size());
  append_bytes_field(result, model_proto::kTrainer, spec);
  return result;
}

std::vector<std::string> added_pieces(std::string_view model, std::string_view grown,
                                      const std::filesystem::path& where) {
  const auto before = parse_sentencepiece_file(model, where).pieces,
             after = parse_sentencepiece_file(grown, where).pieces;
  std::vector<std::string> added;
  for (size_t id = 0; id < std::max(before.size(), after.size()); ++id) {
    if (id >= before.size()) {
      added.push_back(after[id].text);
    } else if (id >= after.size() || after[id] != before[id]) {
      throw FormatError(where, concat("piece ", id, " ('", before[id].text, "') is not the base's"))
          .expected(
              "the base's pieces with their texts, scores and types, and new ones behind them");
    }
  }
  const bool same = added.empty() ? grown == model : grown == with_pieces(model, added, where);
  if (!same) {
    throw FormatError(where, "it differs from the base's in more than new pieces of lower scores")
        .hint("extend the base's with `polygraft tokenizer extend`");
  }
  return added;
}

std::string without_added_space(std::string_view model) {
  std::string spec, result(model);
  append_varint_field(spec, normalizer_proto::kAddDummyPrefix, 0);
  append_varint_field(spec, normalizer_proto::kRemoveExtraWhitespaces, 0);
  append_bytes_field(result, model_proto::kNormalizer, spec);
  return result;
}

}  // namespace polygraft::tokenizer
