// expand/packs/stored_pack.h: one pack's additions where they lie in an expanded model, and a pack
// folder written from there.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "expand/packs/pack.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::expand {

/// Folder of a model that several packs are attached to: PACK/pack.json, and rows of tokens that
/// another pack brings too in PACK/shadowed_rows.safetensors. With a single pack the manifest says
/// it all.
inline constexpr const char* kPacksFolder = "polygraft.packs";
inline constexpr const char* kShadowedFile = "shadowed_rows.safetensors";
inline constexpr const char* kShadowedIndex = "index";  ///< int64, into the pack's tokens

/// A logical tensor of additions, as pieces of the mapped files laid end to end.
struct StoredTensor {
  model::TensorSpec spec;
  std::vector<std::string_view> pieces;
};

/// Valid as long as the model it was found in.
struct StoredPack {
  Pack pack;  ///< additions_hash is empty: the tensors may have been trained
  std::vector<StoredTensor> tensors;                  ///< by name
  std::map<std::string, model::TensorView> shadowed;  ///< keeps their mapping alive
};

/// Bytes of `count` rows of a tensor.
std::string_view rows_of(const model::TensorView& view, int64_t first, int64_t count);

/// What the pack is, without tensors. @param entry of the model's manifest.
Pack describe_pack(const model::ModelFolder& expanded, const model::PackEntry& entry);

/// @param name of a pack of the manifest. @throws ConfigError listing the packs there are;
/// FormatError when the folder's parts disagree.
StoredPack find_pack(const model::ModelFolder& expanded, const std::string& name);

/// Writes the pack into `out` (an AtomicFolder's path) as a stream; little memory. @return what was
/// written, additions_hash filled in.
Pack write_pack(const StoredPack& stored, const std::filesystem::path& out);

}  // namespace polygraft::expand
