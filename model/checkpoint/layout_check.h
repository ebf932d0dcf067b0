// model/checkpoint/layout_check.h: does a folder hold exactly the tensors that its config calls
// for?
#pragma once
#include "model/checkpoint/families.h"
#include "model/checkpoint/tensor_folder.h"

namespace polygraft::model {

/// How the folder stores its experts. @throws FormatError when a part of one layer is fused and
/// another part is not.
FolderLayout detect_expert_layout(const ModelConfig& config, const TensorFolder& tensors);

/// Checks names and shapes. Drops what the model does not need: buffers of old transformers
/// versions, and the stored copy of a tied head, which must equal the embedding byte for byte.
/// @throws FormatError for a tensor that is missing, left over, or of another shape.
void check_tensors(const ModelConfig& config, const FolderLayout& layout, TensorFolder& tensors);

/// The element type of most bytes: a folder may hold several (norms and routers in float32 beside
/// matrices in bfloat16). @throws NotBuiltError for a type that we do not compute with.
Dtype stored_dtype(const TensorFolder& tensors);

}  // namespace polygraft::model
