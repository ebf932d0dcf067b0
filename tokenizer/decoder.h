// tokenizer/decoder.h: the `decoder` of tokenizer.json: ByteLevel, Replace, ByteFallback, Fuse,
// Strip, Metaspace, and Sequences of them.
// Reference: Hugging Face tokenizers, decoders/*.rs and pre_tokenizers/{byte_level,metaspace}.rs.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/json_fwd.h"
#include "tokenizer/replacement.h"

namespace polygraft::tokenizer {

class Decoder {
 public:
  /// @throws NotBuiltError naming a type that is not supported, or when there is no decoder.
  static Decoder from_json(const Json& json, const std::filesystem::path& where);

  /// The text of tokens that follow each other. Bytes that are not UTF-8 become U+FFFD.
  std::string decode(std::vector<std::string> tokens) const;

  /// The bytes one token stands for in the middle of a text.
  std::string bytes_of(std::string_view token) const;

  /// Whether a text is nothing but its tokens' bytes put together.
  bool concatenates_bytes() const { return concatenates_bytes_; }

 private:
  struct ByteLevel {};     ///< characters of the byte alphabet back to bytes
  struct ByteFallback {};  ///< runs of "<0xHH>" back to text
  struct Fuse {};          ///< all tokens become one
  /// Up to `start` and `stop` times a character taken off a token's ends.
  struct Strip {
    char32_t content = U' ';
    size_t start = 0, stop = 0;
  };
  /// The replacement character back to a space, or to nothing in the first token.
  struct Metaspace {
    std::string replacement;
    bool prepends = true;
  };
  using Step = std::variant<ByteLevel, ByteFallback, Fuse, Strip, Metaspace, Replacement>;
  using Tokens = std::vector<std::string>;

  void add(const Json& json, const std::filesystem::path& where);
  static void apply(const ByteLevel&, Tokens& tokens);
  static void apply(const ByteFallback&, Tokens& tokens);
  static void apply(const Fuse&, Tokens& tokens);
  static void apply(const Strip&, Tokens& tokens);
  static void apply(const Metaspace&, Tokens& tokens);
  static void apply(const Replacement&, Tokens& tokens);

  std::vector<Step> steps_;
  bool concatenates_bytes_ = false;
};

}  // namespace polygraft::tokenizer
