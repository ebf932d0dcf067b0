// model/architecture/weights_io.cpp: weights from and to model folders; see weights.h.
#include <cstring>

#include "core/error.h"
#include "core/text.h"
#include "model/architecture/stored_tensors.h"
#include "model/architecture/tensor_bytes.h"
#include "model/architecture/weights.h"
#include "model/checkpoint/displaced_rows.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::model {
namespace {

/// Copies the stored rows into the parts, in order. Conversion rounds to nearest even (ATen's
/// copy_). A part without memory becomes the rows where they lie, or a copy if it is a vector.
void read_parts(const TensorView& view, std::vector<at::Tensor>& parts) {
  const at::Tensor stored = mapped_tensor(view);
  int64_t first = 0;
  for (auto& part : parts) {
    const auto rows = stored.narrow(0, first, part.size(0));
    if (rows.sizes() != part.sizes()) {
      throw FormatError(view.file, concat("tensor '", view.name,
                                          "' does not have the shape the config calls for"))
          .expected(shape_text(part.sizes().vec()))
          .found(shape_text(rows.sizes().vec()));
    }
    first += part.size(0);
    if (!part.is_meta()) {
      part.copy_(rows);
    } else if (part.dim() >= 2) {
      part = rows;
    } else {
      part = at::empty(part.sizes(), part.options().device(at::kCPU)).copy_(rows);
    }
  }
}

/// Puts base rows back whose places added rows have taken in the stored matrix.
void read_displaced_rows(const ModelFolder& folder, const std::string& name, SplitRows& rows) {
  const RowLayout layout = rows.layout();
  if (layout.num_displaced() == 0) return;
  rows.base.narrow(0, layout.first_added(), layout.num_displaced())
      .copy_(mapped_tensor(displaced_rows_of(folder, name)));
}

/// Weights in memory, or where they lie (meta devices), read from the folder.
Weights read_weights(const ModelFolder& folder, at::ScalarType dtype, WeightDevices devices) {
  check_displaced_rows(folder);
  Weights weights = allocate_weights(
      folder.config, {folder.num_base_experts(), folder.vocab_layout()}, dtype, devices);
  for_each_stored_tensor(weights, folder.config, folder.layout,
                         [&](const std::string& name, std::vector<at::Tensor>& parts) {
                           read_parts(folder.tensors.get(name), parts);
                         });
  read_displaced_rows(folder, folder.family->names.embedding, weights.embedding);
  if (weights.tied) {
    weights.head = weights.embedding;
  } else {
    read_displaced_rows(folder, folder.family->names.head, weights.head);
  }
  return weights;
}

}  // namespace

Weights load_weights(const ModelFolder& folder, at::ScalarType dtype) {
  return read_weights(folder, dtype, {});
}

Weights map_weights(const ModelFolder& folder, at::ScalarType dtype, AddedExperts added) {
  return read_weights(folder, dtype,
                      {at::kMeta, added == AddedExperts::kMapped ? at::kMeta : at::kCPU});
}

at::Tensor mapped_tensor(const TensorView& view) {
  // from_blob wants a mutable pointer; the mapping is read-only, so a write would fault rather than
  // change the file.
  auto* data = const_cast<char*>(view.bytes.data());
  return at::from_blob(
      data, view.shape, [keep = view.keep_alive](void*) mutable { keep.reset(); },
      at::TensorOptions(to_scalar_type(view.dtype)));
}

void write_weights(const Weights& weights, const ModelConfig& config, const FolderLayout& layout,
                   const fs::path& folder) {
  Weights shared = weights;  // for_each_stored_tensor() serves readers too, hence not const
  std::map<std::string, std::vector<at::Tensor>> stored;
  for_each_stored_tensor(
      shared, config, layout,
      [&](const std::string& name, std::vector<at::Tensor>& parts) { stored[name] = parts; });
  const auto specs = expected_tensors(config, layout);
  TensorWriter writer(folder, specs);
  for (const TensorSpec& spec : specs) {
    const auto found = stored.find(spec.name);
    TORCH_CHECK(found != stored.end(), "the weights lack '", spec.name,
                "', which the config calls for");
    for (const auto& part : found->second) {
      const auto converted = part.detach().to(to_scalar_type(spec.dtype)).contiguous();
      writer.append(spec.name, stored_bytes(converted));
    }
  }
  writer.finish();
}

}  // namespace polygraft::model
