// model/checkpoint/dtype.cpp: see dtype.h.
#include "model/checkpoint/dtype.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/text.h"

namespace polygraft::model {
namespace {

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  std::string_view torch_name;
  size_t num_bytes;
};

// In the order of the enum, so that a dtype is its own index.
constexpr std::array<DtypeRow, 10> kDtypes = {{
    {Dtype::kF32, "F32", "float32", 4},
    {Dtype::kF16, "F16", "float16", 2},
    {Dtype::kBF16, "BF16", "bfloat16", 2},
    {Dtype::kF64, "F64", "float64", 8},
    {Dtype::kI64, "I64", "int64", 8},
    {Dtype::kI32, "I32", "int32", 4},
    {Dtype::kI16, "I16", "int16", 2},
    {Dtype::kI8, "I8", "int8", 1},
    {Dtype::kU8, "U8", "uint8", 1},
    {Dtype::kBool, "BOOL", "bool", 1},
}};

const DtypeRow& row(Dtype dtype) { return kDtypes.at(static_cast<size_t>(dtype)); }

std::string known_names(std::string_view DtypeRow::*spelling) {
  std::vector<std::string> names;
  for (const DtypeRow& entry : kDtypes) names.emplace_back(entry.*spelling);
  return "one of " + join(names, ", ");
}

Dtype parse(std::string_view name, std::string_view DtypeRow::*spelling, const fs::path& file) {
  const auto found = std::find_if(kDtypes.begin(), kDtypes.end(),
                                  [&](const DtypeRow& entry) { return entry.*spelling == name; });
  if (found != kDtypes.end()) return found->dtype;
  throw FormatError(file, "unsupported element type")
      .expected(known_names(spelling))
      .found(in_quotes(name))
      .hint("quantised weights are not supported; take the unquantised release of the model");
}

}  // namespace

size_t dtype_bytes(Dtype dtype) { return row(dtype).num_bytes; }
std::string_view dtype_name(Dtype dtype) { return row(dtype).name; }
std::string_view torch_dtype_name(Dtype dtype) { return row(dtype).torch_name; }

Dtype parse_dtype(std::string_view name, const fs::path& file) {
  return parse(name, &DtypeRow::name, file);
}

Dtype parse_torch_dtype(std::string_view name, const fs::path& file) {
  constexpr std::string_view kPrefix = "torch.";  // some writers keep it
  if (name.substr(0, kPrefix.size()) == kPrefix) name.remove_prefix(kPrefix.size());
  return parse(name, &DtypeRow::torch_name, file);
}

}  // namespace polygraft::model
