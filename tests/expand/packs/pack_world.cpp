// tests/expand/packs/pack_world.cpp: see pack_world.h.
#include "tests/expand/packs/pack_world.h"

#include <set>

#include "core/file.h"
#include "core/json.h"
#include "core/random.h"
#include "expand/packs/stored_pack.h"
#include "expand/tokenizer_files.h"
#include "tests/expand/language_world.h"

namespace polygraft::testing {

namespace {

/// cc and dd share "jala" and "pu"; the others are a language's own.
std::vector<std::string> syllables_of(const std::string& language) {
  if (language == "cc") return {"jala", "pu", "nang", "tira", "be"};
  if (language == "dd") return {"jala", "pu", "xoq", "vizz", "hy"};
  return {"qua", "yolk", "zim", "vrr", "opp"};
}

std::string invented_text(const std::string& language) {
  const std::vector<std::string> syllables = syllables_of(language);
  RandomStream random(4, language);
  std::string text;
  for (int word = 0; word < 1500; ++word) {
    for (uint64_t i = 0; i < 1 + random.below(3); ++i) text += syllables[random.below(5)];
    text += word % 12 == 11 ? '\n' : ' ';
  }
  return text;
}

}  // namespace

PackWorld::PackWorld(TinyModel tiny, TokenizerKind tokenizer_kind)
    : base(folder / "base"), kind(tokenizer_kind) {
  const LanguageWorld& world = language_world(kind);
  fs::create_directories(base);
  expand::copy_tokenizer_files(world.base, base);
  tiny.vocab_rows = tokenizer::Tokenizer::load(base).size();
  write_tiny_base(tiny, base);
  write_file_atomically(base / "README.md", "a model card\n");
}

fs::path PackWorld::expand(const std::string& language, int64_t num_experts, bool untie) {
  const LanguageWorld& world = language_world(kind);
  const fs::path text = folder / (language + ".txt"), extended = folder / (language + ".tokenizer");
  if (!fs::exists(extended)) {
    write_file_atomically(text, invented_text(language));
    tokenizer::ExtendOptions options;
    options.new_tokens = 12;
    tokenizer::extend_tokenizer(base, {{language, {text}}},
                                {{"aa", {world.folder / "aa.train.txt"}}}, options, extended);
  }
  const auto model = model::ModelFolder::open(base);
  const auto additions = random_additions(model.config, num_experts, 12,
                                          untie || !model.config.tied_embeddings, language[0]);
  expand::ExpandedFolder expanded =
      describe(model, num_experts, 12, untie && model.config.tied_embeddings);
  expanded.manifest.packs[0].name = language;
  expanded.manifest.base_tokenizer_hash = tokenizer::Tokenizer::load(base).hash();
  (*expanded.manifest.provenance)["made_for"] = language;
  expanded.tokenizer = extended;
  const fs::path out = folder / (language + ".model");
  fs::remove_all(out);
  expand::write_expanded(model, additions, expanded, out);
  return out;
}

fs::path PackWorld::pack(const std::string& language, int64_t num_experts, bool untie) {
  const auto expanded = model::ModelFolder::open(expand(language, num_experts, untie));
  const fs::path out = folder / (language + ".pack");
  fs::remove_all(out);
  expand::write_pack(expand::find_pack(expanded, language), out);
  return out;
}

std::vector<std::string> differing_files(const fs::path& folder, const fs::path& other) {
  std::set<std::string> names;
  for (const fs::path& root : {folder, other}) {
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (entry.is_regular_file()) names.insert(fs::relative(entry.path(), root).string());
    }
  }
  std::vector<std::string> differing;
  for (const std::string& name : names) {
    const bool both = fs::exists(folder / name) && fs::exists(other / name);
    if (!both || read_file(folder / name) != read_file(other / name)) differing.push_back(name);
  }
  return differing;
}

}  // namespace polygraft::testing
