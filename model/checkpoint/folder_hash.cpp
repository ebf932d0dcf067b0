// model/checkpoint/folder_hash.cpp: one hash for all weights of a folder, the same however they are
// split into files.
#include <algorithm>

#include "core/json.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::model {

void TensorsHash::begin(const TensorSpec& spec) {
  // As JSON, so that no two different lists of tensors give the same byte stream.
  hash_.update(Json{spec.name, dtype_name(spec.dtype), spec.shape}.dump() + "\n");
}

std::string hash_tensors(const TensorFolder& tensors) {
  std::vector<std::string> names = tensors.names();
  std::sort(names.begin(), names.end());
  TensorsHash hash;
  for (const std::string& name : names) {
    const TensorView& view = tensors.get(name);
    hash.begin({name, view.dtype, view.shape});
    hash.update(view.bytes);
  }
  return hash.finish();
}

}  // namespace polygraft::model
