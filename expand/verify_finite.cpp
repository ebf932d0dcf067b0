// expand/verify_finite.cpp: added rows hold numbers. The masked logits cannot tell, since they
// leave them out.
#include <cstring>

#include "core/text.h"
#include "expand/verify_parts.h"

namespace polygraft::expand {

namespace {

/// Infinities and NaN: all bits of the exponent are set.
template <class Bits>
bool has_full_exponent(std::string_view bytes, Bits exponent) {
  bool found = false;
  for (size_t at = 0; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
    Bits value;
    std::memcpy(&value, bytes.data() + at, sizeof(Bits));
    found |= (value & exponent) == exponent;
  }
  return found;
}

bool is_finite(std::string_view bytes, model::Dtype dtype) {
  switch (dtype) {
    case model::Dtype::kF32:
      return !has_full_exponent<uint32_t>(bytes, 0x7F800000U);
    case model::Dtype::kBF16:
      return !has_full_exponent<uint16_t>(bytes, 0x7F80U);
    case model::Dtype::kF16:
      return !has_full_exponent<uint16_t>(bytes, 0x7C00U);
    default:
      return true;
  }
}

}  // namespace

void verify_finite(const model::TensorView& view, int64_t first_row, VerifyReport& report) {
  const auto row_bytes = static_cast<size_t>(view.row_bytes());
  for (int64_t row = first_row; row < view.shape.at(0); ++row) {
    const auto bytes = view.bytes.substr(static_cast<size_t>(row) * row_bytes, row_bytes);
    if (is_finite(bytes, view.dtype)) continue;
    add_difference(report, {view.name, row, 0, "an added row holds a number that is not finite"});
    return;
  }
}

}  // namespace polygraft::expand
