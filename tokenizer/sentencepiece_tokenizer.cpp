// tokenizer/sentencepiece_tokenizer.cpp: see sentencepiece_tokenizer.h.
#include "tokenizer/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <cstdlib>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "tokenizer/metaspace.h"
#include "tokenizer/sentencepiece_growth.h"
#include "tokenizer/tokenizer_config.h"

namespace polygraft::tokenizer {
namespace {

void require(const sentencepiece::util::Status& status, const fs::path& file, const char* action) {
  if (status.ok()) return;
  throw FormatError(file, concat("the sentencepiece library cannot ", action))
      .found(status.ToString());
}

std::shared_ptr<const sentencepiece::SentencePieceProcessor> load_processor(
    const std::string& bytes, const fs::path& file) {
  auto processor = std::make_shared<sentencepiece::SentencePieceProcessor>();
  require(processor->LoadFromSerializedProto(bytes), file, "load the model");
  return processor;
}

std::shared_ptr<const UnigramModel> unigram_of(const SentencePieceFile& file) {
  if (file.algorithm != SentencePieceAlgorithm::kUnigram) return nullptr;
  return std::make_shared<UnigramModel>(file);
}

/// What a piece stands for in the middle of a text.
std::string bytes_of(const SentencePieceEntry& piece) {
  if (piece.type == PieceType::kByte) {
    return std::string(1, static_cast<char>(std::strtol(piece.text.c_str() + 3, nullptr, 16)));
  }
  std::string bytes = piece.text;
  if (piece.type == PieceType::kControl || piece.type == PieceType::kUnknown) return bytes;
  for (size_t at = bytes.find(kVisibleSpace); at != std::string::npos;
       at = bytes.find(kVisibleSpace, at + 1)) {
    bytes.replace(at, kVisibleSpace.size(), " ");
  }
  return bytes;
}

void fill_vocabulary(const SentencePieceFile& pieces, const fs::path& file,
                     Vocabulary& vocabulary) {
  for (size_t id = 0; id < pieces.pieces.size(); ++id) {
    const SentencePieceEntry& piece = pieces.pieces[id];
    vocabulary.insert(piece.text, static_cast<int64_t>(id), file);
    if (piece.type == PieceType::kControl || piece.type == PieceType::kUnknown) {
      vocabulary.mark_added(static_cast<TokenId>(id), /*special=*/true, piece.text,
                            /*skipped=*/true);
    }
  }
  TokenId next = 0;
  vocabulary.set_bytes(
      [&](const std::string&) { return bytes_of(pieces.pieces[static_cast<size_t>(next++)]); });
}

std::optional<TokenId> id_or_none(int id) {
  if (id < 0) return std::nullopt;
  return id;
}

/// A .model has no template: transformers puts around a text what the folder's flags ask for.
SpecialTemplate template_of_flags(const SentencePieceTokenizer& tokenizer, const fs::path& folder) {
  SpecialTemplate result;
  if (tokenizer.bos && config_flag(folder, "add_bos_token")) result.before = {*tokenizer.bos};
  if (tokenizer.eos && config_flag(folder, "add_eos_token")) result.after = {*tokenizer.eos};
  return result;
}

}  // namespace

void SentencePieceTokenizer::encode_append(std::string_view text, std::vector<TokenId>& ids) const {
  require_encodable(text);
  std::vector<int> found;
  require(processor->Encode(text, &found), file, "encode a text");
  if (unigram) return unigram->encode_append(normalized(text, found), ids);
  ids.insert(ids.end(), found.begin(), found.end());
}

/// The library of Debian 12 does not show what it has normalised: it is what its pieces spell.
std::string SentencePieceTokenizer::normalized(std::string_view text,
                                               const std::vector<int>& ids) const {
  std::string result;
  result.reserve(text.size() + text.size() / 4);
  for (const int id : ids) {
    const SentencePieceEntry& piece = pieces.pieces[static_cast<size_t>(id)];
    if (piece.type == PieceType::kUnknown) {  // spells nothing by itself
      std::vector<std::string> spelled;
      require(processor->Encode(text, &spelled), file, "encode a text");
      return join(spelled, "");
    }
    result += piece.type == PieceType::kByte ? bytes_of(piece) : piece.text;
  }
  return result;
}

std::string SentencePieceTokenizer::decode(std::span<const TokenId> ids,
                                           bool skip_special_tokens) const {
  std::vector<int> kept;
  kept.reserve(ids.size());
  for (const TokenId id : ids) {
    if (!(skip_special_tokens && vocabulary.entry(id).skipped)) kept.push_back(id);
  }
  std::string text;
  require(processor->Decode(kept, &text), file, "decode ids");
  return text;
}

/// User-defined pieces join nothing, nor do bytes and what is unknown.
void SentencePieceTokenizer::for_each_run(std::string_view text, const RunVisitor& visit) const {
  std::vector<TokenId> ids;
  encode_append(text, ids);
  const auto joins = [&](size_t i) {
    return pieces.pieces[static_cast<size_t>(ids[i])].type == PieceType::kNormal;
  };
  for (size_t begin = 0, end = 0; begin < ids.size(); begin = end) {
    end = begin + 1;
    while (joins(begin) && end < ids.size() && joins(end)) ++end;
    visit({ids.data() + begin, end - begin});
  }
}

std::vector<std::vector<TokenId>> SentencePieceTokenizer::cut_alone(TokenId first) const {
  const auto inner = load_processor(without_added_space(bytes), file);
  std::vector<std::vector<TokenId>> cut;
  for (TokenId id = first; id < vocabulary.size(); ++id) {
    require(inner->Encode(vocabulary.entry(id).bytes, &cut.emplace_back()), file, "encode a piece");
  }
  return cut;
}

std::shared_ptr<const Tokenizer::Impl> SentencePieceTokenizer::without_tokens_from(
    TokenId first) const {
  auto result = std::make_shared<SentencePieceTokenizer>(*this);
  result->bytes = without_pieces_from(bytes, static_cast<size_t>(first), file);
  result->processor = load_processor(result->bytes, file);
  result->unigram = unigram_of(parse_sentencepiece_file(result->bytes, file));
  return result;
}

std::shared_ptr<const Tokenizer::Impl> parse_sentencepiece(const std::string& bytes,
                                                           const fs::path& file,
                                                           const fs::path& config_folder) {
  auto result = std::make_shared<SentencePieceTokenizer>();
  result->file = file;
  result->hash = sha256(bytes);
  result->bytes = bytes;
  result->pieces = parse_sentencepiece_file(bytes, file);
  result->processor = load_processor(bytes, file);
  result->unigram = unigram_of(result->pieces);
  fill_vocabulary(result->pieces, file, result->vocabulary);
  refuse_other_added_tokens(config_folder, {result->vocabulary});
  result->bos = special_token(config_folder, "bos_token", result->vocabulary);
  result->eos = special_token(config_folder, "eos_token", result->vocabulary);
  if (!result->bos) result->bos = id_or_none(result->processor->bos_id());
  if (!result->eos) result->eos = id_or_none(result->processor->eos_id());
  result->special_template = template_of_flags(*result, config_folder);
  return result;
}

}  // namespace polygraft::tokenizer
