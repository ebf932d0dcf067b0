// model/checkpoint/manifest.h: polygraft.json: which rows and experts of an expanded model are
// additions, and where from. Without this file a folder is a base model: nothing in it is an
// addition.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "model/checkpoint/row_layout.h"

namespace polygraft::model {

/// One language's additions inside an expanded model.
struct PackEntry {
  std::string name;                           ///< the language, "id"
  int64_t first_expert = 0, num_experts = 0;  ///< the same in every MoE layer
  int64_t first_vocab_row = 0, num_vocab_rows = 0;
};

struct Manifest {
  std::string tool_version;
  std::string base_tensors_hash;    ///< SHA-256 over the base's tensors in name order (name, dtype,
                                    ///< shape, bytes)
  std::string base_tokenizer_hash;  ///< SHA-256 of the base's tokenizer file
  int64_t base_num_experts = 0;
  int64_t base_vocab_rows = 0;
  bool base_tied_embeddings = false;
  /// Of the vocabulary. In the file as `first_vocab_row` (T) and `padding`; a file without them has
  /// its added rows after the base's, and no padding.
  RowPlacement vocab_placement;
  /// SHA-256 of the file that keeps displaced base rows (displaced_rows.h); empty: none are.
  std::string displaced_rows_hash;
  std::vector<PackEntry> packs;
  BoxedJson provenance;  ///< plan, seeds, resolved config: free-form, carried along

  int64_t num_added_experts() const;  ///< of all packs
  RowLayout vocab_layout() const;

  OrderedJson to_json() const;
  static Manifest from_json(const OrderedJson& json, const std::filesystem::path& file);
};

/// A manifest's or pack's: an object, or null where there is none. @throws FormatError.
OrderedJson read_provenance(const OrderedJson& json, const std::filesystem::path& file);

inline constexpr const char* kManifestFile = "polygraft.json";

}  // namespace polygraft::model
