// expand/packs/pack.h: one language's additions in a folder of their own. base + packs = expanded.
//   pack.json                what it is and which base it belongs to
//   additions.safetensors    experts, router rows, embedding and head rows, by logical name
//                            (addition_names.h), in the dtype the base stores
// Vocabulary ids are given when packs are attached: row i belongs to token i of the list.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "expand/graft.h"
#include "expand/merge_list.h"

namespace polygraft::expand {

inline constexpr const char* kPackFile = "pack.json";
inline constexpr const char* kPackTensors = "additions.safetensors";

/// What tells one base from another.
struct PackBase {
  std::string family;          ///< what experts compute and how they are chosen
  std::string tensors_hash;    ///< hash_tensors()
  std::string tokenizer_hash;  ///< SHA-256 of tokenizer.json or tokenizer.model
  int64_t num_experts = 0, vocab_rows = 0;
  bool tied_embeddings = false;
};

struct PackLayer {
  int64_t layer = 0;
  int64_t num_experts = 0;      ///< added here
  std::vector<int64_t> donors;  ///< base experts they were cloned from, where the plan is known
};

struct Pack {
  std::string name;  ///< the language, "id"
  std::string tool_version;
  PackBase base;
  std::vector<PackLayer> layers;  ///< the MoE layers
  int64_t pad_to = 1;  ///< a vocabulary that grows is padded to a multiple (place_rows.h)
  int64_t padding_row =
      -1;  ///< the base row that padding copies; -1: the pack came without padding
  bool untied_head = false;  ///< the additions have output rows though the base's head is tied
  std::vector<std::string> tokens;  ///< as tokenizer.json spells them; one vocabulary row each
  std::vector<MergePair> merges;    ///< by priority, after all of the base's
  std::string additions_hash;       ///< hash_tensors() of additions.safetensors
  BoxedJson provenance;

  int64_t num_experts() const { return layers.empty() ? 0 : layers.front().num_experts; }
  int64_t num_vocab_rows() const { return static_cast<int64_t>(tokens.size()); }
  bool has_head() const { return untied_head || !base.tied_embeddings; }
  std::string vocabulary_hash() const;  ///< SHA-256 of tokens and merges
  OrderedJson to_json() const;
  /// @throws FormatError for a missing key, another schema, a name that is no pack's, a token
  /// that is empty or listed twice, tokens or merges that are not those of the hash.
  static Pack from_json(const OrderedJson& json, const std::filesystem::path& file);
};

/// A pack with its tensors, where they lie in the memory-mapped file.
struct OpenPack {
  Pack pack;
  std::filesystem::path folder;
  Additions additions;  ///< in the stored dtype; must not be written to
};

/// Opens a pack folder and checks that tensors and pack.json agree. @throws IoError, FormatError.
OpenPack open_pack(const std::filesystem::path& folder);

}  // namespace polygraft::expand
