// model/checkpoint/model_folder.h: one Hugging Face model folder, opened and checked: config.json,
// tensors, layout, manifest.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "model/checkpoint/families.h"
#include "model/checkpoint/manifest.h"
#include "model/checkpoint/model_config.h"
#include "model/checkpoint/tensor_folder.h"

namespace polygraft::model {

struct ModelFolder {
  fs::path path;
  BoxedJson config_json;  ///< as read, unknown keys included, order kept
  ModelConfig config;
  const Family* family = nullptr;
  FolderLayout layout = ExpertLayout::kNone;
  TensorFolder tensors;
  std::optional<Manifest> manifest;                  ///< present in an expanded model
  std::map<std::string, TensorView> displaced_rows;  ///< of an expanded model: displaced_rows.h

  /// Opens and checks: every tensor the config calls for exists with that shape, and none is left
  /// over. Of displaced rows the shapes are checked, not the bytes.
  /// @throws FormatError naming tensor, expected and found shape; NotBuiltError for what we do not
  /// support.
  static ModelFolder open(const fs::path& path);

  int64_t num_base_experts()
      const;  ///< experts before the additions; config.num_experts when there are none
  bool base_is_tied() const;  ///< whether the model before the additions has no head of its own
  RowLayout vocab_layout() const;
  int64_t num_base_vocab_rows() const { return vocab_layout().num_base; }
  int64_t num_added_experts() const { return config.num_experts - num_base_experts(); }
  int64_t num_added_vocab_rows() const { return vocab_layout().num_added; }
};

}  // namespace polygraft::model
