// model/checkpoint/folder_hash.cpp: one hash for all weights of a folder, the same however they are
// split into files.
#include <algorithm>

#include "core/hash.h"
#include "core/json.h"
#include "model/checkpoint/model_folder.h"

namespace polygraft::model {

std::string hash_tensors(const TensorFolder& tensors) {
  std::vector<std::string> names = tensors.names();
  std::sort(names.begin(), names.end());
  Sha256 hash;
  for (const std::string& name : names) {
    const TensorView& view = tensors.get(name);
    // As JSON, so that no two different lists of tensors give the same byte stream.
    hash.update(Json{name, dtype_name(view.dtype), view.shape}.dump() + "\n");
    hash.update(view.bytes);
  }
  return hash.finish();
}

}  // namespace polygraft::model
