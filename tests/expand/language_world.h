// tests/expand/language_world.h: three invented languages, a tokenizer trained on the old two and
// extended for the third, and a tiny random base: all that a graft needs, made once per test
// program.
#pragma once
#include <filesystem>
#include <string>

#include "expand/graft.h"
#include "expand/verify.h"
#include "tests/core/temporary_folder.h"
#include "tokenizer/bpe_trainer.h"

namespace polygraft::testing {

enum class TokenizerKind { kByteLevel, kSentencePiece };

struct LanguageWorld {
  TemporaryFolder folder;
  std::filesystem::path corpus_yaml;  ///< aa and bb old, cc new
  tokenizer::Corpus corpus;
  std::filesystem::path base;      ///< per-expert layout, tied, bf16, with tokenizer
  std::filesystem::path extended;  ///< tokenizer folder
  tokenizer::ExtendReport extension;
};
/// @param kind of the base's only tokenizer file: tokenizer.json, or tokenizer.model (BPE, byte
/// fallback).
const LanguageWorld& language_world(TokenizerKind kind = TokenizerKind::kByteLevel);

/// The first world's base as a model of this family whose weights are not renormalised.
std::filesystem::path write_world_base(const std::string& family);

/// Profile and plan of "cc" with 2 experts a layer and small calibration, for the world's base or
/// another with its tokenizer.
expand::ExpansionPlan make_plan(const LanguageWorld& world, const std::filesystem::path& base);
inline expand::ExpansionPlan make_plan(const LanguageWorld& world) {
  return make_plan(world, world.base);
}

}  // namespace polygraft::testing
