// expand/matching_pursuit.cpp: see matching_pursuit.h.
#include "expand/matching_pursuit.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

namespace polygraft::expand {

SparseCode matching_pursuit(const at::Tensor& atoms_ND, const at::Tensor& target_D,
                            int64_t most_atoms) {
  constexpr double kNothing = 1e-9;  // relative to the target
  const at::NoGradGuard no_grad;
  const at::Tensor norm_N1 = atoms_ND.norm(2, 1, /*keepdim=*/true);
  const at::Tensor unit_ND = atoms_ND / norm_N1.clamp_min(1e-300);
  const double nothing = kNothing * target_D.norm().item<double>();
  most_atoms = std::min({most_atoms, atoms_ND.size(0), atoms_ND.size(1)});
  SparseCode code{at::empty({0}, at::kLong), at::empty({0}, at::kDouble)};
  std::vector<int64_t> chosen;
  at::Tensor left_D = target_D;
  while (static_cast<int64_t>(chosen.size()) < most_atoms &&
         left_D.norm().item<double>() > nothing) {
    at::Tensor correlation_N = at::mv(unit_ND, left_D).abs();
    if (!chosen.empty()) correlation_N.index_fill_(0, code.atom_k, -1.0);
    const int64_t best = correlation_N.argmax().item<int64_t>();
    if (correlation_N[best].item<double>() <= nothing) break;
    chosen.push_back(best);
    code.atom_k = at::tensor(chosen, at::kLong);
    const at::Tensor basis_Dk = atoms_ND.index_select(0, code.atom_k).t();
    code.coefficient_k = std::get<0>(at::linalg_lstsq(basis_Dk, target_D.unsqueeze(1))).squeeze(1);
    left_D = target_D - at::mv(basis_Dk, code.coefficient_k);
  }
  return code;
}

}  // namespace polygraft::expand
