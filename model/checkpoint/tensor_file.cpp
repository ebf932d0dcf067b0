// model/checkpoint/tensor_file.cpp: one safetensors file as views into its mapping.
#include "model/checkpoint/tensor_file.h"

#include "core/text.h"
#include "model/checkpoint/safetensors_header.h"

namespace polygraft::model {

int64_t TensorView::num_elements() const {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return count;
}

int64_t TensorView::row_bytes() const {
  if (shape.empty() || shape[0] == 0) return 0;
  return static_cast<int64_t>(bytes.size()) / shape[0];
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (int64_t size : shape) sizes.push_back(concat(size));
  return "[" + join(sizes, ", ") + "]";
}

std::vector<TensorView> read_tensor_views(const fs::path& file) {
  const MappedFile mapped(file);
  const std::string_view content = mapped.text();
  const Header header = decode_header(content, file);
  std::vector<TensorView> views;
  views.reserve(header.entries.size());
  for (const HeaderEntry& entry : header.entries) {
    const auto bytes = content.substr(header.data_offset + entry.begin, entry.end - entry.begin);
    views.push_back(
        {entry.spec.name, entry.spec.dtype, entry.spec.shape, bytes, file, mapped.keep_alive()});
  }
  return views;
}

std::map<std::string, TensorView> read_tensor_file(const fs::path& file) {
  std::map<std::string, TensorView> tensors;
  for (TensorView& view : read_tensor_views(file)) {
    const std::string name = view.name;
    tensors.emplace(name, std::move(view));
  }
  return tensors;
}

}  // namespace polygraft::model
