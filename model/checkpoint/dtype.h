// model/checkpoint/dtype.h: element types: safetensors' spelling, torch's spelling, and width.
#pragma once
#include <cstddef>
#include <string_view>

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

}  // namespace polygraft::model
