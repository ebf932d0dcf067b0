// model/checkpoint/tensor_file_writer.cpp: one whole safetensors file at once.
#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/text.h"
#include "model/checkpoint/safetensors_header.h"

namespace polygraft::model {
namespace {

/// Place in the reference writer's order (its Dtype enum, backwards): widest first, which aligns
/// every tensor without padding.
size_t file_order(Dtype dtype) {
  constexpr std::array kOrder = {Dtype::kI64, Dtype::kF64, Dtype::kF32, Dtype::kI32, Dtype::kBF16,
                                 Dtype::kF16, Dtype::kI16, Dtype::kI8,  Dtype::kU8,  Dtype::kBool};
  return static_cast<size_t>(std::find(kOrder.begin(), kOrder.end(), dtype) - kOrder.begin());
}

void check(const std::string& name, const OwnedTensor& tensor, const fs::path& file) {
  if (tensor.spec.name != name) {
    throw FormatError(file, concat("tensor ", in_quotes(name), " is named differently in its spec"))
        .found(in_quotes(tensor.spec.name));
  }
  if (tensor.bytes.size() != tensor.spec.num_bytes()) {
    throw FormatError(file, concat("tensor ", in_quotes(name), " has the wrong number of bytes"))
        .expected(concat(tensor.spec.num_bytes(), " for ", shape_text(tensor.spec.shape)))
        .found(concat(tensor.bytes.size()));
  }
}

}  // namespace

void write_tensor_file(const fs::path& file, const std::map<std::string, OwnedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const OwnedTensor*> ordered;
  for (const auto& [name, tensor] : tensors) {
    check(name, tensor, file);
    ordered.push_back(&tensor);
  }
  // Stable: the map has sorted the names already.
  std::stable_sort(ordered.begin(), ordered.end(), [](const OwnedTensor* a, const OwnedTensor* b) {
    return file_order(a->spec.dtype) < file_order(b->spec.dtype);
  });
  std::vector<TensorSpec> specs;
  for (const OwnedTensor* tensor : ordered) specs.push_back(tensor->spec);

  AtomicFile out(file);
  out.write(encode_header(specs, metadata, file));
  for (const OwnedTensor* tensor : ordered) out.write(tensor->bytes);
  out.commit();
}

}  // namespace polygraft::model
