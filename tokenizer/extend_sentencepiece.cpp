// tokenizer/extend_sentencepiece.cpp: see extend_sentencepiece.h.
#include "tokenizer/extend_sentencepiece.h"

#include <map>

#include "core/error.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/text.h"
#include "tokenizer/corpus.h"
#include "tokenizer/metaspace.h"
#include "tokenizer/sentencepiece_tokenizer.h"

namespace polygraft::tokenizer {
namespace {

/// The ids that a settings file gives to added tokens.
std::vector<int64_t> added_ids(const fs::path& file) {
  std::vector<int64_t> ids;
  const Json json = read_json(file);
  if (file.filename() == "added_tokens.json") {
    for (const auto& [token, id] : json.items()) {
      ids.push_back(json_get<int64_t>(json, token, file));
    }
    return ids;
  }
  const Json decoder = json_get_or<Json>(json, "added_tokens_decoder", Json::object(), file);
  for (const auto& [id, token] : decoder.items()) {
    if (id.find_first_not_of("0123456789") != std::string::npos || id.empty() || id.size() > 9) {
      throw FormatError(file, "a key of added_tokens_decoder is no id").found(id);
    }
    ids.push_back(std::stoll(id));
  }
  return ids;
}

void check_pieces(const SentencePieceFile& pieces, const fs::path& file) {
  if (pieces.algorithm != SentencePieceAlgorithm::kBpe) {
    throw NotBuiltError(
        concat("extending a SentencePiece model of type unigram (", file.string(), ")"))
        .hint(
            "only BPE gives priority to old pieces; in a unigram model a new piece competes with "
            "all others by probability, and may change any text");
  }
  for (size_t id = 0; id < pieces.pieces.size(); ++id) {
    if (pieces.pieces[id].type != PieceType::kUnused) continue;
    throw NotBuiltError(
        concat("extending a SentencePiece model with unused pieces (", file.string(), ")"))
        .found(concat("piece ", id, ", '", pieces.pieces[id].text, "'"))
        .hint("such pieces are made and taken apart again, so that the guard could not be kept");
  }
}

using Words = std::map<std::vector<TokenId>, int64_t>;

/// Cuts a run (tokenizer_impl.h) into words and counts them.
void count_words(const Tokenizer& old, std::span<const TokenId> run, Words& words) {
  for (size_t begin = 0, end = 0; begin < run.size(); begin = end) {
    end = begin + 1;
    while (end < run.size() && !old.token(run[end]).starts_with(kVisibleSpace)) ++end;
    ++words[{run.begin() + static_cast<ptrdiff_t>(begin),
             run.begin() + static_cast<ptrdiff_t>(end)}];
  }
}

}  // namespace

void check_sentencepiece(const Tokenizer& old) {
  const auto& model = dynamic_cast<const SentencePieceTokenizer&>(old.impl());
  check_pieces(model.pieces, model.file);
  for (const char* name : {"added_tokens.json", "tokenizer_config.json"}) {
    const fs::path file = model.file.parent_path() / name;
    if (!fs::exists(file)) continue;
    for (const int64_t id : added_ids(file)) {
      if (id < old.size()) continue;
      throw NotBuiltError(concat("extending ", model.file.string(),
                                 " beside added tokens behind its ", old.size(), " pieces"))
          .found(concat("id ", id, " in ", name));
    }
  }
}

NewText segment_sentencepiece(const Tokenizer& old, const TextsByLanguage& texts) {
  std::vector<Words> words(resolve_num_threads(0));
  for (const auto& [language, files] : texts) {
    for_each_document_unordered(files, 0, [&](Document&& document, size_t thread) {
      old.impl().for_each_run(document.text, [&](std::span<const TokenId> run) {
        count_words(old, run, words[thread]);
      });
    });
  }
  Words all;
  for (Words& own : words) {
    for (const auto& [word, count] : own) all[word] += count;
    own.clear();
  }
  NewText text;
  for (const auto& [word, count] : all) text.add_word(word, count);
  return text;
}

}  // namespace polygraft::tokenizer
