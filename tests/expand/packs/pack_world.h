// tests/expand/packs/pack_world.h: three languages' additions to one tiny base, each as an expanded
// model and as a pack; two of them share tokens.
#pragma once
#include <filesystem>
#include <string>

#include "tests/core/temporary_folder.h"
#include "tests/expand/language_world.h"
#include "tests/expand/tiny_model.h"

namespace polygraft::testing {

/// The base of tests/expand/language_world.h in another layout, and expansions of it.
struct PackWorld {
  TemporaryFolder folder;
  std::filesystem::path base;
  TokenizerKind kind;

  /// @param tiny vocab_rows is set to the tokenizer's size.
  explicit PackWorld(TinyModel tiny = {}, TokenizerKind kind = TokenizerKind::kByteLevel);
  /// Expands the base by `num_experts` random experts and 12 tokens learned from invented text of
  /// "cc", "dd" (shares syllables with cc) or "ee". @return the model's folder.
  std::filesystem::path expand(const std::string& language, int64_t num_experts, bool untie);
  /// The same as a pack. @return the pack's folder.
  std::filesystem::path pack(const std::string& language, int64_t num_experts = 2,
                             bool untie = true);
};

/// Names of all files below the folder, and those whose content differs from the same file below
/// `other` or that only one of the two has.
std::vector<std::string> differing_files(const std::filesystem::path& folder,
                                         const std::filesystem::path& other);

}  // namespace polygraft::testing
