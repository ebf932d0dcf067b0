// expand/start_rows.cpp: see start_rows.h. Legend: A atoms (old tokens with a context), N new
// tokens with a context, C context width (D, or 2D for tied rows).
#include "expand/start_rows.h"

#include <ATen/core/grad_mode.h>

#include "core/log.h"
#include "core/text.h"
#include "expand/matching_pursuit.h"

namespace polygraft::expand {

namespace {

/// Which tokens have been seen often enough: rows of the context tables, and what they are of.
struct Known {
  at::Tensor atom_row_A, atom_id_A;  ///< old tokens
  at::Tensor new_row_N;              ///< new tokens
  std::vector<int64_t> new_index;    ///< their places among the new tokens
};

Known known_tokens(const ContextMeans& contexts, int64_t num_old, int64_t least_seen) {
  std::vector<int64_t> atom_rows, atom_ids, new_rows;
  Known known;
  const at::Tensor seen_S = contexts.seen_S.contiguous();
  const int64_t* const seen = seen_S.const_data_ptr<int64_t>();
  for (size_t row = 0; row < contexts.id_S.size(); ++row) {
    const int64_t id = contexts.id_S[row];
    if (seen[row] < least_seen) continue;
    if (id < num_old) {
      atom_rows.push_back(static_cast<int64_t>(row));
      atom_ids.push_back(id);
    } else {
      new_rows.push_back(static_cast<int64_t>(row));
      known.new_index.push_back(id - num_old);
    }
  }
  known.atom_row_A = at::tensor(atom_rows, at::kLong);
  known.atom_id_A = at::tensor(atom_ids, at::kLong);
  known.new_row_N = at::tensor(new_rows, at::kLong);
  return known;
}

/// Puts the combination of old rows that fits a new token's context in place of its mean.
void pursue(const at::Tensor& rows_VD, const at::Tensor& context_SC, const Known& known,
            int64_t most_atoms, at::Tensor& start_vD) {
  const at::Tensor atom_AC = context_SC.index_select(0, known.atom_row_A);
  const at::Tensor centre_C = atom_AC.mean(0);
  const at::Tensor new_NC = context_SC.index_select(0, known.new_row_N) - centre_C;
  const at::Tensor row_AD = rows_VD.index_select(0, known.atom_id_A).to(at::kDouble);
  const at::Tensor middle_D = row_AD.mean(0);
  const at::Tensor centred_AC = atom_AC - centre_C;
  for (size_t i = 0; i < known.new_index.size(); ++i) {
    const SparseCode code =
        matching_pursuit(centred_AC, new_NC[static_cast<int64_t>(i)], most_atoms);
    const at::Tensor chosen_kD = row_AD.index_select(0, code.atom_k) - middle_D;
    start_vD[known.new_index[i]] = middle_D + at::mv(chosen_kD.t(), code.coefficient_k);
  }
}

/// Both contexts of a token beside each other, each of unit variance, so that neither outweighs.
at::Tensor side_by_side(const ContextMeans& contexts) {
  const auto scaled = [](const at::Tensor& context_SD) { return context_SD / context_SD.std(); };
  return at::cat({scaled(contexts.after_SD), scaled(contexts.before_SD)}, 1);
}

}  // namespace

StartRows averaged_rows(const model::Weights& base, const TokenParts& parts,
                        const std::string& init, bool own_head) {
  const auto average = init == "norm_mean" ? norm_mean_rows : mean_rows;
  StartRows rows{average(base.embedding.base, parts), {}};
  if (own_head) rows.output_vD = average(base.head.base, parts);
  return rows;
}

StartRows pursued_rows(const model::Weights& base, const TokenParts& parts,
                       const ContextMeans& contexts, bool own_head, const PursuitOptions& options) {
  const at::NoGradGuard no_grad;
  StartRows rows = averaged_rows(base, parts, "mean", own_head);
  const auto num_new = static_cast<int64_t>(parts.size());
  const int64_t num_old = options.num_old;
  const Known known = known_tokens(contexts, num_old, options.least_seen);
  log_info(concat("start rows: ", known.new_index.size(), " of ", num_new,
                  " new tokens by matching pursuit over ", known.atom_id_A.size(0),
                  " old ones, the others by the mean"));
  if (known.new_index.empty() || known.atom_id_A.size(0) < 2) return rows;
  const at::Tensor input_SC = own_head ? contexts.after_SD : side_by_side(contexts);
  pursue(base.embedding.base, input_SC, known, options.most_atoms, rows.input_vD);
  if (own_head) {
    pursue(base.head.base, contexts.before_SD, known, options.most_atoms, rows.output_vD);
  }
  return rows;
}

}  // namespace polygraft::expand
