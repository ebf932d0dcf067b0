// model/checkpoint/tensor_folder.h: the tensors of a model folder, in one file or in shards.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/tensor_file.h"

namespace polygraft::model {

/// All tensors of a folder: model.safetensors, or the shards that model.safetensors.index.json
/// names. A file must lie in the folder itself; links are followed only within it, or from a
/// snapshot of a Hugging Face cache to that cache entry's blobs.
class TensorFolder {
 public:
  /// @throws FormatError / IoError: header too long or not JSON, offsets that overlap, leave holes
  /// or pass the end, sizes that disagree with shape x dtype, duplicate names, an index that names
  /// a missing file, a file outside the folder, or a tensor that the file lacks.
  static TensorFolder open(const fs::path& folder);

  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  /// @throws FormatError naming the nearest existing tensor.
  const TensorView& get(const std::string& name) const;
  const std::vector<std::string>& names() const {
    return names_;
  }  ///< in the order of files and of offsets
  const fs::path& folder() const { return folder_; }
  uint64_t total_bytes() const;
  int64_t num_files() const { return num_files_; }
  /// Forgets a tensor that the model does not need (a stored copy of a tied head); the file stays
  /// as it is.
  void drop(const std::string& name);

 private:
  void add(TensorView view);
  /// The index and the shards name the same tensors. @param weight_map tensor -> file name.
  void check_against(const std::map<std::string, std::string>& weight_map) const;
  fs::path folder_;
  std::map<std::string, TensorView> tensors_;
  std::vector<std::string> names_;
  int64_t num_files_ = 0;
};

}  // namespace polygraft::model
