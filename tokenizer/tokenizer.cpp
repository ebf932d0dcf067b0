// tokenizer/tokenizer.cpp: see tokenizer.h.
#include "tokenizer/tokenizer.h"

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/text.h"
#include "tokenizer/sentencepiece_tokenizer.h"
#include "tokenizer/tokenizer_file.h"
#include "tokenizer/tokenizer_impl.h"
#include "tokenizer/tokenizer_json.h"

namespace polygraft::tokenizer {

void require_encodable(std::string_view text) {
  if (text.size() > static_cast<size_t>(INT32_MAX)) {  // positions in a piece have 32 bits
    throw FormatError("text", concat("one text of ", human_bytes(text.size())))
        .expected("less than 2 GiB")
        .hint("split it into documents");
  }
  const size_t invalid = find_invalid_utf8(text);
  if (invalid == std::string_view::npos) return;
  throw FormatError("text", concat("invalid UTF-8 at byte ", invalid))
      .found(
          concat("byte value ", static_cast<unsigned>(static_cast<unsigned char>(text[invalid]))));
}

Tokenizer Tokenizer::load(const fs::path& folder_or_file) {
  const fs::path file = tokenizer_file_of(folder_or_file);
  const auto parse = is_sentencepiece(file) ? parse_sentencepiece : parse_tokenizer;
  return Tokenizer(parse(read_file(file), file, file.parent_path()));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 3);
  encode_append(text, ids);
  return ids;
}

void Tokenizer::encode_append(std::string_view text, std::vector<TokenId>& ids) const {
  impl_->encode_append(text, ids);
}

std::vector<std::vector<TokenId>> Tokenizer::encode_batch(std::span<const std::string> texts,
                                                          int num_threads) const {
  std::vector<std::vector<TokenId>> ids(texts.size());
  parallel_for(texts.size(), num_threads, [&](size_t i) { ids[i] = encode(texts[i]); });
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  for (const TokenId id : ids) {
    if (impl_->vocabulary.has(id)) continue;
    throw ConfigError("decode", concat("id ", id, " is not in the vocabulary"))
        .expected(concat("an id below ", size()));
  }
  return impl_->decode(ids, skip_special_tokens);
}

int64_t Tokenizer::size() const { return impl_->vocabulary.size(); }

const std::string& Tokenizer::token(TokenId id) const {
  static const std::string kHole;
  return impl_->vocabulary.has(id) ? impl_->vocabulary.entry(id).token : kHole;
}

std::optional<TokenId> Tokenizer::find(std::string_view token) const {
  return impl_->vocabulary.find(token);
}

std::string Tokenizer::token_bytes(TokenId id) const {
  return impl_->vocabulary.has(id) ? impl_->vocabulary.entry(id).bytes : std::string();
}

bool Tokenizer::is_special(TokenId id) const {
  return impl_->vocabulary.has(id) && impl_->vocabulary.entry(id).special;
}

std::optional<TokenId> Tokenizer::bos_id() const { return impl_->bos; }
std::optional<TokenId> Tokenizer::eos_id() const { return impl_->eos; }

TokenId Tokenizer::prefix_id() const {
  if (impl_->bos) return *impl_->bos;
  if (impl_->eos) return *impl_->eos;
  throw FormatError(impl_->file, "the tokenizer has neither BOS nor EOS")
      .expected("bos_token or eos_token in tokenizer_config.json beside it");
}

const SpecialTemplate& Tokenizer::special_template() const { return impl_->special_template; }

const std::string& Tokenizer::hash() const { return impl_->hash; }

}  // namespace polygraft::tokenizer
