// expand/matching_pursuit.h: a vector as a combination of few others.
// Reference: orthogonal matching pursuit (Pati, Rezaiifar & Krishnaprasad 1993).
// Legend: N atoms, D width, k chosen atoms.
#pragma once
#include <ATen/ATen.h>

namespace polygraft::expand {

struct SparseCode {
  at::Tensor atom_k;         ///< int64, in the order chosen
  at::Tensor coefficient_k;  ///< float64: target ~ sum of coefficient x atom
};

/// Takes, again and again, the atom of largest correlation with what is left, and fits all
/// coefficients anew by least squares. Ends at `most_atoms`, or when nothing is left.
/// @param atoms_ND float64; rows of zeros are never chosen. @param target_D float64.
SparseCode matching_pursuit(const at::Tensor& atoms_ND, const at::Tensor& target_D,
                            int64_t most_atoms);

}  // namespace polygraft::expand
