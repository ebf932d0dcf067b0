// model/checkpoint/displaced_rows.cpp: see displaced_rows.h.
#include "model/checkpoint/displaced_rows.h"

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "model/checkpoint/tensor_file.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::model {
namespace {

fs::path displaced_rows_file(const fs::path& folder) {
  return folder / kBaseFolder / kDisplacedRowsFile;
}

std::vector<std::string> matrices_of_base(const ModelFolder& folder) {
  const TensorNames& names = folder.family->names;
  if (folder.base_is_tied()) return {names.embedding};
  return {names.embedding, names.head};
}

void append_rows(const TensorView& view, int64_t first, int64_t count,
                 std::vector<std::string_view>& pieces) {
  if (count <= 0) return;
  const int64_t row_bytes = view.row_bytes();
  pieces.push_back(view.bytes.substr(static_cast<size_t>(first * row_bytes),
                                     static_cast<size_t>(count * row_bytes)));
}

}  // namespace

std::map<std::string, TensorView> open_displaced_rows(const ModelFolder& folder) {
  const int64_t num_displaced = folder.vocab_layout().num_displaced();
  if (num_displaced == 0) return {};
  const fs::path file = displaced_rows_file(folder.path);
  if (!fs::exists(file)) {
    throw IoError(file, "the base's displaced vocabulary rows are missing")
        .hint(concat("copy the expanded model's folder whole, ", kBaseFolder, " included"));
  }
  auto rows = read_tensor_file(file);
  const std::vector<int64_t> shape = {num_displaced, folder.config.hidden_size};
  for (const std::string& name : matrices_of_base(folder)) {
    const Dtype dtype = folder.tensors.get(name).dtype;
    const auto found = rows.find(name);
    if (found != rows.end() && found->second.shape == shape && found->second.dtype == dtype) {
      continue;
    }
    throw FormatError(file, concat("displaced rows of '", name, "' do not fit the manifest"))
        .expected(concat(dtype_name(dtype), " ", shape_text(shape)))
        .found(found == rows.end()
                   ? "no such tensor"
                   : concat(dtype_name(found->second.dtype), " ", shape_text(found->second.shape)));
  }
  return rows;
}

void check_displaced_rows(const ModelFolder& folder) {
  if (folder.displaced_rows.empty()) return;
  const fs::path file = displaced_rows_file(folder.path);
  const std::string hash = sha256_file(file);
  if (hash == folder.manifest->displaced_rows_hash) return;
  throw FormatError(file, "the base's displaced vocabulary rows are not those of the manifest")
      .expected("SHA-256 " + folder.manifest->displaced_rows_hash)
      .found(hash)
      .hint("the file is damaged or of another model; expand the base again");
}

const TensorView& displaced_rows_of(const ModelFolder& folder, const std::string& tensor) {
  const auto found = folder.displaced_rows.find(tensor);
  if (found != folder.displaced_rows.end()) return found->second;
  return folder.displaced_rows.at(folder.family->names.embedding);  // of a base that was tied
}

std::vector<std::string_view> base_row_bytes(const ModelFolder& folder, const std::string& tensor,
                                             int64_t first, int64_t count) {
  const TensorView& stored = folder.tensors.get(tensor);
  const RowLayout layout = folder.vocab_layout();
  const int64_t end = first + count, begin_displaced = layout.first_added();
  const int64_t end_displaced = layout.end_displaced();
  std::vector<std::string_view> pieces;
  append_rows(stored, first, std::min(end, begin_displaced) - first, pieces);
  if (layout.num_displaced() > 0) {
    const int64_t from = std::max(first, begin_displaced), to = std::min(end, end_displaced);
    append_rows(displaced_rows_of(folder, tensor), from - begin_displaced, to - from, pieces);
  }
  const int64_t from = std::max(first, end_displaced);
  append_rows(stored, from, end - from, pieces);
  return pieces;
}

std::string write_displaced_rows(const ModelFolder& source, const RowLayout& layout,
                                 const fs::path& out) {
  if (layout.num_displaced() == 0) return "";
  std::map<std::string, OwnedTensor> rows;
  for (const std::string& name : matrices_of_base(source)) {
    OwnedTensor& tensor = rows[name];
    tensor.spec = {
        name, source.tensors.get(name).dtype, {layout.num_displaced(), source.config.hidden_size}};
    for (const std::string_view bytes :
         base_row_bytes(source, name, layout.first_added(), layout.num_displaced())) {
      tensor.bytes += bytes;
    }
  }
  create_folders(out / kBaseFolder);
  const fs::path file = displaced_rows_file(out);
  write_tensor_file(file, rows);
  return sha256_file(file);
}

}  // namespace polygraft::model
