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

#include "model/checkpoint/dtype.h"

namespace polygraft::model {

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

/// Views of all tensors of one file, in the order of offsets; each keeps the mapping alive.
/// @throws FormatError, IoError as TensorFolder::open().
std::vector<TensorView> read_tensor_views(const fs::path& file);
/// The same by name.
std::map<std::string, TensorView> read_tensor_file(const fs::path& file);

}  // namespace polygraft::model
