// tokenizer/post_processor.h: the `post_processor` of tokenizer.json: ByteLevel (offsets only),
// one TemplateProcessing, and Sequences of them. encode() adds nothing; what a template would add
// around one text is read, checked against the vocabulary, and told. Reference: Hugging Face
// tokenizers, processors/{template,sequence}.rs.
#pragma once
#include <filesystem>

#include "core/json_fwd.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace polygraft::tokenizer {

/// @param json null, or {"type": ...}. @throws NotBuiltError naming another type, or for a second
/// template, FormatError for one whose special tokens are not those of the vocabulary.
SpecialTemplate read_post_processor(const Json& json, const Vocabulary& vocabulary,
                                    const std::filesystem::path& where);

}  // namespace polygraft::tokenizer
