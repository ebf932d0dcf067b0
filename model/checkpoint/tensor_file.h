// model/checkpoint/tensor_file.h: reading safetensors, every bound checked, without copying.
// Format: https://github.com/huggingface/safetensors (8-byte little-endian header length, JSON
// header, data). No Torch here: a tensor is a name, a dtype, a shape and bytes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"

namespace polygraft::model {

enum class Dtype { kF32, kF16, kBF16, kF64, kI64, kI32, kI16, kI8, kU8, kBool };
size_t dtype_bytes(Dtype dtype);
std::string_view dtype_name(Dtype dtype);  ///< safetensors' spelling: "BF16"
Dtype parse_dtype(std::string_view name,
                  const fs::path& file);  ///< @throws FormatError, also for quantised types
Dtype parse_torch_dtype(std::string_view name,
                        const fs::path& file);  ///< config.json's spelling: "bfloat16"
std::string_view torch_dtype_name(Dtype dtype);

/// A tensor where it lies: the bytes are in the memory-mapped file as long as this object lives.
struct TensorView {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<int64_t> shape;
  std::string_view bytes;
  fs::path file;
  std::shared_ptr<const void> keep_alive;

  int64_t num_elements() const;
  int64_t row_bytes() const;  ///< bytes of one index of dimension 0
};

std::string shape_text(const std::vector<int64_t>& shape);  ///< "[232, 1024]"

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
