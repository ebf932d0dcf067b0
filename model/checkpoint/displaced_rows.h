// model/checkpoint/displaced_rows.h: the base's vocabulary rows whose places added rows have taken.
// They lie in the expanded folder's own subfolder, out of the sight of other programs, so that the
// base can be rebuilt bit by bit. Legend: V base rows, T of them before the first added row, d
// displaced, D model width.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint/model_folder.h"

namespace polygraft::model {

/// What an expanded folder keeps of its base beside the model itself.
inline constexpr const char* kBaseFolder = "polygraft.base";
/// Input and, where the base is untied, output rows [d, D] under the base's tensor names.
inline constexpr const char* kDisplacedRowsFile = "displaced_rows.safetensors";

/// Opens the file that the manifest calls for. @return nothing when no row is displaced. @throws
/// IoError or FormatError when it is missing, or does not hold the rows [d, D] in the model's
/// dtype.
std::map<std::string, TensorView> open_displaced_rows(const ModelFolder& folder);

/// @throws FormatError when the rows are not those that the manifest's hash is of.
void check_displaced_rows(const ModelFolder& folder);

/// The displaced rows of an input or output matrix. @throws std::out_of_range (a bug) where none
/// are displaced.
const TensorView& displaced_rows_of(const ModelFolder& folder, const std::string& tensor);

/// The bytes of base rows [first, first + count) of the input or output matrix `tensor`, in order,
/// as they lie in the folder's files; of a base, or of an expanded model.
std::vector<std::string_view> base_row_bytes(const ModelFolder& folder, const std::string& tensor,
                                             int64_t first, int64_t count);

/// Writes the rows that `layout` displaces into the expanded folder `out`; nothing when it
/// displaces none. @param source the base, or an expansion of it. @return the file's SHA-256.
std::string write_displaced_rows(const ModelFolder& source, const RowLayout& layout,
                                 const fs::path& out);

}  // namespace polygraft::model
